"""iperf3: the command line, and one reader for the JSON of versions 3.1 to 3.21."""

from __future__ import annotations

from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.throughput.reader import Interval, Iperf3Problem, Measurement, read

__all__ = ["Interval", "Iperf3Problem", "Measurement", "Request", "read"]
