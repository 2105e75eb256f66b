"""How fine outages of new connections are resolved, and what that costs the tables on the way."""

from __future__ import annotations

from NetLibrary._mechanics.outages.results.windows import answer_times, evaluate, longest_spacing_ms
from NetLibrary._mechanics.outages.run.inpod import tcp
from NetLibrary._mechanics.outages.streams import Rates
from NetLibrary._mechanics.outages.types import ProbeKind, StreamLog

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


def test_a_long_measurement_opens_connections_less_often():
    """At 100 a second for ten minutes they would fill the connection tracking of a small node."""

    class Loop:
        told: list[str] = []

        def event(self, kind, **facts):
            self.told.append(kind)

    spec = {"number": 1, "address": "127.0.0.1", "port": 9, "period_ms": 10, "timeout_ms": 900}
    stream = tcp.NewConnectionStream(Loop(), spec)
    stream.ease(stream.ease_after - 1)
    assert stream.period == 10_000_000
    stream.ease(stream.ease_after)
    assert (stream.period, Loop.told) == (40_000_000, ["eased"])
