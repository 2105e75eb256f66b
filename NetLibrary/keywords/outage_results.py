"""Keywords that ask what a measurement of breaks has found."""

from __future__ import annotations

from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.outages import tables
from NetLibrary._mechanics.outages.measurement import BreakResult
from NetLibrary._mechanics.outages.paths import Endpoints
from NetLibrary._mechanics.outages.repeats import spread
from NetLibrary._mechanics.outages.types import ProbeKind
from NetLibrary._mechanics.report import html_table
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._outages import plain
from NetLibrary.keywords.disruption import DisturbanceKeywords


class BreakResultKeywords(DisturbanceKeywords):
    """Outages, nodes and repeats of the running or last measurement."""

    _break_endpoints: Endpoints | None = None
    _last_break: BreakResult | None = None
    _break_repeats: dict[str, list[BreakResult]] | None = None

    @keyword(tags=["break"])
    def get_open_outages(self) -> list[str]:
        """Returns the streams that are in an outage at this moment."""
        if self._break_measurement is None:
            raise InputError("No measurement runs; use 'Start Break Measurement' first.")
        return self._break_measurement.open_outages()

    @keyword(tags=["break"])
    def get_break_outages(self, path: str, probe: ProbeKind) -> list[dict[str, Any]]:
        """Returns the outages that one kind of probe saw on one path in the last measurement.

        Args:
            path: Name of the path, see [BreakPath]; with ` IPv4` or ` IPv6` where both were measured.
            probe: Kind of probe.
        Returns:
            For each outage `start_seconds`, `length_ms`, its bounds `shortest_ms` and `longest_ms`, and `kind`.
        """
        if self._last_break is None:
            raise InputError("There is no measurement yet; use 'Stop Break Measurement' first.")
        wanted = plain(path)
        for stream in self._last_break.streams:
            if wanted in (plain(stream.spec.path), plain(stream.spec.base_path)) and stream.spec.kind is probe:
                return [tables.window_facts(window, self._last_break) for window in stream.outages]
        names = ", ".join(stream.spec.name for stream in self._last_break.streams)
        raise InputError(f"The last measurement has no stream '{path} {probe.value}'; it has {names}.")

    @keyword(tags=["break"])
    def get_break_node(self, role: str = "far") -> str:
        """Returns the name of the node on which an endpoint of the running or last measurement is.

        Args:
            role: `source`, `near`, `far`, `near-host` or `far-host`.
        """
        if self._break_endpoints is None:
            raise InputError("There was no measurement yet; use 'Start Break Measurement' first.")
        if role not in self._break_endpoints.pods:
            raise InputError(f"role is '{role}'; there are {', '.join(sorted(self._break_endpoints.pods))}.")
        return str(self._break_endpoints.pods[role]["spec"]["nodeName"])

    @keyword(tags=["break"])
    def report_break_repeats(self, name: str) -> dict[str, Any]:
        """Shows median and spread of all measurements of one name in this run.

        Args:
            name: Name of the measurements.
        Returns:
            Median of the longest outage per stream in milliseconds.
        """
        results = (self._break_repeats or {}).get(name, [])
        if not results:
            raise InputError(f"This run has no measurement named '{name}'.")
        longest: dict[str, list[float]] = {}
        for result in results:
            for stream in result.streams:
                if stream.invalid is None:
                    longest.setdefault(stream.spec.name, []).append(stream.longest_ms)
        spreads = {stream: spread(values) for stream, values in longest.items()}
        rows = [
            [
                stream,
                len(s.samples),
                f"{s.median:.0f}",
                f"{s.least:.0f} to {s.most:.0f}",
                f"{s.low:.0f} to {s.high:.0f}",
            ]
            for stream, s in spreads.items()
        ]
        columns = ("stream", "runs", "median ms", "smallest to largest", "95 % confidence of the mean")
        self.session.headline(html_table(columns, rows, f"{name}: longest outage over {len(results)} runs"))
        return {stream: s.median for stream, s in spreads.items()}
