"""Tables and pictures of CyPerf: what a reader of the log sees of agents, checks and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.cyperf.checklist import Point
from NetLibrary._mechanics.cyperf.judge import Judged
from NetLibrary._mechanics.cyperf.nodes import NodeReading
from NetLibrary._mechanics.cyperf.results import Totals, View
from NetLibrary._mechanics.cyperf.types import Agent
from NetLibrary._mechanics.cyperf.units import shown
from NetLibrary._mechanics.pictures import COLOURS, picture
from NetLibrary._mechanics.report import Cell, Table

_WORDS = {True: Cell("holds", "good"), False: Cell("FAILS", "bad"), None: Cell("not checked", "idle")}
# Part of a number's name: its unit
_UNITS = {
    "bits_per_second": "bit/s", "per_second": "/s", "_us": "us", "percent": "%", "bytes_": "B",
}  # fmt: skip


def points(found: Iterable[Point], caption: str) -> Table:
    """Returns the table of a checklist."""
    rows = [
        [point.rule, point.expected, point.seen, Cell("advice", "warn") if point.advice else _WORDS[point.passed]]
        for point in found
    ]
    return Table(["Point", "Expected", "Seen", ""], rows, caption)


def judged(found: Judged, caption: str) -> Table:
    """Returns the table of a judgement, with the rules that could not be looked at."""
    rows: list[list[object]] = []
    for check in found.checks:
        _, _, rest = check.sentence.partition(": expected ")
        expected, _, seen = rest.partition(", seen ")
        rows.append([check.sentence.partition(":")[0], expected, seen, _WORDS[check.passed]])
    rows += [[rule, "", why, _WORDS[None]] for rule, why in found.unseen]
    rows += [[error, "", "", _WORDS[None]] for error in found.errors]
    return Table(["Rule", "Expected", "Seen", ""], rows, caption)


def totals(numbers: Totals, caption: str) -> Table:
    """Returns the table of a run's headline numbers."""
    rows: list[list[object]] = []
    for key, value in numbers.numbers().items():
        unit = next((unit for part, unit in _UNITS.items() if part in key), "")
        label = key.removesuffix("_bits_per_second").removesuffix("_us").removesuffix("_percent").replace("_", " ")
        rows.append([label, Cell(shown(value, unit), "idle" if value is None else "")])
    return Table(["Number", "Value"], rows, caption)


def agents(found: Iterable[Agent], caption: str) -> Table:
    """Returns the table of the agents that a controller lists."""
    rows = [
        [
            agent.hostname, agent.ip, "offline" if agent.offline else agent.status, agent.session_name or "-",
            ", ".join(agent.tags), agent.version,
        ]
        for agent in found
    ]  # fmt: skip
    return Table(["Host", "Address", "State", "Session", "Tags", "Version"], rows, caption)


def readings(found: Sequence[NodeReading]) -> Table:
    """Returns the table of what was read at the nodes."""
    rows = [
        [
            each.node, each.entries, each.table_size, each.time_wait_seconds, each.losses,
            f"{each.clock:+.1f} s" if each.clock else "-",
        ]
        for each in found
    ]  # fmt: skip
    columns = ["Node", "Tracked", "Table", "TIME_WAIT s", "Refused since boot", "Clock"]
    return Table(columns, rows, "Connection tracking")


def draw(path: Path, views: Mapping[str, View], title: str) -> Path:
    """Draws throughput of both sides, and connection rate on a second axis.

    Args:
        path: PNG file to write.
        views: Views by name.
        title: Title of the picture; says so when a stand-in made the traffic.
    """
    with picture(path, 8, 3) as axes:
        start = min((row.milliseconds for view in views.values() for row in view.rows), default=0)
        for number, side in enumerate(("client", "server")):
            view = views.get(f"{side}-throughput")
            if view is not None and view.rows:
                found = view.series(view.columns[-1])
                seconds = [(stamp - start) / 1000 for stamp, _ in found]
                values = [value / 1e6 for _, value in found]
                axes.plot(seconds, values, color=COLOURS[number], marker=".", label=f"{side}s")
        axes.set_xlabel("seconds")
        axes.set_ylabel("throughput, Mbit/s")
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        _connections(axes, views, start)
        axes.legend(loc="upper left", fontsize=8)
    return path


def _connections(axes: Any, views: Mapping[str, View], start: int) -> None:
    view = views.get("client-application-connection-rate")
    if view is None or not view.rows:
        return
    second = axes.twinx()
    second.grid(False)
    for column, colour, style in (
        ("Connections Succeeded Per Second", COLOURS[2], "-"),
        ("Connections Failed Per Second", COLOURS[3], "--"),
    ):
        found = view.series(column)
        if found:
            label = column.removesuffix(" Per Second").lower()
            seconds = [(stamp - start) / 1000 for stamp, _ in found]
            second.plot(seconds, [value for _, value in found], style, color=colour, label=label)
    second.set_ylabel("connections per second")
    second.set_ylim(bottom=0)
    second.legend(loc="upper right", fontsize=8)
