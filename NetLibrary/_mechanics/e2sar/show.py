"""Tables, pictures and records of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.e2sar.arithmetic import rate_text
from NetLibrary._mechanics.e2sar.endpoint import Endpoint
from NetLibrary._mechanics.e2sar.facts import Judgement, percent
from NetLibrary._mechanics.e2sar.parameters import describe, plain
from NetLibrary._mechanics.report import Cell
from NetLibrary.types.quantities import bitrate_text


def judgement_rows(
    judgement: Judgement, senders: Sequence[Endpoint], receivers: Sequence[Endpoint]
) -> list[list[object]]:
    """Rows of the table of one run."""
    frames = judgement.frames
    good = "good" if judgement.passed else "warn" if judgement.errors else "bad"
    rows: list[list[object]] = [
        ["delivered", Cell(judgement.counts.partition(":")[0], good)],
        ["lost in part / silently", f"{judgement.partial} / {judgement.silent}"],
        ["mangled / duplicated", f"{judgement.mangled} / {judgement.duplicated}"],
        ["send errors / receive errors", f"{judgement.sender_errors} / {judgement.data_errors}"],
        ["cause and remedy", judgement.sentence],
        ["datagrams planned → left sender → reached receiver → read", _way(judgement)],
        ["dropped by full socket / found no socket / lost on the path",
         f"{_text(frames.overrun)} / {_text(frames.refused)} / {_text(frames.lost_on_the_way)}"],
    ]  # fmt: skip
    for cause in judgement.causes:
        rows += [[f"evidence: {cause.kind}", text] for text in cause.evidence]
    for sender in senders:
        facts = describe(sender.settings)
        rows.append([f"{sender.name} on {sender.node or '?'}", _sender_text(sender, facts)])
    for receiver in receivers:
        rows.append([f"{receiver.name} on {receiver.node or '?'}", _receiver_text(receiver)])
    return rows


def _way(judgement: Judgement) -> str:
    frames = judgement.frames
    return " → ".join(_text(value) for value in (frames.planned, frames.left, frames.reached, frames.read))


def _sender_text(endpoint: Endpoint, facts: dict[str, float]) -> str:
    settings = endpoint.settings
    return (
        f"{settings.events} events of {settings.event_bytes} B in {facts['fragments_per_event']:.0f} datagrams each, "
        f"mtu {settings.mtu}, {rate_text(settings.rate_gbps)} ({bitrate_text(facts['wire_bits_per_second'])} of IP "
        "packets), "
        f"to {endpoint.target}, cpu {endpoint.pod_settings.cpu_limit or 'not limited'}"
    )


def _receiver_text(endpoint: Endpoint) -> str:
    settings, evidence = endpoint.settings, endpoint.evidence
    held = evidence.held
    cpu = f"cpu {endpoint.pod_settings.cpu_limit or 'not limited'}"
    if held and held.periods:
        cpu += f", throttled in {held.throttled} of {held.periods} periods"
    maximum = evidence.knob("rmem_max")
    limit = f" (rmem_max {maximum})" if maximum else ""
    return f"port {settings.port}, {settings.threads} threads, buffer {settings.buffer_bytes} B{limit}, {cpu}"


def _text(value: int | None) -> str:
    return "?" if value is None else str(value)


def parameters(senders: Sequence[Endpoint], receivers: Sequence[Endpoint], path: str) -> dict[str, Any]:
    """What was asked for, for the record."""
    return {
        "path": path,
        "senders": [_endpoint(each) for each in senders],
        "receivers": [_endpoint(each) for each in receivers],
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "node": endpoint.node,
        "target": endpoint.target,
        **plain(endpoint.settings),
        "pod": plain(endpoint.pod_settings),
    }


def summary(judgement: Judgement) -> dict[str, Any]:
    """The counters of both ends, for the record."""
    frames = judgement.frames
    return {
        "delivered_percent": 100 * judgement.delivered,
        "delivered_at_most_percent": 100 * judgement.delivered_at_most,
        "events": judgement.events,
        "received": judgement.received,
        "partial": judgement.partial,
        "silent": judgement.silent,
        "mangled": judgement.mangled,
        "duplicated": judgement.duplicated,
        "sender_errors": judgement.sender_errors,
        "data_errors": judgement.data_errors,
        "frames_planned": frames.planned,
        "frames_left": frames.left,
        "frames_reached": frames.reached,
        "frames_read": frames.read,
        "frames_overrun": frames.overrun,
        "frames_refused": frames.refused,
        "cause": judgement.cause.kind if judgement.cause else None,
        "open_because": judgement.open_because,
        "sentence": judgement.sentence,
        "advice": judgement.cause.advice if judgement.cause else {},
    }


def series(senders: Sequence[Endpoint], receivers: Sequence[Endpoint]) -> dict[str, Any]:
    """Values over time: cumulative counts of each report, and datagrams per second of each pod's counters."""
    found: dict[str, Any] = {}
    for endpoint in receivers:
        blocks = [block for block in endpoint.report.blocks if block.at is not None]
        start = blocks[0].at or 0.0 if blocks else 0.0
        found[f"{endpoint.name}.events"] = [[round((b.at or 0.0) - start, 3), b.received, b.lost] for b in blocks]
        found[f"{endpoint.name}.datagrams_per_second"] = endpoint.evidence.rate_series("Udp.InDatagrams")
        found[f"{endpoint.name}.drops_per_second"] = endpoint.evidence.rate_series("Udp.RcvbufErrors")
    for endpoint in senders:
        report = endpoint.report
        found[f"{endpoint.name}.frames_sent"] = report.frames_sent
    return found


def draw_progress(path: Path, receivers: Sequence[Endpoint], events: int, title: str) -> Path | None:
    """Draws received events over time; None when there is not enough to draw."""
    from NetLibrary._mechanics.pictures import COLOURS, picture

    drawable = [(each, [b for b in each.report.blocks if b.at is not None]) for each in receivers]
    drawable = [(endpoint, blocks) for endpoint, blocks in drawable if len(blocks) > 2]
    if not drawable:
        return None
    start = min(blocks[0].at or 0.0 for _, blocks in drawable)
    with picture(path) as axes:
        for index, (endpoint, blocks) in enumerate(drawable):
            times = [(block.at or 0.0) - start for block in blocks]
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(times, [b.received for b in blocks], color=colour, marker=".", label=f"{endpoint.name} received")
            axes.plot(
                times, [b.lost for b in blocks], color=colour, linestyle=":", label=f"{endpoint.name} lost in part"
            )
        axes.axhline(events, color="#555555", linestyle="--", linewidth=1, label="sent")
        axes.set_xlabel("seconds")
        axes.set_ylabel("events")
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return path


def draw_surface(
    path: Path, columns: Sequence[str], lines: Sequence[str], values: Sequence[Sequence[float | None]], title: str,
    names: tuple[str, str],
) -> Path:  # fmt: skip
    """Draws delivery as a field of colours with the percentages in it.

    Args:
        path: File to write.
        columns: Labels along x.
        lines: Labels along y.
        values: Delivered fractions, a row for each line; None where a run failed.
        title: Heading.
        names: What x and y are.
    """
    from NetLibrary._mechanics.pictures import picture

    grid = [[float("nan") if value is None else 100 * value for value in row] for row in values]
    with picture(path, width=max(5.0, 1.3 * len(columns) + 3), height=max(2.5, 0.5 * len(lines) + 1.5)) as axes:
        image = axes.imshow(grid, vmin=0, vmax=100, cmap="viridis", aspect="auto")
        axes.grid(False)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(lines)), lines)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        axes.set_title(title)
        for y, row in enumerate(values):
            for x, value in enumerate(row):
                text = "failed" if value is None else percent(value)
                light = value is not None and value < 0.6
                axes.text(x, y, text, ha="center", va="center", color="white" if light else "black")
        axes.figure.colorbar(image, ax=axes, label="events delivered, %")
    return path
