"""iperf3: what to ask of it, and how to run it in a cluster. What its output says is in `_mechanics/iperf3`."""

from __future__ import annotations

from NetLibrary._mechanics.iperf3 import Interval, Iperf3Problem, Measurement, Sent, read
from NetLibrary._mechanics.throughput.command import Request

__all__ = ["Interval", "Iperf3Problem", "Measurement", "Request", "Sent", "read"]
