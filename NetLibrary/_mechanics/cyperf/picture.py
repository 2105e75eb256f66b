"""Draws the time series of a run."""

from __future__ import annotations

from pathlib import Path

from NetLibrary._mechanics.cyperf.statistics import View
from NetLibrary._mechanics.pictures import COLOURS, picture


def draw(path: Path, views: dict[str, View], title: str) -> Path:
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
                points = view.series(view.columns[-1])
                seconds = [(stamp - start) / 1000 for stamp, _ in points]
                axes.plot(
                    seconds, [value / 1e6 for _, value in points], color=COLOURS[number], marker=".", label=f"{side}s"
                )
        axes.set_xlabel("seconds")
        axes.set_ylabel("throughput, Mbit/s")
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        _connections(axes, views, start)
        axes.legend(loc="upper left", fontsize=8)
    return path


def _connections(axes: object, views: dict[str, View], start: int) -> None:
    view = views.get("client-application-connection-rate")
    if view is None or not view.rows:
        return
    second = axes.twinx()  # type: ignore[attr-defined]
    second.grid(False)
    for column, colour, style in (
        ("Connections Succeeded Per Second", COLOURS[2], "-"),
        ("Connections Failed Per Second", COLOURS[3], "--"),
    ):
        points = view.series(column)
        if points:
            label = column.removesuffix(" Per Second").lower()
            second.plot(
                [(s - start) / 1000 for s, _ in points], [v for _, v in points], style, color=colour, label=label
            )
    second.set_ylabel("connections per second")
    second.set_ylim(bottom=0)
    second.legend(loc="upper right", fontsize=8)
