"""How events become datagrams, and what that means for rates, times and buffers.

Formulas: segmentation and pacing as in JeffersonLab/E2SAR (`e2sarDPSegmenter`), socket memory as in Linux
(`SOCK_MIN_RCVBUF`, `skb->truesize`: the kernel doubles SO_RCVBUF and charges each datagram with its bookkeeping).
"""

from __future__ import annotations

import struct

HEADERS = 36  # load balancer header 16, reassembly header 20
IP_UDP = {4: 28, 6: 48}
SHORTEST_EVENT = 42  # the 32 bytes of the head and the 10 of the tail
LARGEST_DATAGRAM = 9000


def fragment_bytes(mtu: int, family: int = 4) -> int:
    """Event bytes in a full datagram.

    >>> fragment_bytes(512), fragment_bytes(9000)
    (448, 8936)
    """
    return mtu - IP_UDP[family] - HEADERS


def smallest_mtu(family: int = 4) -> int:
    """The smallest MTU that can carry head and tail of an event: 106 with IPv4."""
    return SHORTEST_EVENT + IP_UDP[family] + HEADERS


def fragments(event_bytes: int, mtu: int, family: int = 4) -> int:
    """Datagrams per event.

    >>> fragments(512, 512), fragments(512, 576), fragments(1048576, 1500)
    (2, 1, 731)
    """
    return -(-event_bytes // fragment_bytes(mtu, family))


def wire_bytes(event_bytes: int, mtu: int, family: int = 4) -> int:
    """Bytes of IP packets per event.

    >>> wire_bytes(512, 512)
    640
    """
    return event_bytes + (IP_UDP[family] + HEADERS) * fragments(event_bytes, mtu, family)


def wire_bits_per_second(rate_gbps: float, event_bytes: int, mtu: int) -> float:
    """Bits of IP packets per second for a rate that counts event bytes only.

    >>> round(wire_bits_per_second(0.1, 512, 512))
    125000000
    """
    return rate_gbps * 1e9 * wire_bytes(event_bytes, mtu) / event_bytes


def sleep_microseconds(rate_gbps: float, event_bytes: int) -> int:
    """Pause from the start of one event to that of the next, in whole microseconds; 0 without pacing.

    >>> sleep_microseconds(0.1, 512)
    40
    """
    if rate_gbps <= 0:
        return 0
    single = struct.Struct("f")

    def rounded(value: float) -> float:
        return float(single.unpack(single.pack(value))[0])

    return int(rounded(rounded(event_bytes * 8) / rounded(rounded(rate_gbps) * 1000)))


def send_seconds(rate_gbps: float, event_bytes: int, events: int) -> float:
    """Nominal time to send all events."""
    return events * max(sleep_microseconds(rate_gbps, event_bytes), 1) / 1e6


def event_hertz(rate_gbps: float, event_bytes: int) -> float:
    """Events per second at a rate; the pause in whole microseconds makes it a little faster."""
    pause = sleep_microseconds(rate_gbps, event_bytes)
    return 1e6 / pause if pause else 0.0


def charge(payload_bytes: int) -> int:
    """Bytes of socket buffer that one queued datagram costs.

    256 for the bookkeeping, and its memory: headers, headroom and 320 bytes of shared information included, 576 for
    small datagrams and the next power of two for others. Checked against the kernel (6.18): 15 datagrams of 484 and
    100 bytes in turn fit into 8192, 5957 into 3 MiB.
    """
    needed = payload_bytes + 42 + 64 + 320
    return 256 + (576 if needed <= 704 else 1 << (needed - 1).bit_length())


def mean_charge(event_bytes: int, mtu: int) -> float:
    """Mean cost of a datagram of such events."""
    count, full = fragments(event_bytes, mtu), fragment_bytes(mtu)
    last = event_bytes - (count - 1) * full
    return ((count - 1) * charge(full + HEADERS) + charge(last + HEADERS)) / count


def queue_capacity(buffer_bytes: int, event_bytes: int, mtu: int) -> int:
    """Datagrams that a receive buffer of that size holds, as asked for with SO_RCVBUF.

    >>> queue_capacity(8192, 512, 512)
    15
    """
    return int(2 * buffer_bytes / mean_charge(event_bytes, mtu))


def buffer_for(datagrams: float, event_bytes: int, mtu: int) -> int:
    """Size for SO_RCVBUF that holds so many datagrams: the next power of two, 64 KiB at least."""
    needed = datagrams * mean_charge(event_bytes, mtu) / 2
    return int(max(65536, 1 << max(0, int(needed) - 1).bit_length()))


def port_count(threads: int) -> int:
    """Ports that a receiver opens for its threads.

    >>> [port_count(threads) for threads in (1, 2, 3, 8)]
    [1, 2, 4, 8]
    """
    return 1 << max(0, threads - 1).bit_length()


def rate_text(gbps: float) -> str:
    """A rate as the arguments of keywords take it, never rounded up by more than its third digit.

    >>> rate_text(0.076), rate_text(2.5), rate_text(0.0004)
    ('76 Mbit/s', '2.5 Gbit/s', '0.4 Mbit/s')
    """
    return f"{gbps:.3g} Gbit/s" if gbps >= 1 else f"{gbps * 1000:.3g} Mbit/s"
