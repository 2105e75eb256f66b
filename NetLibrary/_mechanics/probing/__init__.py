"""Asks many addresses from many places at once: probers in pods, on nodes and outside, and what they tell."""
