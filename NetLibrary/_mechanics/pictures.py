"""Pictures in one house style. matplotlib is loaded only when a picture is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
}
# Distinguishable also for the colour-blind (Okabe and Ito, 2008)
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")


@contextmanager
def picture(path: Path, width: float = 8.0, height: float = 3.0) -> Iterator[Any]:
    """Yields matplotlib axes and writes them as PNG at the end.

    Args:
        path: File to write; its folder is made when missing.
        width: Inches at 110 dots per inch.
        height: Inches.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A Figure of its own, without pyplot: no global state, no display, safe in threads
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        yield figure.add_subplot()
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.print_png(str(path))
