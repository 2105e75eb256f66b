"""Stand-ins for programs that cannot be had; each names itself as one wherever its results appear."""
