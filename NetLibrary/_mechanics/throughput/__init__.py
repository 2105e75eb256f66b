"""iperf3: what to ask of it, how to run it in a cluster, and what its output truly says (versions 3.1 to 3.21)."""

from __future__ import annotations

from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.throughput.reader import read
from NetLibrary._mechanics.throughput.results import Interval, Iperf3Problem, Measurement, Sent

__all__ = ["Interval", "Iperf3Problem", "Measurement", "Request", "Sent", "read"]
