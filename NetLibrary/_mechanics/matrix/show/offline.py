"""Says what a Service matrix would have to show, from a file of objects and without a cluster.

    kubectl get -A -o json nodes,namespaces,pods,services,endpointslices,networkpolicies >objects.json
    python -m NetLibrary._mechanics.matrix.show.offline objects.json --namespace shop [--why]

One row for each running pod of the namespace, one column for each port of its Services.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.model.types import Expected
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.probing.types import Outcome, Source, Target
from NetLibrary._mechanics.report import text_table

Row = tuple[Source, Target, Expected]


def world_of(items: Sequence[Mapping[str, Any]], namespace: str) -> World:
    """The objects of a namespace, and those that belong to none.

    Args:
        items: Objects of any kind, each with its `kind`.
        namespace: Namespace to look at.
    """

    def of(kind: str, *, everywhere: bool = False) -> list[Mapping[str, Any]]:
        return [
            i for i in items if i["kind"] == kind and (everywhere or i["metadata"].get("namespace") == namespace)
        ]  # fmt: skip

    spaces = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in of("Namespace", everywhere=True)}
    pods = [p for p in of("Pod") if p.get("status", {}).get("phase") == "Running"]
    return World(of("Node", everywhere=True), pods, of("Service"), of("EndpointSlice"), of("NetworkPolicy"), spaces)


def expected_rows(world: World, namespace: str) -> list[Row]:
    """What each pod must see of each port of each Service."""
    rows = []
    for pod in world.pods:
        spec, state = pod["spec"], pod.get("status", {})
        host = bool(spec.get("hostNetwork"))
        source = Source(pod["metadata"]["name"], spec.get("nodeName", ""), state.get("podIP", ""), namespace, host)
        for service in world.services:
            name, address = service["metadata"]["name"], service["spec"].get("clusterIP")
            if address in (None, "", "None"):
                continue
            for port in service["spec"].get("ports") or []:
                number, protocol = port["port"], port.get("protocol", "TCP")
                target = Target(name, "vip", address, number, protocol, service=name, service_port=number)
                rows.append((source, target, expect(world, source, target)))
    return rows


def table(rows: Sequence[Row], *, why: bool = False) -> str:
    """The rows as text: a mark for each cell, and the reasons if wanted."""
    columns = list(dict.fromkeys(f"{t.name} {t.port}/{t.protocol}" for _, t, _ in rows))
    marks: dict[str, dict[str, str]] = {}
    for source, target, expected in rows:
        seen = _mark(expected)
        marks.setdefault(source.name, {})[f"{target.name} {target.port}/{target.protocol}"] = seen
    lines = [
        text_table(["source", *columns], [[name, *(row.get(c, "") for c in columns)] for name, row in marks.items()])
    ]
    lines.append("Marks: . connected, – no connection, ? not promised, .– both are right.")
    if why:
        lines += [f"{s.name} → {t.name} {t.port}/{t.protocol}: {e}, because {e.reason}" for s, t, e in rows]
    return "\n".join(lines)


def _mark(expected: Expected) -> str:
    if not expected.promised:
        return "?"
    connected = Outcome.CONNECTED in expected.outcomes
    return ("." if connected else "") + ("–" if expected.outcomes - {Outcome.CONNECTED} else "")


def read(path: Path) -> list[Mapping[str, Any]]:
    """Objects of a file that kubectl wrote.

    Raises:
        InputError: It is no list of objects.
    """
    try:
        items = json.loads(path.read_text())["items"]
        return [dict(item) for item in items]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The file '{path}' is no list of objects as 'kubectl get -o json' writes it: {error}."
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--why", action="store_true", help="also the reason of every cell")
    given = parser.parse_args(arguments)
    try:
        rows = expected_rows(world_of(read(given.file), given.namespace), given.namespace)
    except InputError as error:
        parser.error(str(error))
    if not rows:
        parser.error(f"namespace '{given.namespace}' has no running pod or no Service with an address")
    print(table(rows, why=given.why))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
