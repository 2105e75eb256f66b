"""Tables, pictures and files for the reader."""
