"""What the matrix knows: its cells, the cluster's objects, what the cluster offers."""
