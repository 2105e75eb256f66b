"""Keywords that tell what outage measurements found, and what they were made with."""

from __future__ import annotations

from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._outages import state_of
from NetLibrary.types import ProbeKind


class OutageResultKeywords(KeywordBase):
    """Read the results of outage measurements."""

    @keyword(tags=["outages"])
    def get_open_outages(self) -> list[str]:
        """Returns the probe streams that are in an outage right now."""
        running = state_of(self.session).running
        if running is None:
            raise InputError("No measurement is running; use 'Start Outage Measurement' first.")
        return running.open_outages()

    @keyword(tags=["outages"], formerly=["Get Break Outages"])
    def get_outages(self, path: str, probe: ProbeKind) -> list[dict[str, Any]]:
        """Returns the outages that one kind of probe saw on one path during the last measurement.

        Args:
            path: Name of the path, see [OutagePath]; followed by ` IPv4` or ` IPv6` where both were measured.
            probe: Kind of probe.
        Returns:
            For each outage `start_seconds`, `length_ms`, its bounds `shortest_ms` and `longest_ms`, and `kind`.
        """
        from NetLibrary._mechanics.outages import objects
        from NetLibrary._mechanics.outages.show import tables

        result = state_of(self.session).ended
        if result is None:
            raise InputError("There is no measurement yet; use 'Stop Outage Measurement' first.")
        wanted = objects.plain(path)
        for stream in result.streams:
            names = (objects.plain(stream.spec.path), objects.plain(stream.spec.base_path))
            if wanted in names and stream.spec.kind is probe:
                return [tables.window_facts(window, result) for window in stream.outages]
        known = ", ".join(stream.spec.name for stream in result.streams)
        raise InputError(f"The last measurement has no stream '{path} {probe.value}'; it has {known}.")

    @keyword(tags=["outages"], formerly=["Get Break Node"])
    def get_outage_endpoint_node(self, role: str = "far") -> str:
        """Returns the name of the node that an endpoint of the running or last measurement is on.

        Args:
            role: `source`, `near`, `far`, `near-host` or `far-host`.
        Returns:
            Name of the node.
        """
        endpoints = state_of(self.session).endpoints
        if endpoints is None:
            raise InputError("There was no measurement yet; use 'Start Outage Measurement' first.")
        if role not in endpoints.pods:
            raise InputError(f"role is '{role}'; allowed: {', '.join(sorted(endpoints.pods))}.")
        return str(endpoints.pods[role]["spec"]["nodeName"])

    @keyword(tags=["outages"])
    def get_outage_probe_image(self, *, cluster: str | None = None) -> str:
        """Returns the default image of prober and echo servers: the lab's own, or else a public one with python3.

        The public image has no iperf3, so there are no iperf3 streams beside the probes; `containers/probe` builds an
        image that has it.

        Args:
            cluster: Alias of the cluster.
        Returns:
            The image.
        """
        from NetLibrary._mechanics.outages import objects

        return objects.probe_image(self.session.cluster(cluster))

    @keyword(tags=["outages"], formerly=["Report Break Repeats"])
    def show_outage_repeats(self, name: str) -> dict[str, Any]:
        """Shows the median and the spread of all measurements of one name in this run.

        Args:
            name: Name of the measurements.
        Returns:
            Median of the longest outage per stream, in milliseconds.
        """
        from NetLibrary._mechanics.outages.results.repeats import spread
        from NetLibrary._mechanics.report import html_table

        results = state_of(self.session).repeats.get(name, [])
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
