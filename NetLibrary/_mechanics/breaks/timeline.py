"""The picture of a measurement: a lane per stream, outages coloured by kind, steps as vertical marks."""

from __future__ import annotations

from pathlib import Path

from NetLibrary._mechanics.pictures import COLOURS, picture

from .measurement import BreakResult
from .types import NS, BreakKind

#: From the house's colours; grey is what hardly counts.
KIND_COLOURS = {
    BreakKind.SILENT_DROP: COLOURS[3],
    BreakKind.RESET: COLOURS[4],
    BreakKind.REFUSED: COLOURS[1],
    BreakKind.UNREACHABLE: COLOURS[0],
    BreakKind.STALLED: COLOURS[2],
    BreakKind.SLOW: "#999999",
    BreakKind.WRONG_ANSWER: COLOURS[7],
}
LANE_INCHES = 0.2
LEAST_WIDTH = 0.004  # of the picture: an outage of 10 ms in a minute must still be seen


def draw(path: Path, result: BreakResult) -> None:
    """Draws the timeline of a measurement.

    Args:
        path: PNG to write.
        result: What was measured.
    """
    lanes = result.streams
    length_s = max(0.1, (result.end_ns - result.start_ns) / NS)
    with picture(path, 11.0, 1.6 + LANE_INCHES * max(1, len(lanes))) as axes:
        seen: dict[BreakKind, object] = {}
        for lane, stream in enumerate(lanes):
            if lane and stream.spec.path != lanes[lane - 1].spec.path:
                axes.axhline(lane - 0.5, color="#bbbbbb", linewidth=0.6)
            for window in stream.windows:
                start = (window.start_ns - result.start_ns) / NS
                width = max((window.end_ns - window.start_ns) / NS, LEAST_WIDTH * length_s)
                slack = (window.longest_ms - window.shortest_ms) / 4000
                bar = axes.barh(lane, width, left=start, height=0.7, color=KIND_COLOURS[window.kind])
                axes.plot([start - slack, start + width + slack], [lane, lane], color="black", linewidth=0.6)
                seen.setdefault(window.kind, bar)
                if window.length_ms >= length_s * 20:
                    axes.text(start + width, lane, f" {window.length_ms:.0f} ms", va="center", fontsize=6.5)
            if stream.invalid:
                axes.text(length_s / 2, lane, f"no result: {stream.invalid}", va="center", ha="center", fontsize=7)
        for number, step in enumerate(result.steps, start=1):
            at = (step.start_ns - result.start_ns) / NS
            axes.axvline(at, color="black", linewidth=1, linestyle="--" if step.error is None else ":")
            if step.end_ns is not None:
                axes.axvspan(at, (step.end_ns - result.start_ns) / NS, color="#000000", alpha=0.06, linewidth=0)
            label = f"{number}. {step.name}" + (" (failed)" if step.error else "")
            axes.annotate(
                label,
                (at, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(2, 3),
                textcoords="offset points",
                rotation=20,
                fontsize=7.5,
                annotation_clip=False,
            )
        axes.set_xlim(0, length_s)
        axes.set_ylim(len(lanes) - 0.4, -0.6)
        axes.set_yticks(range(len(lanes)), [stream.spec.name for stream in lanes], fontsize=7.5)
        axes.grid(False, axis="y")
        axes.set_xlabel("seconds since the start of the measurement")
        if seen:
            axes.legend(
                list(seen.values()),
                [kind.value for kind in seen],
                loc="upper center",
                bbox_to_anchor=(0.5, -0.6 / (0.6 + LANE_INCHES * max(1, len(lanes)))),
                ncols=len(seen),
                fontsize=8,
                frameon=False,
            )
        else:
            axes.text(length_s / 2, len(lanes) / 2 - 0.5, "no outage", ha="center", va="center", color="#999999")
