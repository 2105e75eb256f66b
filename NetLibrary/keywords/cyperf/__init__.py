"""CyPerf keywords."""
