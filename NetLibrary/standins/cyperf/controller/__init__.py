"""Stand-in for a CyPerf controller: the REST interface over agents that send real traffic."""
