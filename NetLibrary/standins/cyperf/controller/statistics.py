"""Turns the agents' counters into the views of a result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from . import views
from .agents import Agent
from .samples import AgentSample, JsonObject, Measured, Sample


@dataclass
class _Before:
    monotonic: float = 0.0
    counters: dict[str, dict[str, int]] = field(default_factory=dict)


class Statistics:
    """The views of one result."""

    def __init__(self, run_id: str, start_milliseconds: int) -> None:
        self.run_id = run_id
        self.start = start_milliseconds
        self.snapshots: dict[str, list[JsonObject]] = {view.name: [] for view in views.VIEWS}
        self.clients = self.servers = 0
        self._before: dict[str, _Before] = {}
        self._gone: dict[str, AgentSample] = {}

    def baseline(self, agents: list[Agent]) -> None:
        """Remembers counters as the zero of this run."""
        for agent in agents:
            self._measure(agent)

    def _measure(self, agent: Agent) -> AgentSample:
        report = agent.report
        before = self._before.setdefault(agent.id, _Before(float(report.get("monotonic", 0.0))))
        seconds = float(report.get("monotonic", 0.0)) - before.monotonic
        seen: dict[str, dict[str, int]] = {}

        def measured(group: str, entries: dict[str, dict[str, int]]) -> dict[str, Measured]:
            made = {}
            for name, total in entries.items():
                key = f"{group}/{name}"
                seen[key] = total
                old = before.counters.get(key, {})
                made[name] = Measured(total, {each: total[each] - old.get(each, 0) for each in total}, seconds)
            return made

        names = ("received", "packets_received", "dropped_in", "sent", "packets_sent", "dropped_out")
        network = {
            name: dict(zip(names, row, strict=True)) for name, row in report.get("host", {}).get("network", {}).items()
        }
        sample = AgentSample(
            agent=agent,
            client=measured("client", self._of_this_run(report, "client")),
            server=measured("server", self._of_this_run(report, "server")),
            streams=measured("streams", self._of_this_run(report, "server", "streams")),
            dns=dict(report.get("dns", {})),
            host=dict(report.get("host", {})),
            network=measured("network", network),
            clock_offset=float(report.get("epoch", 0.0)) - time.time() if report else 0.0,
        )
        if seconds > 0 or not before.counters:
            self._before[agent.id] = _Before(float(report.get("monotonic", 0.0)), seen)
        return sample

    def _of_this_run(self, report: JsonObject, role: str, group: str = "") -> dict[str, dict[str, int]]:
        """Agents keep showing the counters of their last run until the next one starts."""
        return dict(report.get(group or role, {})) if report.get(f"{role}_run") == self.run_id else {}

    def add(self, agents: list[Agent], final: bool = False) -> Sample:
        """Takes one sample and appends a row to every view.

        An agent that fell silent keeps its totals, so that totals never shrink.
        """
        present = {agent.id: self._measure(agent) for agent in agents}
        self._gone.update(present)
        every = [present.get(identifier) or _silent(sample) for identifier, sample in self._gone.items()]
        sample = Sample(int(time.time() * 1000), every, final)
        self.clients = sum(1 for each in present.values() if each.client)
        self.servers = sum(1 for each in present.values() if each.server)
        for view in views.VIEWS:
            if final and view.rate:
                continue
            rows = view.rows(sample)
            if rows:
                self.snapshots[view.name].append(
                    {"timestamp": sample.milliseconds, "values": [_shown(sample, view, row) for row in rows]}
                )
        return sample

    def listed(self) -> list[JsonObject]:
        """Returns the views that have rows, without them."""
        return [view.described() for view in views.VIEWS if self.snapshots[view.name]]

    def read(self, name: str, begin: int | None, end: int | None, lag_seconds: float, relative: bool) -> JsonObject:
        """Returns one view within a window of milliseconds.

        Without `begin` the window is the last five minutes, without `end` it ends some seconds
        ago, as on the real controller; relative times count from the start of the test.

        Raises:
            KeyError: When there is no such view.
        """
        view = views.BY_NAME[name]
        now = int(time.time() * 1000)
        if relative:
            first = self.start + (begin or 0)
            last = self.start + end if end is not None and end >= (begin or 0) else now
        else:
            first = begin if begin is not None else now - 300_000
            last = end if end is not None and end >= first else now - int(lag_seconds * 1000)
        rows = [row for row in self.snapshots[name] if first <= row["timestamp"] <= last]
        return {**view.described(), "snapshots": rows}


def _silent(sample: AgentSample) -> AgentSample:
    def still(measured: dict[str, Measured]) -> dict[str, Measured]:
        return {
            name: Measured({**each.total, "open": 0, "users": 0}, dict.fromkeys(each.total, 0), 1.0)
            for name, each in measured.items()
        }

    return AgentSample(sample.agent, still(sample.client), still(sample.server), sample.dns, {}, {}, 0.0,
                       still(sample.streams))  # fmt: skip


def _shown(sample: Sample, view: views.View, row: list[Any]) -> list[Any]:
    """Cells are text, as on real controllers; what is not known is the word null."""
    cells = ["null" if cell is None else cell if isinstance(cell, str) else _number(cell) for cell in row]
    return cells if view.keys else [sample.milliseconds, *cells]


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}".rstrip("0").rstrip(".")
