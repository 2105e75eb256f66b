"""Tables, maps and files of the matrix."""
