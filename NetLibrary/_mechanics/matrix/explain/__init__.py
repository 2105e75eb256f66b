"""Why cells are wrong."""
