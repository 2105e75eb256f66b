"""What is shown of iperf3 runs: the table, and the rate over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from NetLibrary._mechanics.iperf3.results import Iperf3Problem, Measurement
from NetLibrary._mechanics.pictures import COLOURS, picture
from NetLibrary._mechanics.report import Cell, Table
from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.throughput.judge import mean_rate
from NetLibrary._mechanics.throughput.run import Outcome, image_of
from NetLibrary._mechanics.verdict import Status, Verdict
from NetLibrary.types.quantities import bitrate_text, bytes_text


@dataclass(frozen=True)
class Carrier:
    """What carries the traffic.

    Args:
        name: The program, for instance `skupper`; empty for the cluster's own network.
        stand_in: Whether it is a stand-in.
    """

    name: str = ""
    stand_in: bool = False

    def __str__(self) -> str:
        if self.stand_in:
            return f"a stand-in for {self.name}, not {self.name} itself"
        return self.name or "the cluster"


def table_of(name: str, request: Request, outcome: Outcome, verdict: Verdict, carrier: Carrier) -> Table:
    """Returns the table of a run, with or without a result."""
    result = outcome.measurement
    rows = _of_result(result, verdict) if result else _of_problem(outcome.problem)
    pod = outcome.pod
    address = pod.get("status", {}).get("podIP")
    place = f"{address} on {pod.get('spec', {}).get('nodeName')}" if address else "outside the cluster"
    remote = result.remote if result else f"{request.server}:{request.port}"
    version = result.version if result else (outcome.problem.version if outcome.problem else "")
    rows += [
        ["asked for", bitrate_text(request.bits_per_second) if request.bits_per_second else "as fast as possible"],
        ["streams", f"{request.streams} x {request.protocol.upper()}" + (", server sends" if request.reverse else "")],
        ["path", f"{place} to {remote}"],
        ["client", f"{version or 'version unknown'}, image {image_of(pod)}"],
        ["attempts", outcome.attempts],
        ["carried by", Cell(str(carrier), "warn" if carrier.stand_in else "")],
        ["verdict", _verdict_cell(verdict)],
    ]
    return Table(["", name], rows)


def _of_result(result: Measurement, verdict: Verdict) -> list[list[object]]:
    colour = {Status.PASSED: "good", Status.FAILED: "bad"}.get(verdict.status or Status.NOT_JUDGED, "")
    rows: list[list[object]] = [
        ["throughput (receiver)", Cell(bitrate_text(result.bits_per_second), colour)],
        ["sent", bitrate_text(result.sent_bits_per_second)],
        ["data", f"{bytes_text(result.bytes)} in {result.duration_seconds:.2f} s"],
    ]
    if result.omitted_seconds:
        rows.append(["left out at the start", f"{result.omitted_seconds:g} s"])
    if result.retransmits is not None:
        rows.append(["retransmits", result.retransmits])
    if result.lost_packets is not None:
        least, most = result.lost_percent or 0.0, result.lost_percent_at_most
        share = f"{least:.2f} %" if most == least else f"{least:.2f} % to " + ("?" if most is None else f"{most:.2f} %")
        rows.append(["lost", f"{result.lost_packets} of {result.packets} ({share})"])
        if result.unread_packets:
            rows.append(["of these in the receiver's own buffer", Cell(str(result.unread_packets), "warn")])
        if result.out_of_order is not None:
            rows.append(["late or twice", result.out_of_order])
    if result.jitter_ms is not None:
        rows.append(["jitter", f"{result.jitter_ms:.3f} ms"])
    if result.rtt_ms is not None:
        rows.append(["round trip", f"{result.rtt_ms:.2f} ms"])
    if result.cpu_seconds_per_gigabit is not None:
        client, server = result.client_cpu_percent, result.server_cpu_percent
        text = (
            f"client {client:.0f} %, server {server:.0f} % of a core; {result.cpu_seconds_per_gigabit_text} s per Gbit"
        )
        rows.append(["CPU of iperf3", text])
    if result.client_node_cores is not None and result.server_node_cores is not None:
        text = f"client's {result.client_node_cores:.2f}, server's {result.server_node_cores:.2f} processors busy; "
        text += f"{result.node_cpu_seconds_per_gigabit_text} s per Gbit"
        rows.append(["CPU of the nodes", text])
    rows += [["held back", Cell(text, "warn")] for text in result.held_back]
    rows += [["contradiction", Cell(text, "bad")] for text in result.contradictions]
    rows += [["note", text] for text in result.notes]
    return rows


def _of_problem(problem: Iperf3Problem | None) -> list[list[object]]:
    if problem is None:
        return []
    rows: list[list[object]] = [["ended with", Cell(str(problem), "bad")]]
    if problem.exit_status is not None:
        rows.append(["exit status", problem.exit_status])
    if problem.broke_after is not None:
        rows.append(["until then", f"{bitrate_text(mean_rate(problem))} for {problem.broke_after:.1f} s"])
    if problem.sent is not None:
        rows.append(["sent", bitrate_text(problem.sent.bits_per_second)])
    return rows


def _verdict_cell(verdict: Verdict) -> Cell:
    if verdict.status is Status.PASSED:
        return Cell("passed", "good")
    if verdict.status is Status.NOT_JUDGED:
        return Cell("measured, no limit given")
    return Cell("; ".join(verdict.reasons), "bad")


def until_it_broke(problem: Iperf3Problem, request: Request) -> Measurement:
    """Returns what had been measured when a run broke, for the picture."""
    return Measurement(
        bits_per_second=mean_rate(problem), bytes=0, duration_seconds=problem.broke_after or 0.0,
        sent_bits_per_second=mean_rate(problem), intervals=problem.intervals, version=problem.version,
        protocol=request.protocol, streams=request.streams, reverse=request.reverse,
    )  # fmt: skip


def share_table(name: str, rate: float, reference: float, percent: float, limit: float) -> Table:
    """Returns the table of a comparison of two rates."""
    rows: Sequence[Sequence[object]] = [
        ["measured", bitrate_text(rate)],
        ["compared with", bitrate_text(reference)],
        ["share", Cell(f"{percent:.1f} %", "bad" if percent < limit else "good")],
        ["at least", f"{limit:g} %"],
    ]
    return Table(["", name], rows)


def draw_rates(path: Path, runs: Mapping[str, Measurement]) -> Path:
    """Draws the rate over time of one or more runs, with the mean of each as a thin line.

    Args:
        path: PNG file to write.
        runs: Results by name.
    Returns:
        The path.
    """
    top = max((i.bits_per_second for run in runs.values() for i in run.intervals), default=1.0)
    factor, unit = next(
        (f, u) for f, u in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1, "bit/s")) if top >= f or f == 1
    )
    # Two runs a hundredfold apart would leave the smaller one a line on the floor
    means = [run.bits_per_second for run in runs.values() if run.bits_per_second > 0]
    logarithmic = len(means) > 1 and max(means) / min(means) > 20
    with picture(path, 8.0, 2.8) as axes:
        for (name, run), colour in zip(runs.items(), cycle(COLOURS), strict=False):
            edges, rates = _steps(run)
            label = f"{name}: {bitrate_text(run.bits_per_second)}"
            if edges:
                axes.stairs(
                    [rate / factor for rate in rates], edges, color=colour, linewidth=1.6, label=label, baseline=None
                )
            axes.axhline(run.bits_per_second / factor, color=colour, linewidth=0.7, linestyle="--")
        axes.set_xlabel("seconds")
        axes.set_ylabel(unit)
        if logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        # Above the axes: anywhere inside it would hide a part of some run
        if axes.get_legend_handles_labels()[0]:
            columns = min(3, len(runs))
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=8, frameon=False)
    return path


def draw_shares(path: Path, rates: Mapping[str, float]) -> Path:
    """Draws rates as bars, each with its value.

    Args:
        path: PNG file to write.
        rates: Rates in bit/s by name.
    Returns:
        The path.
    """
    with picture(path, 8.0, 0.8 + 0.35 * len(rates)) as axes:
        names = list(rates)
        bars = axes.barh(range(len(names)), [rates[name] / 1e9 for name in names], color=COLOURS[0], height=0.6)
        axes.bar_label(bars, [bitrate_text(rates[name]) for name in names], padding=3, fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("Gbit/s")
    return path


def _steps(run: Measurement) -> tuple[list[float], list[float]]:
    intervals = [i for i in run.intervals if i.end_seconds > i.start_seconds]
    if not intervals:
        return [], []
    return [intervals[0].start_seconds, *(i.end_seconds for i in intervals)], [i.bits_per_second for i in intervals]
