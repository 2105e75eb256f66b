"""NetLibrary: keywords that prove a Kubernetes network end to end."""
