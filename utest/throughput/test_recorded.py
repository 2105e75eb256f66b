"""What seven real versions of iperf3 printed over real paths, held against what the kernel counted there.

`record.py` made the recordings: packages of Debian and Ubuntu, client and server of one version, two network namespaces.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from NetLibrary._mechanics.throughput import Iperf3Problem, Measurement, read

FILES = sorted((Path(__file__).parent / "recorded").glob("*.json"))
VERSIONS = sorted({file.stem.split("-", 1)[0] for file in FILES})
# A receiver's part ends up to a tenth before the sender's, and then the share of that part counts
POINTS = 2.0


def recorded(name: str) -> list[Any]:
    found = [file for file in FILES if file.stem.split("-", 1)[1] == name]
    assert len(found) == len(VERSIONS)
    return [pytest.param(json.loads(file.read_text()), id=file.stem) for file in found]


def measured(entry: dict[str, Any]) -> Measurement:
    result = read(entry["output"])
    assert result.contradictions == ()
    assert result.packets == pytest.approx(entry["truth"]["seen"], rel=0.06) or "omit_seconds" in entry["asked"]
    return result


def test_recordings_are_of_at_least_five_versions() -> None:
    assert len(VERSIONS) >= 5
    assert {"3.1.3", "3.22"} <= set(VERSIONS)


@pytest.mark.parametrize("entry", recorded("clean"))
def test_clean_path_lost_nothing(entry: dict[str, Any]) -> None:
    result = measured(entry)
    assert (result.lost_packets, result.lost_percent_at_most, result.out_of_order) == (0, 0.0, 0)


@pytest.mark.parametrize(
    "entry", [*recorded("drop"), *recorded("drop-reverse"), *recorded("drop-streams"), *recorded("cut"), *recorded("cut-reverse")]
)  # fmt: skip
def test_loss_is_what_the_kernel_dropped(entry: dict[str, Any]) -> None:
    result, truth = measured(entry), entry["truth"]
    assert result.lost_percent == pytest.approx(100 * truth["hit"] / truth["seen"], abs=POINTS)
    assert result.lost_percent_at_most == result.lost_percent


@pytest.mark.parametrize("entry", recorded("drop-omit"))
def test_omitted_part_does_not_count(entry: dict[str, Any]) -> None:
    result, truth = measured(entry), entry["truth"]
    assert result.packets == pytest.approx(truth["seen"] / 2, rel=0.05)
    # The kernel counted both halves; each is a sample of the same chance
    assert result.lost_percent == pytest.approx(100 * truth["hit"] / truth["seen"], abs=10)


@pytest.mark.parametrize("entry", recorded("drop-all"))
def test_path_that_drops_all_is_no_result(entry: dict[str, Any]) -> None:
    with pytest.raises(Iperf3Problem) as caught:
        read(entry["output"])
    assert caught.value.kind == "nothing arrived"
    assert caught.value.text == f"{entry['truth']['seen']} datagrams were sent and none arrived"


@pytest.mark.parametrize("entry", recorded("double"))
def test_doubled_datagrams_are_no_loss(entry: dict[str, Any]) -> None:
    result, truth = measured_doubled(entry), entry["truth"]
    assert (result.lost_packets, result.lost_percent_at_most) == (0, 0.0)
    assert result.received_packets == pytest.approx(truth["seen"], abs=3)
    assert any("arrived twice" in note for note in result.notes)


def measured_doubled(entry: dict[str, Any]) -> Measurement:
    """Here the kernel saw the doubled ones too."""
    seen = entry["truth"]["seen"] - entry["truth"]["hit"]
    return measured({**entry, "truth": {"seen": seen}, "asked": {"omit_seconds": 0}})


@pytest.mark.parametrize("entry", recorded("late"))
def test_late_datagrams_are_no_loss(entry: dict[str, Any]) -> None:
    result = measured(entry)
    assert (result.lost_packets or 0) <= 4  # still in the path's queue when the run ended
    assert result.out_of_order
