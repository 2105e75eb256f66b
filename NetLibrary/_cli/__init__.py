"""Commands of `netlibrary`, one module each."""
