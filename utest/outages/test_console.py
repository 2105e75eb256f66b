"""The line that the terminal shows of a measurement."""

from __future__ import annotations

import pytest

from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.types import OutageKind, ProbeKind, StreamResult, StreamSpec, Window
from NetLibrary.keywords._outages import _console


def result(*lengths_ms: float | None, errors: tuple[str, ...] = ()) -> OutageResult:
    """One path for each length, None for one without an outage."""
    streams = []
    for number, length in enumerate(lengths_ms):
        spec = StreamSpec(number, f"path {number}", ProbeKind.TCP_KEPT, "10.0.0.1")
        end = int((length or 0) * 1e6)
        hit = [] if length is None else [Window(0, end, length, length, OutageKind.RESET, {}, 1)]
        streams.append(StreamResult(spec, windows=hit))
    return OutageResult("update", streams, [], errors=list(errors))


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ((None, None), "no outage on 2 paths"),
        ((None,), "no outage on 1 path"),
        ((None, 20.4), "longest outage 20 ms (path 1 tcp_kept), 1 of 2 paths affected"),
        ((0.0,), "longest outage shorter than 1 ms (path 0 tcp_kept), 1 of 1 path affected"),
    ],
)
def test_console_tells_the_longest_outage_in_words_that_read_well(lengths: tuple[float | None, ...], told: str) -> None:
    """It was "longest outage 0 ms, 1 of 1 paths hit", and "no outage, 0 of 1 paths hit"."""
    assert _console(result(*lengths)) == f"  'update': {told}"


def test_console_tells_errors_on_lines_of_their_own() -> None:
    assert _console(result(None, errors=("one", "two"))).splitlines()[1:] == ["  ERROR: one", "  ERROR: two"]
