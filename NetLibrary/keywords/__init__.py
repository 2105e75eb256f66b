"""Robot's side of the library: one file or folder for each topic."""
