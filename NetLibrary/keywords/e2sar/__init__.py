"""E2SAR keywords."""
