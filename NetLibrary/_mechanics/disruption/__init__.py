"""Breaking and restarting parts of a cluster, whoever measures meanwhile."""
