"""Connections, names and path MTUs between a user's own pods, nodes, Services and addresses."""
