"""What to ask of iperf3, as its command line."""

from __future__ import annotations

from dataclasses import dataclass

from NetLibrary._mechanics.errors import InputError

DEFAULT_PORT = 5201
# iperf3 -P takes at most 128 streams (MAX_STREAMS in its source)
MOST_STREAMS = 128
# A server that never answers keeps a client for the kernel's SYN retries, about 130 s. Clients before 3.2 lack the
# option, so it is added where the client has it (see objects.py)
CONNECT_TIMEOUT_MS = 3000
# How much longer than its duration a run may take before it is given up: the server waits long for lost ends
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Request:
    """One run of the iperf3 client.

    Args:
        server: Host name or address.
        port: Port of the server.
        seconds: Duration of the test.
        protocol: `tcp` or `udp`.
        bits_per_second: Target rate over all streams together; None or 0 for as fast as it goes.
        streams: Parallel streams.
        reverse: Whether the server sends.
        omit_seconds: Seconds at the start that do not count.
        block_bytes: Size of one write; None for iperf3's default.
        family: 4 or 6 for one IP family only; None for whatever the name resolves to first.
    Raises:
        InputError: A value is outside of what iperf3 takes.
    """

    server: str
    port: int = DEFAULT_PORT
    seconds: float = 10.0
    protocol: str = "tcp"
    bits_per_second: float | None = None
    streams: int = 1
    reverse: bool = False
    omit_seconds: float = 0.0
    block_bytes: int | None = None
    family: int | None = None

    def __post_init__(self) -> None:
        if not self.server:
            raise InputError("server is empty; give the host name or address of the iperf3 server.")
        if not 1 <= self.port <= 65535:
            raise InputError(f"port is {self.port}; allowed: 1 to 65535.")
        if not 1 <= self.seconds <= 86400 or self.seconds != int(self.seconds):
            raise InputError(f"duration is {self.seconds:g} s; iperf3 takes whole seconds from 1 to 86400.")
        if self.protocol not in ("tcp", "udp"):
            raise InputError(f"protocol is '{self.protocol}'; allowed: tcp and udp.")
        if not 1 <= self.streams <= MOST_STREAMS:
            raise InputError(f"streams is {self.streams}; allowed: 1 to {MOST_STREAMS}.")
        if not 0 <= self.omit_seconds <= 60 or self.omit_seconds != int(self.omit_seconds):
            raise InputError(f"omit is {self.omit_seconds:g} s; iperf3 takes whole seconds from 0 to 60.")
        if self.bits_per_second is not None and self.bits_per_second < 0:
            raise InputError("bitrate is negative; give a rate such as 10M, or 0 for no limit.")
        if self.family not in (None, 4, 6):
            raise InputError(f"family is {self.family}; allowed: 4 and 6.")

    @property
    def interval_seconds(self) -> float:
        """Length of one interval of the report: about forty over a run, within iperf3's 0.1 to 60 s."""
        return min(60.0, max(0.1, round(self.seconds / 40, 1)))

    def arguments(self) -> list[str]:
        """Returns the arguments after the program's name."""
        words = [
            "-c",
            self.server,
            "-p",
            str(self.port),
            "-t",
            f"{self.seconds:.0f}",
            "-i",
            f"{self.interval_seconds:g}",
        ]
        words.append("-J")
        if self.family:
            words.append(f"-{self.family}")
        if self.protocol == "udp":
            # Clients up to 3.10 tell only what was sent; what arrived is in the server's report
            words += ["-u", "--get-server-output"]
        if self.bits_per_second:
            # -b counts per stream
            words += ["-b", f"{self.bits_per_second / self.streams:.0f}"]
        elif self.protocol == "udp":
            words += ["-b", "0"]  # without it iperf3 sends UDP at 1 Mbit/s
        if self.streams > 1:
            words += ["-P", str(self.streams)]
        if self.reverse:
            words.append("-R")
        if self.omit_seconds:
            words += ["-O", f"{self.omit_seconds:.0f}"]
        if self.write_bytes:
            words += ["-l", str(self.write_bytes)]
        return words

    @property
    def write_bytes(self) -> int | None:
        """Size of one write, None for iperf3's default.

        A paced TCP sender writes whole blocks: 128 KiB of the default are a second of silence at 1 Mbit/s, which
        would look like an outage. Below 64 blocks a second the block shrinks with the rate.
        """
        if self.block_bytes or self.protocol != "tcp" or not self.bits_per_second:
            return self.block_bytes
        fitting = int(self.bits_per_second / self.streams / 8 / 64)
        return None if fitting >= 128 * 1024 else max(1024, fitting)

    @property
    def limit_seconds(self) -> float:
        """Seconds after which a run is given up."""
        return self.seconds + self.omit_seconds + GRACE_SECONDS
