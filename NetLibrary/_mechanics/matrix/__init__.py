"""Mechanics of the Service matrix: probing, expectations computed from objects, diagnosis of wrong cells."""
