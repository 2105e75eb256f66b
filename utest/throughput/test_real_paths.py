"""The iperf3 of this machine over paths that drop, double and cut datagrams: what is read is what the kernel counted."""

from __future__ import annotations

import pytest

from NetLibrary._mechanics.throughput import Iperf3Problem, Measurement, read
from NetLibrary._mechanics.throughput.ends import NOTHING_SEEN, end_in, with_ends

from .real_path import CUT, DOUBLE_20, DROP_30, DROP_ALL, LATE_20, POSSIBLE, run

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="needs root, iperf3, iproute2 and nft")


def over(rule: str, **options: object) -> tuple[Measurement | Iperf3Problem, int, int]:
    """Runs UDP over a path; returns the result, and how many datagrams the path saw and how many it treated."""
    output, truth = run(rule, **options)  # type: ignore[arg-type]
    try:
        return with_ends(read(output), end_in(output), NOTHING_SEEN), truth.seen, truth.hit
    except Iperf3Problem as problem:
        return problem, truth.seen, truth.hit


@pytest.mark.parametrize(
    ("rule", "options"),
    [(DROP_30, {}), (DROP_30, {"reverse": True}), (CUT, {"streams": 3})],
    ids=["a third lost", "a third lost on the way back", "cut off, three streams"],
)
def test_loss_is_what_the_path_dropped(rule: str, options: dict[str, object]) -> None:
    result, seen, dropped = over(rule, **options)
    assert isinstance(result, Measurement)
    assert dropped > 20
    # Without what found no room at a client that a busy machine kept waiting
    assert result.lost_on_the_way[0] == pytest.approx(100 * dropped / seen, abs=2)
    assert result.contradictions == ()


def test_omitted_second_does_not_count() -> None:
    result, seen, dropped = over(DROP_30, omit_seconds=1)
    assert isinstance(result, Measurement)
    assert seen > 1.8 * (result.packets or 0)
    assert result.lost_percent == pytest.approx(100 * dropped / seen, abs=12)  # the half that counts, by chance


def test_path_that_drops_all_is_no_result() -> None:
    result, _, dropped = over(DROP_ALL)
    assert isinstance(result, Iperf3Problem)
    assert (result.kind, result.sent and result.sent.packets) == ("nothing arrived", dropped)


def test_doubled_datagrams_are_no_loss() -> None:
    result, _, _ = over(DOUBLE_20)
    assert isinstance(result, Measurement)
    assert (result.lost_packets, result.lost_percent_at_most) == (0, 0.0)
    assert result.out_of_order == pytest.approx((result.received_packets or 0) - (result.packets or 0), abs=3)
    assert any("arrived twice" in note for note in result.notes)


def test_late_datagrams_are_no_loss() -> None:
    result, _, late = over(LATE_20)
    assert isinstance(result, Measurement)
    assert late > 10
    # What still waits in the path's queue when the run ends has not arrived
    assert (result.lost_packets or 0) <= 4
