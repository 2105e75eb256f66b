from __future__ import annotations

from dataclasses import replace

import pytest

from NetLibrary._mechanics.outages.attribution import BEFORE, SETTLE, attribute
from NetLibrary._mechanics.outages.clock import Offset, best_offset, drift_note, measure_offset
from NetLibrary._mechanics.outages.companions import share_refusals
from NetLibrary._mechanics.outages.counters import Delta
from NetLibrary._mechanics.outages.repeats import spread
from NetLibrary._mechanics.outages.types import BreakKind, ProbeKind, Step, StreamResult, StreamSpec, Window
from NetLibrary._mechanics.outages.verdict import Limits, breaches

MS = 1_000_000


def window(start_ms, length_ms, kind=BreakKind.SILENT_DROP, slack_ms=10):
    return Window(
        int(start_ms * MS), int((start_ms + length_ms) * MS), length_ms - slack_ms, length_ms + slack_ms, kind, {}, 5
    )


def stream(*windows, kind=ProbeKind.ICMP, path="pod", **counts):
    return StreamResult(StreamSpec(1, path, kind, "10.0.0.1"), windows=list(windows), **counts)


STEPS = [Step("stop", 1000 * MS, 1500 * MS), Step("start", 3000 * MS, 3500 * MS)]


@pytest.mark.parametrize(
    ("start", "step"), [(1200, "stop"), (2900, "stop"), (3001, "start"), (2997, "start"), (998, "stop"), (900, BEFORE)]
)
def test_an_outage_belongs_to_the_step_that_began_last_before_it(start, step):
    impacts = attribute([stream(window(start, 100))], STEPS)
    assert [i.step for i in impacts if i.windows] == [step]


def test_an_icmp_error_that_only_the_echoes_got_names_the_outage_of_their_path():
    """Kernels send one ICMP error a second: new connections may get none of them."""
    told, same = window(1000, 900, BreakKind.UNREACHABLE), window(1030, 860, slack_ms=40)
    later, kept = window(3000, 900), window(1000, 900)
    other_path = window(1000, 900)
    results = [
        stream(told),
        stream(same, later, kind=ProbeKind.TCP_NEW),
        stream(kept, kind=ProbeKind.TCP_KEPT),
        stream(other_path, path="service", kind=ProbeKind.UDP),
    ]
    share_refusals(results)
    kinds = [[w.kind for w in result.windows] for result in results]
    silent = BreakKind.SILENT_DROP
    assert kinds == [[BreakKind.UNREACHABLE], [BreakKind.UNREACHABLE, silent], [silent], [silent]]


def test_every_step_is_listed_with_what_it_cost():
    results = [
        stream(window(1100, 400), path="a"),
        stream(window(1150, 700, BreakKind.RESET), window(3100, 50, BreakKind.SLOW), path="b"),
        stream(window(90_000, 20), path="c"),
    ]
    stop, start, later = attribute(results, STEPS, after_s=30)
    assert stop.paths == ["a", "b"]
    assert stop.longest is not None
    assert stop.longest[1].length_ms == 700
    assert set(stop.kinds) == {"silent drop", "reset"}
    assert (start.paths, start.longest, start.kinds) == ([], None, ["slow"])
    assert (later.step, later.paths) == (SETTLE, ["c"])


def test_no_limits_no_breach():
    bad = stream(window(0, 5000), sent=100, answered=0)
    assert breaches(Limits(), [bad]) == []
    assert Limits(resets=0).given == {"resets": 0}


def test_an_outage_breaks_the_limit_only_when_the_probes_prove_it():
    limits = Limits(longest_outage_ms=100)
    assert breaches(limits, [stream(window(0, 105))]) == []  # certain are 95 ms
    (text,) = breaches(limits, [stream(window(0, 120))])
    assert text == "pod icmp: silent drop for 120 ms (certainly 110 to 130 ms), allowed are 100 ms"
    assert breaches(limits, [stream(window(0, 900, BreakKind.SLOW))]) == []


def test_a_path_that_is_still_broken_at_the_end_does_not_pass_a_limit_that_it_has_not_reached_yet():
    lasting = replace(window(0, 9000), open_end=True)
    (text,) = breaches(Limits(longest_outage_ms=90_000), [stream(lasting)])
    assert text.startswith("pod icmp: still broken (silent drop) when the measurement ended, after 9000 ms")
    assert len(breaches(Limits(longest_outage_ms=5000), [stream(lasting)])) == 1
    last_probe = replace(window(0, 10), open_end=True, probes=1)
    assert breaches(Limits(longest_outage_ms=5000), [stream(last_probe)]) == []


def test_each_limit_has_its_sentence():
    kept = stream(kind=ProbeKind.TCP_KEPT, path="svc", kept_breaks=2, kept_resets=1)
    new = stream(kind=ProbeKind.TCP_NEW, path="svc", sent=100, answered=97)
    slow = stream(window(0, 300, BreakKind.SLOW), path="far", sent=10, answered=10)
    many = stream(*(window(at, 50) for at in range(0, 5000, 500)), path="flap", sent=100, answered=50)
    deltas = [("prober", Delta({"Tcp.OutSegs": 90, "Tcp.RetransSegs": 10})), ("other", Delta(invalid="restarted"))]
    texts = breaches(
        Limits(total_outage_ms=300, loss_ratio=0.1, failed_connections=2, resets=0, lost_connections=0,
               retransmit_ratio=0.05, slow_ms=100),
        [kept, new, slow, many], deltas,
    )  # fmt: skip
    assert texts == [
        "flap icmp: outages of 500 ms in all, allowed are 300 ms",
        "flap icmp: lost 50 of 100 probes (50.00%), allowed are 10.00%",
        "3 new connections failed (svc 3), allowed are 2",
        "1 kept connections were reset (svc 1), allowed are 0",
        "2 kept connections broke (svc 2), allowed are 0",
        "far icmp: slow for 300 ms, allowed are 100 ms",
        "prober: 10 TCP segments were sent again (10.00%), allowed are 5.00%",
        "other: retransmits are unknown: restarted",
    ]


def test_invalid_streams_are_not_judged():
    assert breaches(Limits(loss_ratio=0.0), [stream(sent=5, answered=0, invalid="not measured")]) == []


def test_spread_and_confidence():
    found = spread([10, 20, 30])
    assert (found.median, found.least, found.most) == (20, 10, 30)
    assert found.low == pytest.approx(20 - 4.303 * 10 / 3**0.5, abs=0.05)
    assert str(spread([7])) == "7"
    with pytest.raises(ValueError, match="nothing"):
        spread([])


def test_offset_believes_the_quickest_answer():
    clock = iter([0, 100, 200, 210, 300, 360])
    answers = iter([5050, 5206, 5345])
    found = measure_offset(lambda: next(answers), lambda: next(clock), rounds=3)
    assert found == Offset(5001, 5, 205)
    assert found.to_controller(5206) == 205
    with pytest.raises(ValueError):
        best_offset([])


def test_drift_is_told_only_beyond_the_error():
    first = Offset(1000 * MS, 2 * MS, 0)
    assert drift_note(first, Offset(1003 * MS, 2 * MS, 9), "x") is None
    assert "moved by 9.0 ms" in (drift_note(first, Offset(1009 * MS, 2 * MS, 9), "x") or "")
