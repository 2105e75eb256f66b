"""The reader against a model of sender, path and receiver: every figure is what really happened, or it is not told."""

from __future__ import annotations

import random

import pytest

from NetLibrary._mechanics.throughput import Iperf3Problem, read

from .documents import printed
from .model import PER_SECOND, SECONDS, SIZE, Path, run

WAYS = [("3.9", False), ("3.9", True), ("3.12", False), ("3.12", True), ("3.20", False)]
# Datagrams by which windows of the two ends may differ, see `loss.py`
SLACK = 5


def paths(seed: int) -> Path:
    chance = random.Random(seed)
    kind = chance.choice(["clean", "lossy", "cut", "late", "lossy and cut", "lossy and late"])
    return Path(
        lost=chance.uniform(0, 0.9) if "lossy" in kind else 0.0,
        late=chance.uniform(0, 0.3) if "late" in kind else 0.0,
        ends_after=chance.uniform(0.05, 1) if "cut" in kind else 1.0,
    )


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(("version", "reverse"), WAYS)
def test_loss_is_what_was_sent_and_did_not_arrive(version: str, reverse: bool, seed: int) -> None:
    truth = run(paths(seed), seed)
    result = read(printed(truth.document(version, reverse=reverse)))
    assert result.lost_packets == pytest.approx(truth.truly_lost, abs=SLACK)
    assert result.lost_percent == pytest.approx(100 * truth.truly_lost / truth.sent, abs=0.5)
    assert result.lost_percent_at_most is not None
    assert result.lost_percent <= result.lost_percent_at_most
    assert result.bits_per_second == pytest.approx(8 * SIZE * len(truth.counted.unique) / SECONDS, rel=0.01)
    assert result.contradictions == ()


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(("version", "reverse"), WAYS)
def test_loss_of_a_path_that_doubles_datagrams_lies_between_the_bounds(version: str, reverse: bool, seed: int) -> None:
    chance = random.Random(seed)
    path = Path(lost=chance.uniform(0, 0.6), doubled=chance.uniform(0.01, 0.5))
    truth = run(path, seed)
    result = read(printed(truth.document(version, reverse=reverse)))
    assert result.lost_packets is not None
    assert result.lost_percent_at_most is not None
    assert result.lost_packets <= truth.truly_lost + SLACK
    assert 100 * truth.truly_lost / truth.sent <= result.lost_percent_at_most + 0.5
    assert result.contradictions == ()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("version", "reverse"), WAYS)
def test_omitted_part_never_counts(version: str, reverse: bool, seed: int) -> None:
    chance = random.Random(seed)
    path = Path(lost=chance.choice([0.0, chance.uniform(0, 0.8)]), lost_omitted=chance.uniform(0, 1))
    truth = run(path, seed, omit_seconds=1)
    document = truth.document(version, reverse=reverse)
    result = read(printed(document))
    # The number of the last datagram of the omitted part is unknown to a receiver that lost it
    assert result.lost_percent == pytest.approx(100 * truth.truly_lost / truth.sent, abs=3)
    assert 0 <= result.lost_percent <= 100
    assert len(result.intervals) == SECONDS


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_path_that_carries_nothing_is_no_result(share: float) -> None:
    truth = run(Path(lost=1.0, lost_omitted=share), 1, omit_seconds=1)
    for version, reverse in WAYS:
        with pytest.raises(Iperf3Problem) as caught:
            read(printed(truth.document(version, reverse=reverse)))
        assert caught.value.kind == "nothing arrived"
        assert str(PER_SECOND * SECONDS) in caught.value.text


@pytest.mark.parametrize("seed", range(20))
def test_old_client_without_the_servers_report_never_gives_a_figure(seed: int) -> None:
    truth = run(paths(seed), seed)
    with pytest.raises(Iperf3Problem) as caught:
        read(printed(truth.document("3.9", server=False)))
    assert caught.value.kind == "one-sided"
