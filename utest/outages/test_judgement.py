from __future__ import annotations

from dataclasses import replace

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.outages.causes import BEFORE, SETTLE, attribute
from NetLibrary._mechanics.outages.judge import Limits, checks
from NetLibrary._mechanics.outages.results.counters import Delta
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.results.refusals import share_refusals
from NetLibrary._mechanics.outages.results.repeats import spread
from NetLibrary._mechanics.outages.run.clock import Offset, best_offset, drift_note, measure_offset
from NetLibrary._mechanics.outages.show import tables
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, Step, StreamResult, StreamSpec, Window
from NetLibrary.types import OutagePath, Percentage, TimeLimit

MS = 1_000_000


def window(start_ms, length_ms, kind=OutageKind.SILENT_DROP, slack_ms=10):
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
    told, same = window(1000, 900, OutageKind.UNREACHABLE), window(1030, 860, slack_ms=40)
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
    silent = OutageKind.SILENT_DROP
    assert kinds == [[OutageKind.UNREACHABLE], [OutageKind.UNREACHABLE, silent], [silent], [silent]]


def test_every_step_is_listed_with_what_it_cost():
    results = [
        stream(window(1100, 400), path="a"),
        stream(window(1150, 700, OutageKind.RESET), window(3100, 50, OutageKind.SLOW), path="b"),
        stream(window(90_000, 20), path="c"),
    ]
    stop, start, later = attribute(results, STEPS, after_s=30)
    assert stop.paths == ["a", "b"]
    assert stop.longest is not None
    assert stop.longest[1].length_ms == 700
    assert set(stop.kinds) == {"silent drop", "reset"}
    assert (start.paths, start.longest, start.kinds) == ([], None, ["slow"])
    assert (later.step, later.paths) == (SETTLE, ["c"])


def result(*streams, deltas=()):
    return OutageResult("m", list(streams), [], deltas=dict(deltas))


def missed(limits, *streams, deltas=()):
    return [check.text for check in checks(limits, result(*streams, deltas=deltas)) if not check.passed]


def test_no_limits_no_check():
    bad = stream(window(0, 5000), sent=100, answered=0)
    assert checks(Limits(), result(bad)) == []
    assert Limits(resets_at_most=0).given == {"resets_at_most": 0}


def test_an_outage_breaks_the_limit_only_when_the_probes_prove_it():
    limits = Limits(longest_outage_at_most=100)
    assert missed(limits, stream(window(0, 105))) == []  # certain are 95 ms
    (text,) = missed(limits, stream(window(0, 120)))
    assert text == "pod icmp: silent drop for 120 ms (certainly 110 to 130 ms), limit 100 ms"
    assert missed(limits, stream(window(0, 900, OutageKind.SLOW))) == []


def test_what_failed_before_the_disturbance_is_not_blamed_on_it():
    """An application that did not listen yet when traffic began made the update look bad."""
    windows = [window(200, 300), window(1200, 200), window(2000, 100)]
    (check,) = checks(Limits(longest_outage_at_most=0), OutageResult("m", [stream(*windows)], STEPS))
    assert [line.partition(" ms) ")[2] for line in check.text.splitlines()] == [
        "before 'stop' began, limit 0 ms",
        "during 'stop', limit 0 ms",
        "after 'stop', limit 0 ms",
    ]


def test_a_path_that_is_still_broken_at_the_end_does_not_pass_a_limit_that_it_has_not_reached_yet():
    lasting = replace(window(0, 9000), open_end=True)
    (text,) = missed(Limits(longest_outage_at_most=90_000), stream(lasting))
    assert text.startswith("pod icmp: still broken (silent drop) when the measurement ended, after 9000 ms")
    assert len(missed(Limits(longest_outage_at_most=5000), stream(lasting))) == 1
    last_probe = replace(window(0, 10), open_end=True, probes=1)
    assert missed(Limits(longest_outage_at_most=5000), stream(last_probe)) == []


def test_three_probes_lost_in_the_last_moment_do_not_break_a_limit_of_forty_seconds():
    """The measurement ended 25 ms after them: nobody could have noticed and waited. A limit of 0 s still catches them."""
    last = replace(window(0, 25), open_end=True, probes=3)
    assert missed(Limits(longest_outage_at_most=40_000), stream(last)) == []
    assert len(missed(Limits(longest_outage_at_most=0), stream(last))) == 1


def test_each_limit_has_its_sentence():
    kept = stream(kind=ProbeKind.TCP_KEPT, path="svc", kept_breaks=2, kept_resets=1)
    new = stream(kind=ProbeKind.TCP_NEW, path="svc", sent=100, answered=97)
    slow = stream(window(0, 300, OutageKind.SLOW), path="far", sent=10, answered=10)
    many = stream(*(window(at, 50) for at in range(0, 5000, 500)), path="flap", sent=100, answered=50)
    deltas = [("prober", Delta({"Tcp.OutSegs": 90, "Tcp.RetransSegs": 10})), ("other", Delta(invalid="restarted"))]
    texts = missed(
        Limits(longest_outage_at_least=700, total_outage_at_most=300, loss_at_most=10, failed_connections_at_most=2,
               resets_at_most=0, lost_connections_at_most=0, retransmits_at_most=5, slow_at_most=100,
               unaffected=("flap",)),
        kept, new, slow, many, deltas=deltas,
    )  # fmt: skip
    assert texts == [
        "no outage of at least 700 ms was seen (the longest was 50 ms), although the disturbance must have caused one",
        "flap icmp: outages of 500 ms in total, limit 300 ms",
        "flap icmp: lost 50 of 100 probes (50.00%), limit 10.00%",
        "3 new connections failed (svc 3), limit 2",
        "1 kept connections were reset (svc 1), limit 0",
        "2 kept connections broke (svc 2), limit 0",
        "far icmp: slow for 300 ms; at most 100 ms",
        "prober: 10 TCP segments were sent again (10.00%), limit 5.00%",
        "other: retransmits are unknown: restarted",
        "flap icmp: silent drop for 50 ms on a path that the disturbance must not affect",
    ]


def test_invalid_streams_are_not_judged():
    (check,) = checks(Limits(loss_at_most=0.0), result(stream(sent=5, answered=0, invalid="not measured")))
    assert (check.seen, check.passed) == (None, False)  # nothing was measured: that is no pass either


SPECS = [StreamSpec(1, "service", ProbeKind.UDP, "x"), StreamSpec(2, "dns", ProbeKind.DNS, "y")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"unaffected": [OutagePath.OWN_NODE]},
            "unaffected has 'own node', which is not measured; measured paths: service, dns",
        ),
        (
            {"failed_connections_at_most": 0},
            "failed_connections_at_most is given, but none of the probes opens new conn",
        ),
        ({"lost_connections_at_most": 0}, "none of the probes keeps a connection: service, dns are probed by dns, udp"),
        ({"retransmits_at_most": Percentage(1)}, "none of the probes uses TCP"),
    ],
)
def test_a_limit_about_what_is_not_measured_is_refused(given, words):
    """`unaffected` with a path that nobody measured passed."""
    with pytest.raises(InputError, match=words):
        Limits.of(given).require_measured(SPECS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"resets_at_most": -1}, "resets_at_most is -1; it cannot be negative"),
        ({"unaffected": [OutagePath.ALL]}, "unaffected has 'all'"),
        (
            {"longest_outage_at_most": TimeLimit.parse("1 s"), "longest_outage_at_least": TimeLimit.parse("2 s")},
            "longest_outage_at_least is 2000 ms and longest_outage_at_most is 1000 ms",
        ),
    ],
)
def test_limits_that_make_no_sense_are_refused_when_they_are_given(given, words):
    with pytest.raises(InputError, match=words):
        Limits.of(given)


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("500 ms", 500), ("2s", 2000), ("0", 0), ("1m30s", 90_000), ("00:01:30.5", 90_500)]
)
def test_a_time_limit_is_read_with_its_unit(text, milliseconds):
    assert TimeLimit.parse(text).milliseconds == milliseconds


@pytest.mark.parametrize(
    ("text", "words"),
    [("500", "Give a unit: '500 ms' or '500 s'"), (3, "Give a unit"), ("-1 s", "negative"), ("x", "500 ms")],
)
def test_a_bare_number_is_refused_as_a_time_limit(text, words):
    """`longest_outage=500` allowed 500 seconds."""
    with pytest.raises(ValueError, match=words):
        TimeLimit.parse(text)


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


def test_an_outage_is_told_with_all_its_kinds_where_one_of_ten_probes_named_it():
    """The kernel limits its refusals: 188 silent probes and 24 refused ones were told as "refused" alone."""
    mixed = replace(window(0, 2000, OutageKind.REFUSED), outcomes={"LOST": 188, "REFUSED": 24})
    (text,) = missed(Limits(longest_outage_at_most=100), stream(mixed))
    assert text.endswith("its probes: no answer 188, refused 24")


def test_the_tables_of_kube_ovn_stand_only_by_paths_that_it_has():
    """A JSON document of kube-ovn's test-server stood in the log of a shop's rolling update."""
    assert len(tables.all_of(result(stream(path="http://web.shop:80/")))) == 1
    assert len(tables.all_of(result(stream(path=OutagePath.POD_ON_OTHER_NODE.value)))) > 1
