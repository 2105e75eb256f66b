"""The tables and the record of a measurement."""

from __future__ import annotations

import json
from typing import Any

from NetLibrary._mechanics.outages.causes import impacts_of
from NetLibrary._mechanics.outages.results.original import PUBLISHED_ICMP, PUBLISHED_TCP, of_path
from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.types import NEW, NS, ProbeKind, StreamResult, Window
from NetLibrary._mechanics.report import Cell, Table
from NetLibrary.types import OutagePath

STREAM_COLUMNS = (
    "path", "probe", "connections", "planned", "sent", "answered", "lost", "outages", "longest ms (bounds)", "total ms",
    "kind", "kept connection", "resolution ms",
)  # fmt: skip
STEP_COLUMNS = ("step", "at s", "took s", "paths affected", "longest outage", "kinds")


IPERF_COLUMNS = ("iperf3 stream", "Mbit/s", "longest gap ms", "sent again", "lost", "note")


def all_of(result: OutageResult) -> list[Table]:
    """Returns all tables of a measurement, the telling ones first."""
    found = [Table(STREAM_COLUMNS, stream_rows(result), result.name)]
    if steps := step_rows(result):
        found.append(Table(STEP_COLUMNS, steps, "Outages by step"))
    if result.iperf:
        found.append(Table(IPERF_COLUMNS, iperf_rows(result), "iperf3 beside the probes", headline=False))
    if not comparable(result):
        return found
    caption = "Counts as kube-ovn's test-server makes them (by source from kernel counters, by path from our records)"
    found.append(Table(FIGURE_COLUMNS, figure_rows(result), caption, headline=False))
    if rows := published_rows(result):
        caption = (
            "In the format of the test-server's README, next to its published figures for reloads of kube-ovn (60 s)"
        )
        found.append(Table(PUBLISHED_COLUMNS, rows, caption, headline=False))
    return found


def comparable(result: OutageResult) -> bool:
    """Tells whether paths were measured that kube-ovn's test-server measures too; targets of the user's are none."""
    known = {path.value for path in OutagePath}
    return any(stream.spec.base_path in known for stream in result.streams)


def iperf_rows(result: OutageResult) -> list[list[object]]:
    """Returns one row per iperf3 stream."""
    return [
        [
            run.name,
            f"{run.bits_per_second / 1e6:.2f}",
            "" if run.longest_gap_ms is None else f"{run.longest_gap_ms:.0f}",
            "" if run.retransmits is None else run.retransmits,
            "" if run.packets is None else f"{run.lost_packets} of {run.packets}",
            Cell(run.error or "", "warn" if run.error else ""),
        ]
        for run in result.iperf
    ]


def stream_rows(result: OutageResult) -> list[list[object]]:
    """Returns one row per stream."""
    return [_stream_row(stream) for stream in result.streams]


def _stream_row(stream: StreamResult) -> list[object]:
    spec = stream.spec
    if stream.invalid:
        return [spec.path, spec.kind.value, spec.connections, stream.planned, stream.sent, stream.answered,
                stream.lost, Cell("no result", "warn", stream.invalid), "", "", stream.invalid, "", ""]  # fmt: skip
    kinds = sorted({f"{w.kind.value} ({w.way})" if w.way else w.kind.value for w in stream.windows})
    longest = stream.longest
    mark = "bad" if stream.outages else "good"
    kept = ""
    if stream.kept_survived is not None:
        kept = "survived" if stream.kept_survived else f"broke {stream.kept_breaks} times, {stream.kept_resets} resets"
    seen = "an outage that is shorter than the longest time between two probes of a connection may have been missed"
    if stream.path_spacing_ms:
        seen += (
            f"; between two probes of all connections of the path there were {stream.path_spacing_ms:.0f} ms at most"
        )
    return [
        spec.path,
        spec.kind.value,
        spec.connections,
        stream.planned,
        Cell(str(stream.sent), "warn" if stream.skipped else "", "; ".join(stream.notes)),
        stream.answered,
        f"{stream.lost} ({stream.loss_ratio:.2%})" if stream.lost else 0,
        Cell(str(len(stream.outages)) or "0", mark, "; ".join(_window_text(w) for w in stream.windows[:12])),
        bounds_text(longest) if longest else 0,
        f"{stream.total_ms:.0f}",
        ", ".join(kinds),
        Cell(kept, "bad" if stream.kept_survived is False else ""),
        Cell(resolution_text(stream), "", seen),
    ]


def resolution_text(stream: StreamResult) -> str:
    """Returns the longest time between two probes: of a connection, and of all connections of the path together."""
    own = f"{stream.spacing_ms:.0f}"
    return f"{own}; path {stream.path_spacing_ms:.0f}" if 0 < stream.path_spacing_ms < stream.spacing_ms else own


def bounds_text(window: Window) -> str:
    """Returns a window's length with its bounds, for instance `312 (305 to 320)`."""
    more = " or more" if window.open_end else ""
    return f"{window.length_ms:.0f} ({window.shortest_ms:.0f} to {window.longest_ms:.0f}){more}"


def _window_text(window: Window) -> str:
    many = f" on {window.connections} connections" if window.connections > 1 else ""
    return f"{window.kind.value} {bounds_text(window)} ms{many}" + (f", {window.way}" if window.way else "")


def step_rows(result: OutageResult) -> list[list[object]]:
    """Returns one row per step: what it cost."""
    times = {step.name: step for step in result.steps}
    rows: list[list[object]] = []
    for impact in impacts_of(result):
        step = times.get(impact.step)
        at = f"{(step.start_ns - result.start_ns) / NS:.1f}" if step else ""
        took = f"{(step.end_ns - step.start_ns) / NS:.1f}" if step and step.end_ns else ""
        longest = impact.longest
        name = Cell(f"{impact.step} (failed)", "warn", step.error) if step and step.error else impact.step
        rows.append(
            [
                name,
                at,
                took,
                Cell(", ".join(impact.paths) or "none", "bad" if impact.paths else "good"),
                f"{bounds_text(longest[1])} ms, {longest[0]}" if longest else "",
                ", ".join(impact.kinds),
            ]
        )
    return rows


def figure_rows(result: OutageResult) -> list[list[object]]:
    """Returns the figures of kube-ovn's test-server: from the counters per source, from our records per path."""
    rows: list[list[object]] = []
    for source, figures in result.figures.items():
        if figures is None:
            rows.append([source, Cell(result.deltas[source].invalid or "unknown", "warn"), "", "", "", "", ""])
            continue
        ratio = f"{result.deltas[source].retransmit_ratio:.2%}"
        rows.append(
            [source, figures.total_icmp_echo, figures.icmp_lost, figures.total_tcp_out_segments,
             f"{figures.tcp_retrans_segment} ({ratio})", figures.total_tcp_connection, figures.failed_tcp_connection]
        )  # fmt: skip
    for path in dict.fromkeys(stream.spec.path for stream in result.streams):
        own = of_path([stream for stream in result.streams if stream.spec.path == path])
        run = next((run for run in result.iperf if run.name == f"{path} tcp" and run.retransmits is not None), None)
        rows.append(
            [path, own["TotalIcmpEcho"], own["IcmpLost"], run.blocks if run else "", run.retransmits if run else "",
             own["TotalTCPConnection"], own["FailedTCPConnection"]]
        )  # fmt: skip
    return rows


def published_rows(result: OutageResult) -> list[list[object]]:
    """Returns the rows of the original's own result tables that were measured here; families of a path are added up."""
    rows: list[list[object]] = []
    for path, (first, later) in PUBLISHED_ICMP.items():
        echoes = [s for s in result.streams if s.spec.base_path == path.value and s.spec.kind is ProbeKind.ICMP]
        if echoes:
            own = of_path(echoes)
            seen = f"{own['IcmpLost']} of {own['TotalIcmpEcho']}"
            rows.append([path.value, "ICMP lost", first, later, seen])
    for path, (first, later) in PUBLISHED_TCP.items():
        connections = [s for s in result.streams if s.spec.base_path == path.value and s.spec.kind in NEW]
        runs = [run for run in result.iperf if run.name == f"{path.value} tcp" and run.retransmits is not None]
        if connections:
            again = str(sum(run.retransmits or 0 for run in runs)) if runs else "not measured"
            seen = f"{again} / {of_path(connections)['FailedTCPConnection']}"
            rows.append([path.value, "retransmits / connection failures", first, later, seen])
    return rows


def as_the_original_prints(result: OutageResult) -> str:
    """Returns the figures of each path as test-server prints them with `--output=json`."""
    documents = []
    for path in dict.fromkeys(stream.spec.path for stream in result.streams):
        streams = [stream for stream in result.streams if stream.spec.path == path]
        run = next((run for run in result.iperf if run.name == f"{path} tcp"), None)
        own = of_path(streams)
        documents.append(
            {
                "DurationSeconds": round((result.end_ns - result.start_ns) / NS),
                "RemoteAddress": streams[0].spec.address,
                "RemotePort": next((stream.spec.port for stream in streams if stream.spec.port), 0),
                "TotalIcmpEcho": own["TotalIcmpEcho"],
                "IcmpLost": own["IcmpLost"],
                "TotalTCPOutSegments": run.blocks if run else 0,
                "TCPRetransSegment": (run.retransmits or 0) if run else 0,
                "TotalTCPConnection": own["TotalTCPConnection"],
                "FailedTCPConnection": own["FailedTCPConnection"],
            }
        )
    return json.dumps(documents, indent=2)


FIGURE_COLUMNS = (
    "source or path", "ICMP echoes", "ICMP lost", "TCP segments out", "retransmitted", "connections", "failed"
)  # fmt: skip


PUBLISHED_COLUMNS = ("scenario", "figure", "published 2022", "published 2023", "here")


def summary(result: OutageResult) -> dict[str, Any]:
    """Returns the figures that a baseline is compared by; one longest outage per stream among them."""
    streams = [stream for stream in result.streams if stream.invalid is None]
    new = [stream for stream in streams if stream.spec.kind in NEW]
    found: dict[str, Any] = {
        "longest_outage_ms": round(result.longest_outage_ms, 3),
        "longest_outage_stream": result.worst.spec.name if result.worst else None,
        "total_outage_ms": round(max((stream.total_ms for stream in streams), default=0.0), 3),
        "outages": sum(len(stream.outages) for stream in streams),
        "paths_hit": len({stream.spec.path for stream in streams if stream.outages}),
        "planned_probes": sum(stream.planned for stream in streams),
        "sent_probes": sum(stream.sent for stream in streams),
        "answered_probes": sum(stream.answered for stream in streams),
        "skipped_probes": sum(stream.skipped for stream in streams),
        "lost_probes": sum(stream.lost for stream in streams),
        "failed_connections": sum(stream.failed for stream in new),
        "resets": sum(stream.kept_resets for stream in streams),
        "lost_connections": sum(stream.kept_breaks for stream in streams),
        "longest_unseen_ms": round(max((stream.spacing_ms for stream in streams), default=0.0), 3),
        "clock_uncertainty_ms": round(result.uncertainty_ms, 3),
        "duration_seconds": round((result.end_ns - result.start_ns) / NS, 3),
        "errors": result.errors,
        "unmeasured": result.unmeasured,
    }
    for source, changes in result.deltas.items():
        found[f"retransmits {source}"] = None if changes.invalid else changes.get("Tcp.RetransSegs")
    for stream in streams:
        found[f"longest_ms {stream.spec.name}"] = round(stream.longest_ms, 3)
    return found


def samples(result: OutageResult) -> list[dict[str, Any]]:
    """Returns one sample per stream with all its windows."""
    return [
        {
            "stream": stream.spec.name,
            "path": stream.spec.path,
            "probe": stream.spec.kind.value,
            "address": stream.spec.address,
            "port": stream.spec.port,
            "period_ms": stream.spec.period_ms,
            "valid": stream.invalid is None,
            "invalid": stream.invalid,
            "planned": stream.planned,
            "sent": stream.sent,
            "answered": stream.answered,
            "skipped": stream.skipped,
            "duplicates": stream.duplicates,
            "outcomes": stream.outcomes,
            "median_ms": stream.median_ms,
            "times_ms": stream.times_ms,
            "spacing_ms": stream.spacing_ms,
            "path_spacing_ms": stream.path_spacing_ms,
            "connections": stream.spec.connections,
            "longest_ms": round(stream.longest_ms, 3),
            "total_ms": round(stream.total_ms, 3),
            "kept_breaks": stream.kept_breaks,
            "kept_resets": stream.kept_resets,
            "windows": [window_facts(window, result) for window in stream.windows],
            "notes": [*stream.findings, *stream.notes],
        }
        for stream in result.streams
    ]


def window_facts(window: Window, result: OutageResult) -> dict[str, Any]:
    """Returns one window for records and suites."""
    return {
        "start_seconds": round((window.start_ns - result.start_ns) / NS, 6),
        "length_ms": round(window.length_ms, 3),
        "shortest_ms": round(window.shortest_ms, 3),
        "longest_ms": round(window.longest_ms, 3),
        "kind": window.kind.value,
        "way": window.way,
        "outcomes": window.outcomes,
        "open_start": window.open_start,
        "open_end": window.open_end,
        "pieces": len(window.pieces),
        "connections": window.connections,
    }


def series(result: OutageResult) -> dict[str, Any]:
    """Returns steps and their cost, counters and iperf3 streams."""
    return {
        "steps": [
            {
                "name": step.name,
                "start_seconds": round((step.start_ns - result.start_ns) / NS, 6),
                "end_seconds": None if step.end_ns is None else round((step.end_ns - result.start_ns) / NS, 6),
                "error": step.error,
            }
            for step in result.steps
        ],
        "impacts": [
            {"step": i.step, "paths": i.paths, "longest_ms": round(i.longest[1].length_ms, 3) if i.longest else 0.0,
             "kinds": i.kinds}
            for i in impacts_of(result)
        ],
        "counters": {source: changes.invalid or changes.telling for source, changes in result.deltas.items()},
        "test_server": {source: None if f is None else vars(f) for source, f in result.figures.items()},
        "iperf": [vars(run) for run in result.iperf],
    }  # fmt: skip
