"""The report lines, as 0.1.4 and as 0.3.2 lay them out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from . import NAME
from .reassembly import Counters

NOTICE = "*** Make sure the URI reflects proper data address, other parts are ignored."


def on_off(flag: object) -> str:
    """`ON` or `OFF`."""
    return "ON" if flag else "OFF"


def general(value: float) -> str:
    """A number as C++ streams print it: six significant digits, scientific when very large."""
    return f"{value:g}"


@dataclass(frozen=True)
class SenderFacts:
    """What the head of a sender's report is made of."""

    rate: float
    length: int
    number: int
    mtu: int
    hertz: float
    sleep_us: int
    sockets: int
    interface: str
    multiport: bool = False
    smooth: bool = False
    lb_version: int = 2
    pinned: bool = False
    seq: bool = False
    zero_rate: bool = False
    optimizations: str = "none"


class Style014:
    """Report lines of 0.1.4."""

    version = (0, 1)
    to_stderr = False

    def banner(self, optimizations: str = "none") -> list[str]:
        """First lines of either role."""
        return [f"E2SAR Version: {NAME}"]

    def sender_head(self, facts: SenderFacts) -> list[str]:
        """Lines before the first event is sent."""
        return [
            "Control plane                OFF",
            f"Event rate reporting in Sync {on_off(not facts.zero_rate)}",
            f"Using usecs as event numbers {on_off(not facts.seq)}",
            NOTICE,
            f"Sending bit rate is {general(facts.rate)} Gbps",
            f"Event size is {facts.length} bytes or {facts.length * 8} bits",
            f"Event rate is {general(facts.hertz)} Hz",
            f"Inter-event sleep time is {facts.sleep_us} microseconds",
            f"Sending {facts.number} event buffers",
            f"Using MTU {facts.mtu}",
        ]

    def sender_tail(
        self, sent: int, expected: int, errors: int, last_error: str, elapsed_us: int, facts: SenderFacts
    ) -> list[str]:
        """Lines after the last event was sent."""
        warning = (
            f"WARNING: Fewer frames than expected have been sent ({sent} of {expected}), sender is not keeping up "
            "with the requested send rate."
        )
        return [
            *([warning] if sent < expected else []),
            f"Completed, {sent} frames sent, {errors} errors",
            *([f"Last error encountered: {last_error}"] if errors else []),
            "Stopping threads",
        ]

    def receiver_head(
        self, duration: int, address: str, ports: tuple[int, int], pinned: bool, timeout: int
    ) -> list[str]:
        """Lines before the ports are bound."""
        return [
            "Control plane will be OFF",
            "Using Assigned Threads To Cores" if pinned else "Using Unassigned Threads",
            f"Will run for {duration} sec" if duration else "Will run until Ctrl-C",
            NOTICE,
            f"Receiving on ports {ports[0]}:{ports[1]}",
        ]

    def stats(self, counters: Counters) -> list[str]:
        """One report."""
        lost = "".join(f"<{event}:{data_id}> " for event, data_id, _ in counters.lost_list)
        return [
            "Stats:",
            f"\tEvents Received: {counters.received}",
            f"\tEvents Mangled: {counters.mangled}",
            f"\tEvents Lost: {counters.lost}",
            f"\tData Errors: {counters.data_errors}",
            *([f"\tLast Data Error: {counters.last_data_error}"] if counters.data_errors else []),
            "\tgRPC Errors: 0",
            f"\tEvents lost so far: {lost}",
        ]

    def receiver_tail(self, per_port: dict[int, int], deq: int) -> list[str]:
        """Lines after the end of receiving."""
        return [*(["Completed"] * deq), "Stopping threads", "Deregistering worker"]


class Style032:
    """Report lines of 0.3.2: padded labels, packets instead of frames, the reports on stderr."""

    version = (0, 3)
    to_stderr = True

    def __init__(self) -> None:
        self._block = 0

    def banner(self, optimizations: str = "none") -> list[str]:
        """First lines of either role."""
        return [
            f"E2SAR Version:                 {NAME}",
            "E2SAR Available Optimizations: none,sendmmsg",
            f"E2SAR Selected Optimizations:  {optimizations}",
        ]

    def sender_head(self, facts: SenderFacts) -> list[str]:
        """Lines before the first event is sent."""
        if facts.rate <= 0:
            rate = "unlimited"
        elif facts.smooth:
            rate = (
                f"{general(facts.rate)} Gbps (smoothed out with per send thread rate "
                f"{general(facts.rate / facts.sockets)} Gbps)"
            )
        else:
            rate = f"{general(facts.rate)} Gbps (with {facts.length} B line-rate bursts)"
        return [
            "Control plane:                 OFF",
            f"Multiple destination ports:    {on_off(facts.multiport)}",
            f"Per frame rate smoothing:      {on_off(facts.smooth)}",
            f"Thread assignment to cores:    {on_off(facts.pinned)}",
            f"Sending sockets/threads:       {facts.sockets}",
            "Explicit NUMA memory binding:  OFF",
            f"Using LB Header Version:       {chr(facts.lb_version)}",
            f"Sending average bit rate is:   {rate}",
            *([f"Inter-event sleep (usec) is:   {facts.sleep_us}"] if facts.rate > 0 else []),
            NOTICE,
            f"Event size is {facts.length} bytes or {facts.length * 8} bits",
            f"Sending {facts.number} event buffers",
            f"Using interface {facts.interface or 'unknown'}",
            f"Using MTU {facts.mtu}",
        ]

    def sender_tail(
        self, sent: int, expected: int, errors: int, last_error: str, elapsed_us: int, facts: SenderFacts
    ) -> list[str]:
        """Lines after the last event was sent."""
        microseconds = max(elapsed_us, 1)
        return [
            *(
                [f"WARNING: Fewer packets than expected have been sent ({sent} of {expected})."]
                if sent < expected
                else []
            ),
            f"Completed, {sent} packets sent, {errors} errors",
            *([f"Last error encountered: {last_error}"] if errors else []),
            f"Elapsed usecs: {elapsed_us} microseconds",
            f"Estimated effective throughput (Gbps): {general(sent * facts.mtu * 8 / microseconds / 1000)}",
            f"Estimated goodput (Gbps): {general(facts.number * facts.length * 8 / microseconds / 1000)}",
            "Stopping threads",
        ]

    def receiver_head(
        self, duration: int, address: str, ports: tuple[int, int], pinned: bool, timeout: int
    ) -> list[str]:
        """Lines before the ports are bound."""
        return [
            "Control plane:                 OFF",
            f"Thread assignment to cores:    {on_off(pinned)}",
            "Explicit NUMA memory binding:  OFF",
            f"Event reassembly timeout (ms): {timeout}",
            f"Will run for:                  {f'{duration} sec' if duration else 'until Ctrl-C'}",
            f"Using IP address:              {address}",
            f"Receiving on ports:            {ports[0]}:{ports[1]}",
            NOTICE,
            "Getting hostname ... done",
            "Registering the worker stand-in ... done",
        ]

    def stats(self, counters: Counters) -> list[str]:
        """One report."""
        self._block += 1
        lost = "".join(f"<{event}:{data_id}/{pieces}> " for event, data_id, pieces in counters.lost_list)
        return [
            f"{self._block}: [{datetime.now():%H:%M:%S.%f}] {{info}} Stats:",
            f"\tTotal Bytes: {counters.bytes}",
            f"\tTotal Packets: {counters.packets}",
            f"\tBad RE Header Discards: {counters.bad_headers}",
            f"\tEvents Received: {counters.received}",
            f"\tEvents Mangled: {counters.mangled}",
            f"\tEvents Lost in reassembly: {counters.lost}",
            "\tEvents Lost in enqueue: 0",
            f"\tData Errors: {counters.data_errors}",
            *([f"\tLast Data Error: {counters.last_data_error}"] if counters.data_errors else []),
            "\tgRPC Errors: 0",
            f"\tEvents lost so far (<Evt ID:Data ID/num frags rcvd>): {lost}",
        ]

    def receiver_tail(self, per_port: dict[int, int], deq: int) -> list[str]:
        """Lines after the end of receiving."""
        return [
            *(["Completed"] * deq),
            "Stopping threads",
            "Deregistering worker",
            "Port Stats: ",
            *(f"\tPort: {port} Received: {count}" for port, count in per_port.items()),
            f"Total: {sum(per_port.values())}",
        ]


def style_named(name: str) -> Style014 | Style032:
    """The style for a value of E2SAR_STANDIN_STYLE; 0.1.x and 0.2.0 look like 0.1.4, later ones like 0.3.2.

    Raises:
        ValueError: When the name is not known.
    """
    if name in ("", "0.1", "0.1.4"):
        return Style014()
    if name in ("0.3", "0.3.2"):
        return Style032()
    raise ValueError(f"E2SAR_STANDIN_STYLE is '{name}'; allowed: 0.1.4 and 0.3.2.")
