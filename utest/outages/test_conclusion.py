"""A measurement of outages is recorded with the status of its test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from robot.api import Error, Failure, SkipExecution

from NetLibrary._mechanics import records
from NetLibrary._mechanics.held_back import Held
from NetLibrary._mechanics.kube.cpu_limits import HeldEnd
from NetLibrary._mechanics.outages.judge import Limits
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamResult, StreamSpec, Window
from NetLibrary.keywords import _robot
from NetLibrary.keywords._outages import conclude_outages, conclude_pending, state_of
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.outages import OutageKeywords

MS = 1_000_000


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    monkeypatch.setattr(_robot, "output_dir", lambda: tmp_path)
    return Session(timeout=1)


def result(*, invalid: str | None = None, broken_ms: float = 0, errors: tuple[str, ...] = ()) -> OutageResult:
    windows = [Window(0, int(broken_ms * MS), broken_ms, broken_ms, OutageKind.SILENT_DROP, {}, 5)] if broken_ms else []
    stream = StreamResult(StreamSpec(1, "service", ProbeKind.UDP, "10.0.0.1"), windows=windows, invalid=invalid)
    stream.planned = stream.sent = stream.answered = 100
    return OutageResult("m", [stream], [], errors=list(errors), end_ns=1000 * MS)


def verdicts(folder: Path) -> list[dict[str, Any]]:
    return [record["verdict"] for record in records.read(folder / records.FILE_NAME)]


LIMITS = Limits(longest_outage_at_most=100)


@pytest.mark.parametrize(
    ("found", "raised", "status"),
    [
        (result(), None, "passed"),
        (result(broken_ms=300), Failure, "failed"),
        (result(invalid="no good probe before the disturbance"), Error, "error"),
        (result(errors=("the pod was deleted",)), Error, "error"),
        # What the probes prove stays proved, whatever else an incomplete measurement has missed
        (result(broken_ms=300, errors=("the pod was deleted",)), Failure, "failed"),
    ],
)
def test_a_measurement_without_a_valid_result_is_not_recorded_as_passed(session, tmp_path, found, raised, status):
    if raised is None:
        conclude_outages(session, found, LIMITS)
    else:
        with pytest.raises(raised):
            conclude_outages(session, found, LIMITS)
    (verdict,) = verdicts(tmp_path)
    assert verdict["status"] == status


def test_a_path_that_was_asked_for_and_is_not_there_skips_the_test(session, tmp_path):
    """It was left out without a word, and the row passed."""
    library = OutageKeywords()
    library.session = session
    library._require("m", {}, [])
    with pytest.raises(SkipExecution, match=r"the cluster lacks something .*: dns: no server\. Leave the path out"):
        library._require("m", {}, ["dns: no server"])
    assert [verdict["status"] for verdict in verdicts(tmp_path)] == ["skipped"]


def test_what_nobody_has_judged_is_recorded_once_as_not_judged(session, tmp_path):
    state_of(session).pending = result(broken_ms=300)
    conclude_pending(session)
    conclude_pending(session)
    assert [verdict["status"] for verdict in verdicts(tmp_path)] == ["not judged"]


def test_a_measurement_that_was_cut_short_is_an_error_in_the_record(session, tmp_path):
    state_of(session).pending = result()
    conclude_pending(session, cut_short=True)
    (verdict,) = verdicts(tmp_path)
    assert (verdict["status"], verdict["reasons"]) == ("error", ["the measurement was cut short"])


def held(share: float, *, ours: bool) -> HeldEnd:
    return HeldEnd("web", "shop/web-1", ours, Held(round(100 * share), 100, 0.25))


def waited(kind: OutageKind, probe: ProbeKind, length_ms: float, *ends: HeldEnd) -> OutageResult:
    found = result(broken_ms=length_ms)
    stream = found.streams[0]
    stream.spec = StreamSpec(1, "service", probe, "10.0.0.1")
    stream.windows = [replace(window, kind=kind) for window in stream.windows]
    found.held = list(ends)
    return found


@pytest.mark.parametrize(
    ("found", "raised", "words"),
    [
        # "stalled and resumed for 884 ms" was charged to the path, while the prober stood still by its limit
        (
            waited(OutageKind.STALLED, ProbeKind.HTTP_KEPT, 884, held(0.3, ours=True)),
            Error,
            "has no valid result: container 'web' of pod 'shop/web-1' was held back: its CPU limit of 250m throttled it in "
            "30 % of the periods (30 of 100); what came late",
        ),
        (waited(OutageKind.SILENT_DROP, ProbeKind.HTTP, 900, held(0.3, ours=True)), Error, "says nothing about the paths"),
        # Datagrams wait for nobody, nobody stands still for seconds, and a refusal is an answer
        (waited(OutageKind.SILENT_DROP, ProbeKind.UDP, 900, held(0.3, ours=True)), Failure, "Also: container 'web'"),
        (waited(OutageKind.STALLED, ProbeKind.TCP_KEPT, 9000, held(0.3, ours=True)), Failure, "Also: container 'web'"),
        (waited(OutageKind.REFUSED, ProbeKind.HTTP, 300, held(0.3, ours=True)), Failure, "Also: container 'web'"),
        # The application under test is slow by its own limit: it did not do what was asked of it, and the reason is told
        (
            waited(OutageKind.STALLED, ProbeKind.HTTP_KEPT, 884, held(0.3, ours=False)),
            Failure,
            "The container 'web' of pod 'shop/web-1' was held back: its CPU limit of 250m throttled it in 30 % of the "
            "periods (30 of 100), so answers may be late or missing because of that and not because of the network.",
        ),
    ],
)  # fmt: skip
def test_a_container_that_stands_still_by_its_cpu_limit_is_not_charged_to_the_path(session, found, raised, words):
    with pytest.raises(raised) as error:
        conclude_outages(session, found, LIMITS)
    assert words in str(error.value)


def test_a_limit_that_is_rarely_met_or_without_consequence_changes_nothing(session):
    conclude_outages(session, waited(OutageKind.STALLED, ProbeKind.HTTP, 0, held(0.9, ours=True)), LIMITS)
    with pytest.raises(Failure) as error:
        conclude_outages(session, waited(OutageKind.STALLED, ProbeKind.HTTP, 300, held(0.05, ours=True)), LIMITS)
    assert "held back" not in str(error.value)
