"""Probers for what an image has: Python, bash, or a plain shell."""
