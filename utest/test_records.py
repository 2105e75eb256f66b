"""Every measurement is one line that fulfils the schema, also when several processes write."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import jsonschema
import numpy
import pytest

from NetLibrary._mechanics import records
from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.facts import STAND_IN_LABEL, images_of
from NetLibrary._mechanics.records import Recorder, Surroundings, plain
from NetLibrary._mechanics.verdict import Verdict

NODE = {"name": "n1", "kubelet": "v1", "runtime": "containerd://2", "kernel": "6.1", "os": "Debian"}
SURROUNDINGS = Surroundings(
    run="r1",
    suite="S",
    test="T",
    clusters=[{"alias": "default", "version": "v1.35.4", "lab": None, "nodes": [NODE]}],
    stand_ins={"skupper": "ours"},
    timings={"Make Sites": 1.5},
)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: float
    colour: Colour


def recorder(folder: Path) -> Recorder:
    return Recorder(lambda: folder, lambda: SURROUNDINGS)


def validate(record: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(records.schema()).validate(record)


def throughput(**summary: Any) -> dict[str, Any]:
    return {"bits_per_second": 1e6, "bytes": 125_000, "duration_seconds": 1.0, **summary}


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(records.schema())


def test_smallest_and_largest_record_fulfil_the_schema(tmp_path: Path) -> None:
    ours = recorder(tmp_path / "new" / "folder")
    small = ours.add(kind="outage", name="n")
    large = ours.add(
        kind="throughput", name="n", parameters={"p": Colour.RED}, samples=[Point(1, Colour.RED)], series={"s": (1, 2)},
        summary=throughput(), thresholds={"at_least": timedelta(seconds=2)}, verdict=Verdict(False, ["too slow"]),
        images=[{"reference": "i:1", "digest": None, "stand_in": None}],
        files=[tmp_path / "new" / "folder" / "pictures" / "a.png", "/elsewhere/b.txt"], timings={"step": 2},
    )  # fmt: skip
    for record in (small, large):
        validate(record)
    assert (small["run"], small["suite"], small["test"]) == ("r1", "S", "T")
    assert small["timings_seconds"] == {"Make Sites": 1.5}
    assert small["stand_ins"] == {"skupper": "ours"}
    assert small["verdict"] == {"passed": None, "reasons": [], "status": "not judged"}
    assert large["samples"] == [{"x": 1, "colour": "red"}]
    assert large["thresholds"] == {"at_least": 2.0}
    assert large["files"] == ["pictures/a.png", "/elsewhere/b.txt"]
    assert large["timings_seconds"] == {"step": 2}
    assert records.read(ours.path) == [small, large]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": ""},
        {"name": ""},
        {"schema": 1},
        {"extra": 1},
        {"summary": {}},
        {"verdict": {"passed": "yes", "reasons": [], "status": "passed"}},
        {"verdict": {"passed": True, "reasons": [], "status": "perhaps"}},
        {"checks": [{"rule": "r", "expected": 1, "seen": 2, "unit": "", "passed": None, "text": ""}]},
    ],
)
def test_schema_refuses_what_is_no_measurement(tmp_path: Path, change: dict[str, Any]) -> None:
    record = recorder(tmp_path).add(kind="throughput", name="n", summary=throughput())
    validate(record)
    with pytest.raises(jsonschema.ValidationError):
        validate({**record, **change})


def test_numbers_that_json_does_not_know_become_null(tmp_path: Path) -> None:
    values = [math.nan, math.inf, -math.inf, numpy.float64("nan"), 1.5]
    ours = recorder(tmp_path)
    record = ours.add(kind="k", name="n", samples=values, summary={"rate": math.inf})
    assert record["samples"] == [None, None, None, None, 1.5]
    assert records.read(ours.path) == [record]
    assert "NaN" not in ours.path.read_text()


def test_whatever_a_topic_hands_over_becomes_plain() -> None:
    assert plain({Colour.RED: Path("a/b"), 1: {3}, None: b"x"}) == {"red": "a/b", "1": [3], "None": "b'x'"}
    assert plain(numpy.array([[1.0, numpy.nan], [2, 3]])) == [[1.0, None], [2.0, 3.0]]
    assert plain((numpy.int64(3), numpy.bool_(True))) == [3, True]
    assert plain(Point(float("inf"), Colour.RED)) == {"x": None, "colour": "red"}
    assert json.loads(json.dumps(plain({"a": timedelta(minutes=1)}))) == {"a": 60.0}


def test_odd_words_stay_on_one_line(tmp_path: Path) -> None:
    ours = recorder(tmp_path)
    name = "two\nlines\u2028and\u0085more \ud800 ü"
    ours.add(kind="k", name=name)
    ours.add(kind="k", name="next")
    assert [record["name"] for record in records.read(ours.path)] == [name, "next"]


def _write(folder: str, name: str, count: int) -> None:
    ours = recorder(Path(folder))
    for number in range(count):
        ours.add(kind="k", name=name, parameters={"number": number}, samples=list(range(3000)))


def test_two_processes_do_not_mix_their_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(tmp_path), name, 40)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = records.read(tmp_path / records.FILE_NAME)
    for name in ("one", "two"):
        mine = [record for record in found if record["name"] == name]
        assert [record["parameters"]["number"] for record in mine] == list(range(40))
        assert all(len(record["samples"]) == 3000 for record in mine)


def test_images_are_named_once_with_digest_and_stand_in() -> None:
    def pod(name: str, image: str, **labels: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "labels": labels or None},
            "spec": {"containers": [{"name": "c", "image": image}]},
            "status": {"containerStatuses": [{"name": "c", "imageID": f"sha256:{image}"}]},
        }

    late = pod("late", "b:1")
    late["status"] = {}
    pods = [pod("x", "a:1"), pod("y", "a:1"), late, pod("z", "s:1", **{STAND_IN_LABEL: "skupper"})]
    assert images_of(pods) == [
        {"reference": "a:1", "digest": "sha256:a:1", "stand_in": None},
        {"reference": "b:1", "digest": None, "stand_in": None},
        {"reference": "s:1", "digest": "sha256:s:1", "stand_in": "skupper"},
    ]


def test_full_disk_is_told_and_costs_no_other_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(lambda: tmp_path, Surroundings)
    write = os.write
    monkeypatch.setattr(records.os, "write", lambda handle, data: write(handle, data[:40]))
    with pytest.raises(EnvironmentProblem, match=r"measurements.jsonl' cannot be written: No space left on device\."):
        recorder.add(kind="throughput", name="first")
    monkeypatch.undo()
    recorder.add(kind="throughput", name="second")
    assert [json.loads(line)["name"] for line in recorder.path.read_text().splitlines()[1:]] == ["second"]
