"""The direction that lost packets is told, and only where the server's count tells it."""

from __future__ import annotations

import select
import socket
import threading
import time
from pathlib import Path

import pytest

from NetLibrary._mechanics.outages.results.stream import evaluate
from NetLibrary._mechanics.outages.results.ways import share_ways, tell_ways
from NetLibrary._mechanics.outages.run.inpod.echo import COUNT, UdpStream
from NetLibrary._mechanics.outages.run.inpod.wire import MARK, PAYLOAD
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamLog, StreamResult, StreamSpec, Window

from .conftest import MS, T0
from .test_prober import echo_server, free_port, run_prober


class Relay(threading.Thread):
    """Hands datagrams on between a client and a server, and for a while loses those of one direction."""

    def __init__(self, server_port: int, lose: set[str]) -> None:
        super().__init__(daemon=True)
        self.lose, self.ended = lose, False
        self.front, self.back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.front.bind(("127.0.0.1", 0))
        self.back.connect(("127.0.0.1", server_port))
        self.port = self.front.getsockname()[1]

    def run(self) -> None:
        client, first = None, None
        while not self.ended:
            for sock in select.select([self.front, self.back], [], [], 0.05)[0]:
                data, peer = sock.recvfrom(9000)
                first = first or time.monotonic()
                broken = 0.3 < time.monotonic() - first < 0.7
                if sock is self.front:
                    client = peer
                    if not (broken and "requests" in self.lose):
                        self.back.send(data)
                elif client and not (broken and "answers" in self.lose):
                    self.front.sendto(data, client)


@pytest.mark.parametrize(("lose", "way"), [
    ({"requests"}, "requests lost on the forward path"), ({"answers"}, "answers lost on the return path"), (set(), ""),
])  # fmt: skip
def test_a_direction_that_loses_datagrams_is_named(tmp_path: Path, lose: set[str], way: str) -> None:
    port = free_port()
    with echo_server(port):
        relay = Relay(port, lose)
        relay.start()
        log = run_prober(tmp_path, [StreamSpec(1, "path", ProbeKind.UDP, "127.0.0.1", relay.port, 10, 300)], 1.2)
        relay.ended = True
        relay.join()
    stream = log.stream_logs()[0]
    result = evaluate(stream)
    tell_ways(result, stream)
    assert {window.way for window in result.windows if window.way} == ({way} if way else set())
    if way:
        assert result.longest is not None
        assert result.longest.way == way
        assert result.longest_ms > 300


class Loop:
    """What a stream asks of the prober's loop, without one."""

    polled = shift = 0

    def __init__(self) -> None:
        self.events: list[dict[str, int]] = []

    def watch(self, *_given: object) -> None: ...

    def record(self, *_given: object) -> None: ...

    def event(self, _name: str, **facts: int) -> None:
        self.events.append(facts)


def test_probes_that_a_busy_machine_never_sent_were_lost_on_no_way() -> None:
    """Answers alone were lost, and it was told that requests were too: 14 of 52 had not been sent."""
    loop = Loop()
    given = {"number": 1, "address": "127.0.0.1", "port": free_port(), "period_ms": 10, "timeout_ms": 300}
    stream = UdpStream(loop, given)
    sent = [*range(10), *range(14, 30), *range(35, 60)]
    for sequence in sent:
        stream.skipped = sequence - sent.index(sequence)
        stream.send(sequence, sequence * MS)
    for sequence in (4, 50):
        payload = PAYLOAD.pack(MARK, 1, sequence, sequence * MS) + COUNT.pack(sent.index(sequence) + 1)
        stream._count(payload)
    stream.sock.close()
    assert [(told["missing"], told["reached"]) for told in loop.events] == [(36, 36)]


def window(start_ms: int, length_ms: int, kind: OutageKind = OutageKind.SILENT_DROP) -> Window:
    start = T0 + start_ms * MS
    return Window(start, start + length_ms * MS, length_ms, length_ms, kind, {}, length_ms // 10)


def result(kind: ProbeKind, *windows: Window, path: str = "pod") -> StreamResult:
    return StreamResult(StreamSpec(1, path, kind, "10.0.0.1"), windows=list(windows))


@pytest.mark.parametrize(("missing", "reached", "way"), [
    (50, 0, "requests lost on the forward path"), (50, 50, "answers lost on the return path"),
    (50, 25, "requests and answers lost"), (50, 4, "requests lost on the forward path"),
])  # fmt: skip
def test_what_reached_the_server_names_the_way(missing: int, reached: int, way: str) -> None:
    udp = result(ProbeKind.UDP, window(100, 500), window(2000, 300))
    tell_ways(udp, StreamLog(udp.spec, ways=[(T0 + 95 * MS, T0 + 605 * MS, missing, reached)]))
    assert [each.way for each in udp.windows] == [way, ""]


def test_other_probes_of_the_path_learn_it_for_the_same_outage_only() -> None:
    udp, icmp = result(ProbeKind.UDP, window(100, 500)), result(ProbeKind.ICMP, window(103, 495), window(3000, 500))
    refused, other = (
        result(ProbeKind.TCP_NEW, window(100, 500, OutageKind.REFUSED)),
        result(ProbeKind.ICMP, window(100, 500), path="service"),
    )
    tell_ways(udp, StreamLog(udp.spec, ways=[(T0 + 95 * MS, T0 + 605 * MS, 50, 50)]))
    share_ways([udp, icmp, refused, other])
    assert [each.way for each in icmp.windows] == ["answers lost on the return path", ""]
    assert refused.windows[0].way == other.windows[0].way == ""
