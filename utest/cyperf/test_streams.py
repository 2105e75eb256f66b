"""How a server of the stand-in counts what comes in a stream."""

from __future__ import annotations

import pytest

from NetLibrary.standins.cyperf.agent.streams import HEAD, MAGIC, ServerStreams


@pytest.mark.parametrize(
    ("numbers", "lost", "misordered", "duplicate"),
    [
        ([0, 1, 2], 0, 0, 0),
        ([0, 2, 3], 1, 0, 0),
        ([0, 2, 1, 3], 0, 1, 0),
        ([0, 1, 1, 2], 0, 0, 1),
        ([3], 3, 0, 0),
    ],
)
def test_gaps_late_and_double_datagrams(numbers: list[int], lost: int, misordered: int, duplicate: int) -> None:
    port = ServerStreams()
    for number in numbers:
        port.datagram_received(HEAD.pack(MAGIC, number, 0), ("192.0.2.1", 1))
    report = port.report()
    assert (report["lost"], report["misordered"], report["duplicate"]) == (lost, misordered, duplicate)
    assert report["received"] == len(numbers)


def test_two_streams_are_numbered_apart_and_strays_left_alone() -> None:
    port = ServerStreams()
    for source in (1, 2):
        port.datagram_received(HEAD.pack(MAGIC, 0, 0), ("192.0.2.1", source))
    port.datagram_received(b"hello", ("192.0.2.1", 3))
    assert port.report() == {"received": 2, "bytes_received": 32, "lost": 0, "misordered": 0, "duplicate": 0}
