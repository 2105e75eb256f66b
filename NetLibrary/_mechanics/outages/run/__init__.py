"""How a measurement runs: probers at their places, clocks, the state while it goes on."""
