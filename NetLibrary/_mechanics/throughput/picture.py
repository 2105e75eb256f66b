"""The picture of iperf3 runs: rate over time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from NetLibrary._mechanics.pictures import COLOURS, picture
from NetLibrary._mechanics.report import bitrate_text
from NetLibrary._mechanics.throughput.reader import Measurement


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


def _steps(run: Measurement) -> tuple[list[float], list[float]]:
    intervals = [i for i in run.intervals if i.end_seconds > i.start_seconds]
    if not intervals:
        return [], []
    return [intervals[0].start_seconds, *(i.end_seconds for i in intervals)], [i.bits_per_second for i in intervals]
