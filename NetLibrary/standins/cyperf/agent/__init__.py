"""Stand-in for a CyPerf agent: registers to the stand-in controller and sends real traffic."""
