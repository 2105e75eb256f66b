"""What the output of iperf3 truly says (versions 3.1 to 3.22), whoever ran it."""

from __future__ import annotations

from NetLibrary._mechanics.iperf3.reader import read
from NetLibrary._mechanics.iperf3.results import Interval, Iperf3Problem, Measurement, Sent

__all__ = ["Interval", "Iperf3Problem", "Measurement", "Sent", "read"]
