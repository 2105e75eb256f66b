"""The matrix over a namespace of the user's: all its Services, from every node, read only."""
