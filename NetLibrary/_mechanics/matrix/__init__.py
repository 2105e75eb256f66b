"""Mechanics of the Service matrix: probe plans, expectations computed from objects, and the diagnosis of wrong cells."""
