"""What is shown of a Skupper network: a table of its objects, and the way that traffic takes through it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.pictures import COLOURS, picture
from NetLibrary._mechanics.report import Cell, Table
from NetLibrary._mechanics.skupper.objects import KINDS
from NetLibrary._mechanics.skupper.results import is_ready, state_text
from NetLibrary.types.quantities import bitrate_text

Object = dict[str, Any]
_DETAILS = {
    "Site": ("linkAccess",),
    "Link": ("cost",),
    "Listener": ("routingKey", "host", "port"),
    "Connector": ("routingKey", "selector", "host", "port"),
    "AttachedConnector": ("siteNamespace", "selector", "port"),
    "AttachedConnectorBinding": ("connectorNamespace", "routingKey"),
    "AccessGrant": ("redemptionsAllowed",),
}


def status_table(objects: Sequence[Object]) -> Table:
    """Returns kind, name and state of each object, in the order in which traffic depends on them."""
    rows: list[list[object]] = []
    for kind in KINDS:
        for obj in (o for o in objects if o.get("kind") == kind):
            good, spec = is_ready(obj), obj.get("spec", {})
            rows.append([
                kind,
                f"{obj['metadata'].get('namespace')}/{obj['metadata']['name']}",
                Cell(state_text(obj) if obj.get("status") else "no status", "good" if good else "warn"),
                ", ".join(f"{key} {spec[key]}" for key in _DETAILS.get(kind, ()) if spec.get(key)),
            ])  # fmt: skip
    return Table(["kind", "object", "status", "details"], rows, "Skupper's objects")


@dataclass(frozen=True)
class Way:
    """A way from clients to servers.

    Args:
        listener: Where clients come in.
        offer: The Connector or AttachedConnectorBinding of the same routing key.
        connector: The AttachedConnector of a binding.
        link: The Link between the two Sites; None when both are one.
        sites: Names of the Sites, the client's first.
        pods: Ready server pods.
    """

    listener: Object
    offer: Object | None
    connector: Object | None
    link: Object | None
    sites: tuple[str, ...]
    pods: int


def ways(objects: Sequence[Object]) -> list[Way]:
    """Returns the way behind each Listener."""
    found = []
    of = {kind: [o for o in objects if o.get("kind") == kind] for kind in (*KINDS, "Pod")}
    for listener in of["Listener"]:
        key, here = listener["spec"].get("routingKey"), listener["metadata"].get("namespace")
        offers = [o for o in (*of["AttachedConnectorBinding"], *of["Connector"]) if o["spec"].get("routingKey") == key]
        offer = offers[0] if offers else None
        connector = _partner(offer, of["AttachedConnector"]) if offer else None
        spaces = list(dict.fromkeys([here, offer["metadata"].get("namespace") if offer else here]))
        sites = tuple(_site_of(of["Site"], space) for space in spaces)
        links = [o for o in of["Link"] if o["metadata"].get("namespace") in spaces] if len(spaces) > 1 else []
        link = links[0] if links else None
        found.append(Way(listener, offer, connector, link, sites, _pods(connector or offer, of["Pod"])))
    return found


def _partner(binding: Object, connectors: Sequence[Object]) -> Object | None:
    for connector in connectors:
        same = connector["metadata"]["name"] == binding["metadata"]["name"]
        if same and connector["metadata"].get("namespace") == binding["spec"].get("connectorNamespace"):
            return connector
    return None


def _site_of(sites: Sequence[Object], namespace: str) -> str:
    return next((str(s["metadata"]["name"]) for s in sites if s["metadata"].get("namespace") == namespace), "no Site")


def _pods(connector: Object | None, pods: Sequence[Object]) -> int:
    from NetLibrary._mechanics.kube.why_not_ready import is_ready as pod_is_ready
    from NetLibrary._mechanics.skupper.causes import selects_text

    if connector is None:
        return 0
    selector, space = str(connector["spec"].get("selector", "")), connector["metadata"].get("namespace")
    return sum(
        pod_is_ready(p) for p in pods if p["metadata"].get("namespace") == space and selects_text(selector, p)
    )  # fmt: skip


def draw_ways(path: Path, found: Sequence[Way], *, through: float | None = None, direct: float | None = None) -> Path:
    """Draws each way as boxes from client to server, with the rates that were measured.

    Args:
        path: PNG file to write.
        found: Ways, see `ways`.
        through: Rate through the network in bit/s, of the first way.
        direct: Rate of the direct path in bit/s.
    Returns:
        The path.
    """
    with picture(path, 9.0, 1.0 + 1.5 * max(1, len(found))) as axes:
        axes.set_axis_off()
        axes.set_xlim(0, 10)
        axes.set_ylim(-max(1, len(found)) * 2 + 1, 1.6)
        for row, way in enumerate(found):
            rate = through if row == 0 else None
            _draw_way(axes, way, -2.0 * row, rate, direct if row == 0 else None)
    return path


def _draw_way(axes: Any, way: Way, y: float, through: float | None, direct: float | None) -> None:
    boxes = _boxes(way)
    step = 10 / len(boxes)
    for number, (text, good) in enumerate(boxes):
        axes.text(
            step * (number + 0.5), y, _narrow(text), ha="center", va="center", fontsize=7.5,
            bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": COLOURS[2] if good else COLOURS[3],
                  "linewidth": 1.5},
        )  # fmt: skip
    first, last = step * 0.5, step * (len(boxes) - 0.5)
    label = "through Skupper" + (f": {bitrate_text(through)}" if through is not None else "")
    _arrow(axes, first, last, y + 0.75, label, COLOURS[0], "-")
    if direct is not None:
        _arrow(axes, first, last, y - 0.75, f"direct path: {bitrate_text(direct)}", COLOURS[1], "--")


def _narrow(text: str) -> str:
    """Breaks long names, such as namespaces of a run, so that neighbouring boxes do not overlap."""
    return "\n".join(textwrap.fill(line, 17, break_long_words=True) for line in text.split("\n"))


def _boxes(way: Way) -> list[tuple[str, bool]]:
    spec, space = way.listener["spec"], way.listener["metadata"].get("namespace")
    boxes = [
        (f"client\n{space}", True),
        (f"Listener {way.listener['metadata']['name']}\n{spec.get('host')}:{spec.get('port')}", is_ready(way.listener)),
        (f"Site {way.sites[0]}\n(router)", way.sites[0] != "no Site"),
    ]
    if len(way.sites) > 1:
        name = way.link["metadata"]["name"] if way.link else "none"
        boxes.append((f"Link\n{name}", bool(way.link) and is_ready(way.link or {})))
        boxes.append((f"Site {way.sites[1]}\n(router)", way.sites[1] != "no Site"))
    target = way.connector or way.offer
    if target is None:
        boxes.append((f"nothing offers\n'{spec.get('routingKey')}'", False))
    else:
        boxes.append((f"{target['kind']}\n{target['metadata']['name']}", is_ready(target)))
        pods = "1 ready pod" if way.pods == 1 else f"{way.pods} ready pods"
        boxes.append((f"{pods}\n{target['metadata'].get('namespace')}", way.pods > 0))
    return boxes


def _arrow(axes: Any, start: float, end: float, y: float, label: str, colour: str, style: str) -> None:
    axes.annotate(
        "", xy=(end, y), xytext=(start, y), arrowprops={"arrowstyle": "->", "color": colour, "linestyle": style}
    )
    axes.text((start + end) / 2, y + 0.12, label, ha="center", va="bottom", fontsize=8, color=colour)
