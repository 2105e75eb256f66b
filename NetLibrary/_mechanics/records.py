"""Machine-readable results: one JSON line per measurement in `measurements.jsonl`."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.verdict import Check, Verdict

FILE_NAME = "measurements.jsonl"
SCHEMA_FILE = Path(__file__).with_name("measurements.schema.json")
SCHEMA_VERSION = 2


@dataclass
class Surroundings:
    """Where and by whom a measurement was made; filled in by the session.

    Args:
        run: Id of the run.
        suite: Name of the suite.
        test: Name of the test.
        clusters: Facts about each connected cluster, see `facts.py`.
        stand_ins: Programs that were stand-ins, by what they stand in for; empty when everything was real.
        timings: Seconds spent so far in each step of the test.
    """

    run: str = ""
    suite: str = ""
    test: str = ""
    clusters: list[dict[str, Any]] = field(default_factory=list)
    stand_ins: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)


class Recorder:
    """Appends measurements to the file of the run.

    Args:
        folder: Called for the output folder at each measurement, since a run may not know it before it starts.
        surroundings: Called for what is true just then.
    """

    def __init__(self, folder: Callable[[], Path], surroundings: Callable[[], Surroundings]) -> None:
        self._folder = folder
        self._surroundings = surroundings

    @property
    def path(self) -> Path:
        """The file that records are written to."""
        return self._folder() / FILE_NAME

    def add(
        self,
        *,
        kind: str,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        samples: Sequence[Any] = (),
        series: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        thresholds: Mapping[str, Any] | None = None,
        checks: Sequence[Check] = (),
        causes: Sequence[str] = (),
        verdict: Verdict | None = None,
        images: Sequence[Mapping[str, Any]] = (),
        files: Sequence[str | Path] = (),
        timings: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Writes one measurement and returns it as it was written.

        Args:
            kind: What was measured, for instance `throughput`; the schema lists the kinds' summaries.
            name: Which one it was, unique enough to find its baseline again.
            parameters: What was asked for.
            samples: Every single value behind the summary.
            series: Values over time, by name.
            summary: The results, units in the names (`bits_per_second`).
            thresholds: What was expected, where it is not in `checks`.
            checks: What was expected and what was seen, one by one.
            causes: What explains the checks that failed, the best explanation first.
            verdict: How it was judged.
            images: What ran: reference, digest, and `stand_in` where it was none of the real product's.
            files: Pictures and raw outputs, relative to the output folder.
            timings: Seconds per step; those of the session when left out.
        Raises:
            EnvironmentProblem: The file cannot be written, for instance because the disk is full.
        """
        around = self._surroundings()
        record = plain(
            {
                "schema": SCHEMA_VERSION,
                "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                "run": around.run,
                "suite": around.suite,
                "test": around.test,
                "kind": kind,
                "name": name,
                "clusters": around.clusters,
                "stand_ins": around.stand_ins,
                "images": list(images),
                "parameters": parameters or {},
                "samples": list(samples),
                "series": series or {},
                "summary": summary or {},
                "thresholds": thresholds or {},
                "checks": [asdict(check) for check in checks],
                "causes": list(causes),
                "verdict": verdict or Verdict(),
                "timings_seconds": around.timings if timings is None else timings,
                "files": [self._relative(Path(file)) for file in files],
            }
        )
        path = self.path
        line = secrets.hide(json.dumps(record, separators=(",", ":"), allow_nan=False))
        _append(path, (line + "\n").encode())
        return record

    def _relative(self, file: Path) -> str:
        try:
            return str(file.relative_to(self._folder()))
        except ValueError:
            return str(file)


def _append(path: Path, line: bytes) -> None:
    """Adds a line to a file; one that a full disk cut off is an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One write in append mode: lines of two processes that share a folder do not mix
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            # What a run before could not finish, for instance on a full disk, must not make two lines one
            torn = bool(size) and os.pread(handle, 1, size - 1) != b"\n"
            line = b"\n" * torn + line
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        raise EnvironmentProblem(f"'{path}' cannot be written: {error.strerror}.") from error


def read(path: Path, *, run: str = "") -> list[dict[str, Any]]:
    """Returns the measurements of a file.

    Args:
        path: The file.
        run: Only those of this run; what others have left in the file need not be readable then.
    Raises:
        ValueError: A line is none; the text names it.
    """
    found = []
    # Not `splitlines`: texts in a record may have other ends of lines, such as U+2028
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig").split("\n"), 1):
        if line.strip():
            try:
                found.append(_measurement(json.loads(line)))
            except (ValueError, RecursionError) as error:
                if not run:
                    raise ValueError(f"line {number} is not a measurement: {str(error).rstrip('.')}") from None
    return [each for each in found if run in ("", each.get("run"))]


def _measurement(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    for part in ("summary", "parameters", "verdict", "stand_ins"):
        if value.get(part) is None:
            value[part] = {}
        elif not isinstance(value[part], dict):
            raise ValueError(f"its '{part}' is not an object")
    return value


@cache
def schema() -> dict[str, Any]:
    """Returns the JSON Schema that every measurement fulfils."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return loaded


def plain(value: Any) -> Any:
    """Turns dataclasses, enums, paths, durations and non-finite numbers into what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(value.tolist())
    return str(value)
