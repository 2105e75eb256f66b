"""Upstream's end-to-end tests of Kubernetes, run against the cluster and read into one record."""
