"""Stand-in for the Skupper v2 controller and router."""
