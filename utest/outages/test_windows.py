from __future__ import annotations

import random
from dataclasses import replace

import pytest

from NetLibrary._mechanics.outages.results.stream import evaluate, slow_limit_ms
from NetLibrary._mechanics.outages.results.windows import find_windows
from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary._mechanics.outages.run.logs import settle
from NetLibrary._mechanics.outages.types import OutageKind, Probe, ProbeKind, StreamLog

MS = 1_000_000
T0 = 1_000_000_000_000


def windows_of(line, probes, **options):
    return find_windows(line.spec, probes, slow_ms=slow_limit_ms(line.spec, probes)[1], **options)


def test_quiet_time_has_no_window(timeline):
    line = timeline()
    assert windows_of(line, line.probes(30)) == []


@pytest.mark.parametrize("seed", range(40))
def test_random_timelines_every_outage_is_found_within_its_bounds(timeline, seed):
    """Whatever lengths, phases and jitter: none missed, none invented, the truth within the bounds."""
    chance = random.Random(seed)
    line = timeline(
        chance.choice([ProbeKind.ICMP, ProbeKind.UDP, ProbeKind.TCP_NEW]), chance.choice([10, 20, 50]), seed
    )
    period, at, outages = line.spec.period_ms, 500.0, []
    while at < 60_000:
        length = chance.choice([3, 5, 10, 40]) * period * chance.uniform(1.0, 1.8)
        outages.append((at, length))
        at += length + chance.uniform(6, 60) * period
    outcome = chance.choice([Outcome.LOST, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.RESET])
    found = windows_of(line, line.probes(at / 1000 + 1, outages, outcome=outcome))
    assert len(found) == len(outages)
    for window, (start, length) in zip(found, outages, strict=True):
        assert window.shortest_ms <= length <= window.longest_ms
        assert abs(window.length_ms - length) <= period + 1
        assert abs((window.start_ns - T0) / MS - start) <= period / 2 + 1
        assert window.shortest_ms <= window.length_ms <= window.longest_ms


@pytest.mark.parametrize("losses", [1, 2, 7])
def test_losses_in_a_row_give_the_bounds_of_the_arithmetic(timeline, losses):
    """k losses at interval i: the outage is longer than (k-1) i and shorter than (k+1) i."""
    line = timeline()
    probes = [
        Probe(n, T0 + n * 10 * MS, Outcome.LOST if 20 <= n < 20 + losses else Outcome.OK, 0, MS) for n in range(60)
    ]
    (window,) = windows_of(line, probes)
    assert window.shortest_ms == pytest.approx((losses - 1) * 10)
    assert window.longest_ms == pytest.approx((losses + 1) * 10)
    assert window.length_ms == pytest.approx(losses * 10)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.LOST, OutageKind.SILENT_DROP),
        (Outcome.REFUSED, OutageKind.REFUSED),
        (Outcome.UNREACHABLE, OutageKind.UNREACHABLE),
        (Outcome.UNSENT, OutageKind.UNREACHABLE),
        (Outcome.RESET, OutageKind.RESET),
        (Outcome.CLOSED, OutageKind.RESET),
        (Outcome.WRONG, OutageKind.WRONG_ANSWER),
    ],
)
def test_kind_follows_from_what_the_probes_saw(timeline, outcome, kind):
    line = timeline(ProbeKind.TCP_NEW, 50)
    (window,) = windows_of(line, line.probes(5, [(1000, 700)], outcome=outcome))
    assert window.kind is kind


def test_rate_limited_icmp_errors_still_name_the_outage(timeline):
    """Kernels send about one unreachable a second and target: most probes of a refusing path look lost."""
    line = timeline()
    probes = line.probes(8, [(1000, 4000)])
    spoken = [p._replace(outcome=Outcome.UNREACHABLE) if p.sequence % 100 == 0 and p.outcome else p for p in probes]
    (window,) = windows_of(line, spoken)
    assert window.kind is OutageKind.UNREACHABLE
    assert window.outcomes["LOST"] > 300


def test_held_back_answers_end_the_window_when_they_arrive(timeline):
    """Requests of a kept connection all come when TCP repeats; the last ones sent before look quick."""
    line = timeline(ProbeKind.TCP_KEPT, 10)
    (window,) = windows_of(line, line.probes(6, [(1000, 800)], held=True))
    assert window.kind is OutageKind.STALLED
    assert window.length_ms == pytest.approx(800, abs=11)
    (echo,) = windows_of(timeline(), timeline().probes(6, [(1000, 800)], held=True))
    assert echo.kind is OutageKind.STALLED
    assert echo.length_ms == pytest.approx(800, abs=11)


def test_a_slow_path_is_slow_and_not_an_outage(timeline):
    line = timeline()
    probes = [p._replace(elapsed_ns=200 * MS) if 1000 * MS <= p.sent_ns - T0 < 1500 * MS else p for p in line.probes(5)]
    (window,) = windows_of(line, probes)
    assert window.kind is OutageKind.SLOW
    assert not window.is_outage
    assert window.length_ms == pytest.approx(500, abs=15)


def test_a_pause_of_the_prober_is_not_a_slow_path(timeline):
    line = timeline()
    probes = [p._replace(elapsed_ns=90 * MS) if 1000 * MS <= p.sent_ns - T0 < 1030 * MS else p for p in line.probes(5)]
    assert len(windows_of(line, probes)) == 1
    assert windows_of(line, probes, paused=[(T0 + 1015 * MS, T0 + 1100 * MS)]) == []


def test_a_short_pause_does_not_excuse_a_long_stall(timeline):
    line = timeline(ProbeKind.TCP_KEPT, 10)
    probes = line.probes(6, [(1000, 800)], held=True)
    (window,) = windows_of(line, probes, paused=[(T0 + 1300 * MS, T0 + 1350 * MS)])
    assert window.length_ms == pytest.approx(800, abs=11)


def test_a_pause_never_excuses_a_loss(timeline):
    line = timeline()
    (window,) = windows_of(line, line.probes(6, [(1000, 100)]), paused=[(T0, T0 + 6000 * MS)])
    assert window.kind is OutageKind.SILENT_DROP


def test_flapping_is_one_window_with_its_pieces_kept(timeline):
    line = timeline()
    bad = {*range(20, 30), *range(31, 40), *range(60, 65)}
    probes = [Probe(n, T0 + n * 10 * MS, Outcome.LOST if n in bad else Outcome.OK, 0, MS) for n in range(100)]
    first, second = windows_of(line, probes)
    assert [len(w.pieces) for w in (first, second)] == [2, 0]
    assert first.probes == 19
    assert first.length_ms == pytest.approx(200)
    assert first.shortest_ms <= first.length_ms <= first.longest_ms
    assert len(windows_of(line, probes, merge_below=1)) == 3


def test_outage_at_the_end_is_open(timeline):
    line = timeline()
    (window,) = windows_of(line, line.probes(3, [(2500, 9999)]))
    assert window.open_end
    assert not window.open_start


def test_a_break_between_two_good_requests_is_not_missed(timeline):
    """A server that restarts quickly closes the connection between two requests; no request is lost."""
    line = timeline(ProbeKind.TCP_KEPT, 20)
    probes = line.probes(3)
    (window,) = windows_of(line, probes, broken=[(T0 + 1000 * MS, "RESET", 104)])
    assert window.kind is OutageKind.RESET
    assert window.probes == 0
    assert window.longest_ms <= 22


def test_how_a_connection_broke_names_the_outage_not_what_followed(timeline):
    line = timeline(ProbeKind.TCP_KEPT, 20)
    probes = line.probes(3, [(1000, 500)], outcome=Outcome.REFUSED)
    last_good = max(p.sent_ns for p in probes if p.outcome is Outcome.OK and p.sent_ns < T0 + 1000 * MS)
    (window,) = windows_of(line, probes, broken=[(last_good + MS, "RESET", 104)])
    assert window.kind is OutageKind.RESET
    assert window.outcomes == {"REFUSED": 25}


def test_late_answers_replace_losses_and_second_answers_are_duplicates():
    records = [
        (Outcome.LOST, 0, 1, 100, 50),
        (Outcome.OK, 0, 0, 90, 5),
        (Outcome.LATE, 0, 1, 100, 70),
        (Outcome.LATE, 0, 1, 100, 80),
        (Outcome.DUPLICATE, 0, 0, 90, 6),
        (Outcome.SKIPPED, 0, 2, 110, 4),
    ]
    probes, skipped, duplicates = settle(records)
    assert [(p.sequence, p.outcome) for p in probes] == [(0, Outcome.OK), (1, Outcome.LATE)]
    assert (skipped, duplicates) == (4, 2)


def test_counts_tell_planned_sent_and_answered_apart(timeline):
    line = timeline()
    probes = line.probes(2, [(1000, 100)])
    probes[5] = probes[5]._replace(outcome=Outcome.NO_DESCRIPTOR)
    log = StreamLog(line.spec, probes, skipped=7, end_ns=T0, latest_ms=31)
    result = evaluate(log)
    assert (result.planned, result.sent, result.answered, result.lost) == (207, 199, 189, 10)
    assert result.loss_ratio == pytest.approx(10 / 199)
    assert any("fell behind: 7 of 207" in note for note in result.notes)
    assert any("no socket left for 1" in note for note in result.notes)


def test_gateway_that_never_answers_is_not_measured_and_spoils_no_result(timeline):
    """Many networks have gateways that route and answer no echo request; the measurement had no valid result there."""
    line = timeline()
    spec = replace(line.spec, path="other gateway IPv4")
    never = evaluate(StreamLog(spec, line.probes(4, [(0, 5000)])), quiet_until_ns=T0 + 1000 * MS)
    assert never.invalid == "not measured: 10.0.0.1 does not answer echo requests, which a gateway need not do"
    late = evaluate(StreamLog(spec, line.probes(4, [(0, 2000)])), quiet_until_ns=T0 + 1000 * MS)
    assert late.invalid == "no good probe before the disturbance"


def test_no_good_probe_before_the_disturbance_is_invalid_not_total_loss(timeline):
    line = timeline()
    probes = line.probes(4, [(0, 2000)])
    assert evaluate(StreamLog(line.spec, probes), quiet_until_ns=T0 + 1000 * MS).invalid == (
        "no good probe before the disturbance"
    )
    assert evaluate(StreamLog(line.spec, probes), quiet_until_ns=T0 + 3000 * MS).invalid is None
    assert "no good probe" in (evaluate(StreamLog(line.spec, line.probes(1, [(0, 5000)]))).invalid or "")


def test_a_stream_that_could_not_be_opened_is_an_error_apart_from_loss(timeline):
    result = evaluate(StreamLog(timeline().spec, cannot="icmp to 10.0.0.1: no raw socket"))
    assert result.invalid == "not measured: icmp to 10.0.0.1: no raw socket"
    assert (result.sent, result.lost, result.loss_ratio) == (0, 0, 0.0)


def test_lateness_is_told_no_finer_than_the_processor_was_given(timeline):
    """Near a long pause a late answer says nothing; a lost one still does, and so does a late one far away."""
    line = timeline(ProbeKind.TCP_KEPT, 10)
    probes = line.probes(6, [(1000, 100)], held=True)
    near, far = [(T0 + 1500 * MS, T0 + 1650 * MS)], [(T0 + 4000 * MS, T0 + 4150 * MS)]
    assert len(evaluate(StreamLog(line.spec, probes)).windows) == 1
    assert len(evaluate(StreamLog(line.spec, probes, paused=far)).windows) == 1
    busy = evaluate(StreamLog(line.spec, probes, paused=near))
    assert busy.windows == []
    assert "got no CPU time for up to 150 ms" in busy.notes[0]
    lost = line.probes(6, [(1000, 100)])
    assert len(evaluate(StreamLog(line.spec, lost, paused=near)).windows) == 1


def test_an_answer_that_was_read_too_late_by_a_paused_prober_is_an_answer():
    """The prober's verdict was LOST, then it read the answer; the kernel's stamp says that it had come in time."""
    probes, _skipped, duplicates = settle(
        [(Outcome.LOST, 0, 1, 100, 1000 * MS), (Outcome.DUPLICATE, 0, 1, 100, MS), (Outcome.DUPLICATE, 0, 1, 100, MS)]
    )
    assert [(p.outcome, p.elapsed_ns) for p in probes] == [(Outcome.OK, MS)]
    assert duplicates == 1


def test_a_connection_that_met_a_long_pause_says_nothing(timeline):
    line = timeline(ProbeKind.TCP_NEW, 50)
    probes = [
        p._replace(outcome=Outcome.LOST, elapsed_ns=900 * MS) if 1000 * MS < p.sent_ns - T0 < 1200 * MS else p
        for p in line.probes(6)
    ]
    assert len(windows_of(line, probes)) == 1
    assert windows_of(line, probes, paused=[(T0 + 1200 * MS, T0 + 1800 * MS)]) == []


def test_many_short_pauses_do_not_excuse_a_connection_that_got_no_answer_at_all(timeline):
    """A probe needs prober and server a few times; what is more than those pauses was lost on the way."""
    line = timeline(ProbeKind.TCP_NEW, 50)
    probes = [
        p._replace(outcome=Outcome.LOST, elapsed_ns=900 * MS) if 1000 * MS < p.sent_ns - T0 < 1200 * MS else p
        for p in line.probes(6)
    ]
    paused = [(T0 + at * MS, T0 + (at + 20) * MS) for at in range(900, 2200, 30)]
    log = StreamLog(line.spec, probes, end_ns=probes[-1].sent_ns, paused=paused)
    assert [window.kind for window in evaluate(log).windows] == [OutageKind.SILENT_DROP]
    # Prober and server that wait for the same processor at the same time wait once
    log.paused = [(T0 + 1000 * MS, T0 + 1300 * MS), (T0 + 1050 * MS, T0 + 1290 * MS)]
    assert len(evaluate(log).windows) == 1


@pytest.mark.parametrize("kind", [ProbeKind.HTTP, ProbeKind.HTTP_KEPT])
def test_one_answer_of_an_application_that_comes_late_is_slow_and_no_outage(kind, timeline):
    """A careful rollout failed in one of twenty runs: a new pod took 181 ms for its first answer."""
    line = timeline(kind, period_ms=20)
    probes = line.probes(2)
    probes[50] = probes[50]._replace(elapsed_ns=181_000_000)
    (found,) = find_windows(line.spec, probes, slow_ms=150)
    assert found.kind is OutageKind.SLOW
    for number in range(50, 55):  # several that come at one moment were held back
        probes[number] = probes[number]._replace(elapsed_ns=probes[50].sent_ns + 181_000_000 - probes[number].sent_ns)
    assert find_windows(line.spec, probes, slow_ms=50)[0].kind is OutageKind.STALLED
