"""Baselines: which figures are comparable, and what is refused instead of passing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from robot.api import Error, Failure

from NetLibrary._mechanics import baselines
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.statistics import block_means, compare, spread
from NetLibrary.keywords import _robot
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.results import ResultKeywords


def record(name: str = "m", run: str = "old", **summary: Any) -> dict[str, Any]:
    return {"run": run, "kind": "throughput", "name": name, "summary": summary, "parameters": {"protocol": "udp"}}


class Rig:
    """The keyword, this run's file and one of an earlier run."""

    def __init__(self, folder: Path) -> None:
        self.keywords = ResultKeywords()
        self.keywords.session = Session(timeout=1)
        self.own, self.baseline = folder / "measurements.jsonl", folder / "baseline.jsonl"

    def ran(self, *now: dict[str, Any], before: list[dict[str, Any]]) -> Rig:
        mine = [{**one, "run": self.keywords.session.run_id} for one in now]
        self.own.write_text("".join(json.dumps(one) + "\n" for one in mine))
        self.baseline.write_text("".join(json.dumps(one) + "\n" for one in before))
        return self

    def compare(self, name: str = "m", field: str = "lost_percent", **more: Any) -> float:
        return self.keywords.measurement_should_match_baseline(name, field, more.pop("baseline", self.baseline), **more)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(_robot, "output_dir", lambda: tmp_path)
    found = Rig(tmp_path)
    found.keywords.session.recorder._folder = lambda: tmp_path
    return found


def test_loss_is_worse_when_there_is_more_of_it(rig: Rig) -> None:
    """0 % then and 13 % now passed unless the suite said which direction is worse."""
    rig.ran(record(lost_percent=13.0), before=[record(lost_percent=0.0)])
    with pytest.raises(Failure, match=r"lost_percent is 13, worse than the baseline's 0"):
        rig.compare()


@pytest.mark.parametrize(
    ("field", "better"),
    [
        ("bits_per_second", True), ("sent_bits_per_second", True), ("share_percent", True), ("delivered_percent", True),
        ("received_packets", True), ("answered_probes", True), ("lost_percent", False), ("lost_packets", False),
        ("longest_outage_ms", False), ("total_outage_ms", False), ("failed_connections", False), ("jitter_ms", False),
        ("retransmits", False), ("failed_connections_per_second", False), ("connect_latency_us", False),
        ("streams", None), ("planned_probes", None),
    ],
)  # fmt: skip
def test_direction_of_the_librarys_own_figures_is_known(field: str, better: bool | None) -> None:
    assert baselines.higher_is_better(field) is better


def test_unknown_direction_and_wrong_direction_are_refused(rig: Rig) -> None:
    rig.ran(record(streams=1, lost_percent=0.0), before=[record(streams=1, lost_percent=0.0)])
    with pytest.raises(Error, match="It is not known whether a higher 'streams' is better; give"):
        rig.compare(field="streams")
    with pytest.raises(Error, match="'lost_percent' is better when it is lower"):
        rig.compare(higher_is_better=True)
    assert rig.compare(field="streams", higher_is_better=True) == 0


def test_a_misspelt_field_is_not_taken_for_one_of_unknown_direction(rig: Rig) -> None:
    rig.ran(record(bits_per_second=1e6), before=[record(bits_per_second=1e6)])
    with pytest.raises(Error, match="did you mean 'bits_per_second'"):
        rig.compare(field="bits_per_secnd")


def test_another_rate_is_told_in_words_and_not_as_none(rig: Rig) -> None:
    limited = {**record(bits_per_second=1e6), "parameters": {"protocol": "udp", "bits_per_second": 1e8}}
    rig.ran(limited, before=[record(bits_per_second=1e6)])
    with pytest.raises(
        Error, match=r"requested rate .bitrate. is as fast as possible in the baseline and 100.* in this run"
    ):
        rig.compare(field="bits_per_second")


def test_the_runs_own_file_is_no_baseline(rig: Rig) -> None:
    rig.ran(record(lost_percent=50.0), before=[])
    with pytest.raises(Error, match="is this run's own file and always matches itself"):
        rig.compare(baseline=rig.own)
    rig.baseline.write_text(rig.own.read_text())
    with pytest.raises(Error, match="has no measurements of an earlier run"):
        rig.compare()


def test_name_that_is_not_there_lists_those_that_are(rig: Rig) -> None:
    rig.ran(record("direct"), before=[record("direct path"), record("other")])
    with pytest.raises(Error, match="no measurement named 'direct'; did you mean 'direct path'"):
        rig.compare("direct")
    with pytest.raises(Error, match=r"This run has no measurement named 'other'\. Available: 'direct'"):
        rig.compare("other")


def test_field_that_is_not_there_lists_those_that_are(rig: Rig) -> None:
    rig.ran(record(lost_percent=1.0), before=[record(lost_percent=1.0, version="3.12")])
    with pytest.raises(Error, match=r"has no number 'lost_percents' for 'm'; did you mean 'lost_percent'\?"):
        rig.compare(field="lost_percents")


def test_stand_in_is_not_compared_with_the_real_product(rig: Rig) -> None:
    rig.ran({**record(lost_percent=1.0), "kind": "e2sar", "stand_ins": {"e2sar_perf": "x"}},
            before=[{**record(lost_percent=1.0), "kind": "e2sar"}])  # fmt: skip
    with pytest.raises(
        Error, match="'m' cannot be compared: the program that stands in is none in the baseline and e2sar_perf in"
    ):
        rig.compare()
    over = {"protocol": "udp", "carried_by": "skupper", "over_stand_in": True}
    rig.ran({**record(lost_percent=1.0), "parameters": over}, before=[record(lost_percent=1.0)])
    with pytest.raises(
        Error, match="'m' cannot be compared: the program that stands in is none in the baseline and skupper in"
    ):
        rig.compare()


def test_stand_in_of_another_suite_of_the_run_does_not_matter(rig: Rig) -> None:
    rig.ran(record(lost_percent=1.0), before=[{**record(lost_percent=1.0), "stand_ins": {"skupper": "x"}}])
    assert rig.compare() == 0


def test_runs_without_a_result_have_no_value() -> None:
    every = [record(bits_per_second=None), record(bits_per_second=5.0), record(bits_per_second=True)]
    assert baselines.values(every, "bits_per_second", "It") == [5.0]
    with pytest.raises(InputError, match="Available: none"):
        baselines.values(every[:1], "bits_per_second", "It")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e400, "5", None, True])
def test_what_is_no_number_is_no_value(rig: Rig, value: Any) -> None:
    """Nothing is worse than nan: everything passed."""
    rig.ran(record(lost_percent=13.0), before=[record(lost_percent=value)])
    with pytest.raises(Error, match="has no number 'lost_percent'"):
        rig.compare()
    rig.ran(record(lost_percent=13.0), before=[record(lost_percent=value), record(lost_percent=0.0)])
    with pytest.raises(Failure):
        rig.compare()


def test_measurement_that_ended_in_an_error_is_no_result_to_compare_with(rig: Rig) -> None:
    """Its two ends contradicted each other, and its figure was taken all the same."""
    ended = [{**record(lost_percent=50.0), "verdict": {"status": each}} for each in ("error", "passed")]
    ended[1]["summary"] = {"lost_percent": 0.0}
    rig.ran(record(lost_percent=13.0), before=ended)
    with pytest.raises(Failure):
        rig.compare()
    rig.ran(record(lost_percent=13.0), before=ended[:1])
    with pytest.raises(Error, match="no result for 'm': 1 measured 'lost_percent' and ended in an error"):
        rig.compare()


def test_baseline_that_failed_itself_is_told_as_such(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(_robot, "console", said.append)
    rig.ran(
        record(lost_percent=13.0),
        before=[{**record(lost_percent=13.0), "verdict": {"status": "failed"}}, record(lost_percent=13.0)],
    )
    assert rig.compare() == 0
    last = json.loads(rig.own.read_text().splitlines()[-1])
    assert last["summary"]["baseline_failed"] == 1
    assert said == ["m: 1 of the baseline's 2 values come from measurements that failed a limit of their own"]


def test_comparison_is_recorded_with_its_check(rig: Rig) -> None:
    rig.ran(record(lost_percent=1.0), before=[record(lost_percent=1.0)])
    assert rig.compare() == 0
    last = json.loads(rig.own.read_text().splitlines()[-1])
    assert (last["kind"], last["verdict"]["status"], last["checks"][0]["expected"]) == ("comparison", "passed", 10.0)


# --- statistics -----------------------------------------------------------------------------------------


def test_difference_has_to_be_beyond_both_tolerance_and_chance() -> None:
    assert compare([100, 101, 99, 100], [70, 71, 69, 70]).worse
    assert not compare([100, 101, 99, 100], [95, 96, 94, 95]).worse  # within the tolerance
    assert not compare([100, 20, 180, 60], [70, 10, 150, 50]).worse  # within chance
    assert compare([1, 1, 1], [2, 2, 2], higher_is_better=False).worse
    assert compare([100], [50]).basis == "medians only, 1 and 1 values"


def test_block_means_leave_out_the_rest() -> None:
    assert block_means([1, 3, 5, 7, 100], blocks=2) == [2, 6]
    assert block_means([1, 2], blocks=10) == [1, 2]
    assert block_means([]) == []


def test_spread_of_one_value_is_that_value() -> None:
    assert (spread([5]).low, spread([5]).high, str(spread([5]))) == (5, 5, "5")
    assert spread([1, 2, 3]).low < 2 < spread([1, 2, 3]).high


# --- files that are not as a run writes them ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"run": "old", "na', "line 2 is not a measurement: Unterminated string"),
        ("[1, 2]", "line 2 is not a measurement: it is not a JSON object"),
        ("null", "line 2 is not a measurement: it is not a JSON object"),
        (json.dumps({**record(), "summary": [1]}), "line 2 is not a measurement: its 'summary' is not an object"),
        (json.dumps({**record(), "verdict": "failed"}), "line 2 is not a measurement: its 'verdict' is not an object"),
        ("[" * 100_000, "line 2 is not a measurement: maximum recursion depth"),
    ],
    ids=range(6),
)
def test_line_that_is_no_measurement_is_named(rig: Rig, line: str, words: str) -> None:
    rig.ran(record(lost_percent=0.0), before=[record(lost_percent=0.0)])
    with open(rig.baseline, "a") as file:
        file.write(line + "\n")
    with pytest.raises(Error, match=words):
        rig.compare()


def test_texts_with_other_ends_of_lines_stay_in_their_line(rig: Rig) -> None:
    rig.ran(record(lost_percent=1.0), before=[record(lost_percent=1.0)])
    odd = json.dumps({**record(lost_percent=1.0), "test": "a\u2028b\x85c", "parameters": None}, ensure_ascii=False)
    rig.baseline.write_bytes(b"\xef\xbb\xbf" + rig.baseline.read_bytes() + odd.encode())
    with pytest.raises(Error, match="the protocol is not recorded and udp"):
        rig.compare()


def test_number_beyond_all_numbers_is_no_value(rig: Rig) -> None:
    rig.ran(record(lost_percent=1.0), before=[record(lost_percent=10**400)])
    with pytest.raises(Error, match="has no number 'lost_percent'"):
        rig.compare()


def test_folder_is_no_baseline(rig: Rig, tmp_path: Path) -> None:
    rig.ran(record(lost_percent=1.0), before=[])
    with pytest.raises(Error, match="is not a file; give a measurements"):
        rig.compare(baseline=tmp_path)


def test_line_that_another_run_could_not_finish_does_not_matter_in_the_own_file(rig: Rig) -> None:
    rig.ran(record(lost_percent=1.0), before=[record(lost_percent=1.0)])
    rig.own.write_text('{"run": "dead", "na\n' + rig.own.read_text())
    assert rig.compare() == 0.0
