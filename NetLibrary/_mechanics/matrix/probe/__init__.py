"""How cells are probed: plans, probers in pods and outside."""
