"""The picture of a measurement: a lane per stream, outages coloured by kind, steps as numbered vertical marks."""

from __future__ import annotations

import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.outages.results.outcome import OutageResult
from NetLibrary._mechanics.outages.types import NS, OutageKind, Step, StreamResult, Window
from NetLibrary._mechanics.pictures import COLOURS, picture

#: From the house's colours; grey is what hardly counts.
KIND_COLOURS = {
    OutageKind.SILENT_DROP: COLOURS[3],
    OutageKind.RESET: COLOURS[4],
    OutageKind.REFUSED: COLOURS[1],
    OutageKind.UNREACHABLE: COLOURS[0],
    OutageKind.STALLED: COLOURS[2],
    OutageKind.STRANDED: COLOURS[5],
    OutageKind.SLOW: "#999999",
    OutageKind.WRONG_ANSWER: COLOURS[7],
}
DARK = (OutageKind.SILENT_DROP, OutageKind.UNREACHABLE, OutageKind.WRONG_ANSWER, OutageKind.STALLED)
WIDTH_INCHES = 11.0
LANE_INCHES = 0.2
TITLE_INCHES = 0.17  # a line of the list of steps
LEAST_WIDTH = 0.004  # of the picture: an outage of 10 ms in a minute must still be seen
LABEL_WIDTH = 0.065  # of the picture: what the length of an outage takes in print
LABEL_FROM = 0.015  # shorter outages, as share of the picture, get no length in print
BADGE_WIDTH = 0.022
LINE_LETTERS = 150
PLATE = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}


def draw(path: Path, result: OutageResult) -> None:
    """Draws the timeline of a measurement.

    Args:
        path: PNG to write.
        result: What was measured.
    """
    lanes = result.streams
    length_s = max(0.1, (result.end_ns - result.start_ns) / NS)
    steps = textwrap.wrap(
        "     ".join(_step_text(number, step, result.start_ns) for number, step in enumerate(result.steps, start=1)),
        LINE_LETTERS,
        break_long_words=False,
        break_on_hyphens=False,
    )
    height = 1.6 + LANE_INCHES * max(1, len(lanes)) + TITLE_INCHES * len(steps)
    with picture(path, WIDTH_INCHES, height) as axes:
        _draw_paths(axes, lanes)
        seen: dict[OutageKind, object] = {}
        for lane, stream in enumerate(lanes):
            _draw_lane(axes, lane, stream, result.start_ns, length_s, seen)
        rows = _draw_steps(axes, result, length_s)
        axes.set_title("\n".join(steps), fontsize=8, loc="left", pad=10 + 11 * rows)
        axes.set_xlim(0, length_s)
        axes.set_ylim(max(1, len(lanes)) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.set_xlabel("seconds since the start of the measurement")
        if seen:
            # Of the figure and not of the axes: the layout makes room for it, however few the lanes are
            axes.figure.legend(
                list(seen.values()),
                [kind.value for kind in seen],
                loc="outside lower center",
                ncols=len(seen),
                fontsize=8,
                frameon=False,
            )
        else:
            axes.text(length_s / 2, len(lanes) / 2 - 0.5, "no outage", ha="center", va="center", color="#777777")


def _step_text(number: int, step: Step, start_ns: int) -> str:
    # Words that belong together must not be wrapped apart
    text = f"{number} {step.name} ({(step.start_ns - start_ns) / NS:.1f} s{', failed' if step.error else ''})"
    return textwrap.shorten(text, 90, placeholder=" …").replace(" ", "\N{NO-BREAK SPACE}")


def _draw_paths(axes: Any, lanes: list[StreamResult]) -> None:
    """Names the lanes: the path once for all its probes, on a band of its own."""
    axes.set_yticks(range(len(lanes)), [stream.spec.kind.value.replace("_", " ") for stream in lanes], fontsize=7.5)
    first = 0
    for number, (path, of_path) in enumerate(groupby(lanes, key=lambda stream: stream.spec.path)):
        count = len(list(of_path))
        if number % 2:
            axes.axhspan(first - 0.5, first + count - 0.5, color="#f3f5f8", linewidth=0, zorder=0)
        axes.annotate(
            path,
            (0, first + (count - 1) / 2),
            xycoords=("axes fraction", "data"),
            xytext=(-52, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            weight="bold",
            annotation_clip=False,
        )
        first += count


def _draw_lane(
    axes: Any, lane: int, stream: StreamResult, start_ns: int, length_s: float, seen: dict[OutageKind, object]
) -> None:
    if stream.invalid:
        text = f"no result: {stream.invalid}"
        axes.text(length_s / 2, lane, text, va="center", ha="center", fontsize=7, color="#a00000", bbox=PLATE, zorder=5)
    free_until = 0.0
    for index, window in enumerate(stream.windows):
        start = (window.start_ns - start_ns) / NS
        end = max((window.end_ns - start_ns) / NS, start + LEAST_WIDTH * length_s)
        bar = axes.barh(lane, end - start, left=start, height=0.74, color=KIND_COLOURS[window.kind], zorder=2)
        seen.setdefault(window.kind, bar)
        slack = (window.longest_ms - window.shortest_ms) / 4000
        if slack > length_s / 1000:
            for edge in (start, end):
                axes.plot([edge - slack, edge + slack], [lane, lane], color="#333333", linewidth=0.8, zorder=4)
        if window.open_end:
            axes.text(end, lane, "▸", va="center", ha="right", fontsize=8, color="white", zorder=5)
        following = stream.windows[index + 1] if index + 1 < len(stream.windows) else None
        until = (following.start_ns - start_ns) / NS if following else length_s
        free_until = _label(axes, lane, window, (start, end), (free_until, until), length_s)


def _label(
    axes: Any, lane: int, window: Window, bar: tuple[float, float], free: tuple[float, float], length_s: float
) -> float:
    """Prints an outage's length where nothing else is; returns until where the lane is taken."""
    start, end = bar
    if window.length_ms / 1000 < LABEL_FROM * length_s:
        return end
    text = f"{window.length_ms:.0f} ms" if window.length_ms < 10_000 else f"{window.length_ms / 1000:.1f} s"
    width = LABEL_WIDTH * length_s
    style = {"va": "center", "fontsize": 6.5, "zorder": 5}
    if end + width <= free[1]:
        axes.text(end + width / 12, lane, text, ha="left", bbox=PLATE, **style)
        return end + width
    if end - start >= width:
        dark = window.kind in (
            OutageKind.SILENT_DROP,
            OutageKind.UNREACHABLE,
            OutageKind.WRONG_ANSWER,
            OutageKind.STALLED,
        )
        axes.text(end - width / 12, lane, text, ha="right", color="white" if dark else "black", **style)
    elif start - width >= free[0]:
        axes.text(start - width / 12, lane, text, ha="right", **style)
    return end


def _draw_steps(axes: Any, result: OutageResult, length_s: float) -> int:
    """Marks the steps with their numbers; steps close to each other get theirs in rows. Returns the number of rows."""
    taken: list[float] = []  # until where each row holds a number
    for number, step in enumerate(result.steps, start=1):
        at = (step.start_ns - result.start_ns) / NS
        axes.axvline(at, color="#222222", linewidth=0.9, linestyle="--" if step.error is None else ":", zorder=3)
        if step.end_ns is not None:
            until = (step.end_ns - result.start_ns) / NS
            axes.axvspan(at, until, color="#000000", alpha=0.06, linewidth=0, zorder=1)
        row = next((index for index, until in enumerate(taken) if at >= until), len(taken))
        taken[row : row + 1] = [at + BADGE_WIDTH * length_s]
        axes.annotate(
            str(number),
            (at, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5 + 11 * row),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
            color="white",
            weight="bold",
            bbox={"boxstyle": "circle,pad=0.2", "facecolor": "#a00000" if step.error else "#222222", "linewidth": 0},
            annotation_clip=False,
        )
    return len(taken)
