"""How fine outages of new connections are resolved, and what that costs the tables on the way."""

from __future__ import annotations

import socket

from NetLibrary._mechanics.outages.results.stream import answer_times, evaluate, longest_spacing_ms
from NetLibrary._mechanics.outages.run.inpod import tcp
from NetLibrary._mechanics.outages.run.inpod.kept import KeptConnectionStream
from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.run.prober_config import configuration
from NetLibrary._mechanics.outages.streams import Rates
from NetLibrary._mechanics.outages.types import ProbeKind, StreamLog, StreamSpec

from .conftest import Timeline


def test_new_connections_are_opened_often_enough_for_15_ms():
    assert Rates().period_ms(ProbeKind.TCP_NEW) <= 15


def test_the_longest_time_without_a_probe_is_told_since_an_outage_may_lie_in_it():
    timeline = Timeline(ProbeKind.TCP_NEW)
    probes = timeline.probes(1, jitter_ms=0)
    assert 9 < longest_spacing_ms(probes) < 11
    del probes[40:45]  # the machine had no time for them
    assert 59 < longest_spacing_ms(probes) < 61
    result = evaluate(StreamLog(timeline.spec, probes, skipped=5))
    assert result.spacing_ms == longest_spacing_ms(probes)
    assert answer_times([]) == {}
    assert longest_spacing_ms([]) == 0


class Loop:
    """What a stream tells its loop."""

    def __init__(self):
        self.told: list[float] = []

    def event(self, kind, **facts):
        assert kind == "eased"
        self.told.append(facts["period_ms"])


def eased(paths: int, connections: int = 1) -> tuple[Loop, tcp.NewConnectionStream]:
    """Returns the first of the streams that measure so many paths."""
    specs = [
        StreamSpec(n, f"p{n // connections}", ProbeKind.TCP_NEW, "127.0.0.1", 9, 10 * connections, 900,
                   connections=connections)
        for n in range(paths * connections)
    ]  # fmt: skip
    loop = Loop()
    return loop, tcp.NewConnectionStream(loop, configuration(specs, duration_s=1)["streams"][0])


SECOND = 1_000_000_000


def opened(stream: tcp.NewConnectionStream, since: int, until: int) -> int:
    """Goes through the slots of some time; returns how many connections were opened."""
    now, count = since, 0
    while now < until:
        stream.ease(now)
        now, count = now + stream.period, count + 1
    return count


def test_a_long_measurement_of_many_paths_opens_connections_less_often():
    """At 100 a second and path for ten minutes they would fill the connection tracking of a small node."""
    loop, stream = eased(12)
    first = opened(stream, 0, 120 * SECOND)
    assert loop.told and 20 < loop.told[0] < 25
    assert 12 * first < 131_072  # what kube-proxy gives the smallest node
    assert 12 * opened(stream, 120 * SECOND, 240 * SECOND) <= 65_600


def test_a_few_paths_fill_no_table_and_are_measured_at_the_full_rate_for_ever():
    loop, stream = eased(3)
    assert opened(stream, 0, 600 * SECOND) == 60_000
    assert not loop.told


def test_many_connections_to_a_path_are_eased_like_one():
    one, many = eased(12)[1], eased(12, 10)[1]
    assert many.dense == 10 * one.dense
    assert abs(many.eased - 10 * one.eased) < 1000
    assert many.ease_after == one.ease_after // 10


def test_the_end_of_an_outage_of_a_minute_was_told_24_ms_wrong_since_its_attempts_were_eased():
    """While attempts fail, they are made at the full rate again, but not for ever."""
    _loop, stream = eased(12)
    opened(stream, 0, 120 * SECOND)
    assert stream.period == stream.eased
    stream.note(Outcome.OK, 120 * SECOND)
    stream.note(Outcome.NO_DESCRIPTOR, 120 * SECOND)  # says nothing of the path
    opened(stream, 120 * SECOND, 121 * SECOND)
    assert stream.period == stream.eased
    for second in range(121, 175):
        stream.note(Outcome.LOST, second * SECOND)
        opened(stream, second * SECOND, (second + 1) * SECOND)
        assert stream.period == stream.dense, second
    for second in range(175, 180):
        stream.note(Outcome.REFUSED, second * SECOND)
        opened(stream, second * SECOND, (second + 1) * SECOND)
    assert stream.period == stream.eased  # the tables fill, whatever becomes of the attempts
    opened(stream, 180 * SECOND, 420 * SECOND)
    stream.note(Outcome.RESET, 420 * SECOND)
    opened(stream, 420 * SECOND, 421 * SECOND)
    assert stream.period == stream.dense


class Recording:
    """A loop that watches nothing and keeps the records."""

    polled = 0
    shift = 0

    def __init__(self):
        self.records: list[tuple[Outcome, int]] = []
        self.handlers: dict[int, object] = {}

    def watch(self, *_):
        pass

    unwatch = rewatch = watch

    def event(self, kind, **facts):
        pass

    def record(self, number, outcome, code, sequence, *_):
        self.records.append((outcome, sequence))


def kept(loop: Recording, port: int) -> KeptConnectionStream:
    spec = StreamSpec(1, "p", ProbeKind.TCP_KEPT, "127.0.0.1", port, 10, 900)
    return KeptConnectionStream(loop, configuration([spec], duration_s=1)["streams"][0])


def test_connections_that_came_about_in_a_pause_are_not_lost_with_the_first_that_is_looked_at():
    """On a busy machine a measurement began with a silent drop of 16 ms on every path that keeps a connection."""
    loop = Recording()
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = kept(loop, server.getsockname()[1])
        for sequence in (1, 2, 3):
            stream.attempt(sequence, sequence)
        assert stream.take_over(stream.attempts[2])
        stream.finish()
    assert loop.records == [(Outcome.OK, 2)]


def test_a_connection_that_got_no_answer_is_lost_when_a_later_one_gets_one():
    loop = Recording()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_server(("127.0.0.1", 0)) as server:
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        stream = kept(loop, full.getsockname()[1])
        stream.attempt(1, 1)
        stream.port = server.getsockname()[1]
        stream.attempt(2, 2)
        assert stream.take_over(stream.attempts[2])
        stream.finish()
        for each in fillers:
            each.close()
    assert loop.records == [(Outcome.LOST, 1), (Outcome.OK, 2)]
