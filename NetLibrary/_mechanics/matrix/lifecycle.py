"""Cases that change objects while they probe: labels, types, termination, UDP flows, affinity's time limit."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.wait import Done, Pending
from NetLibrary._mechanics.kube.why_not_ready import is_ready
from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.judge.judge import judge
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.model.types import Cell, Expected, Table
from NetLibrary._mechanics.matrix.model.world import IGNORED_LABELS
from NetLibrary._mechanics.matrix.run import SHORT_MS, Matrix
from NetLibrary._mechanics.probing.fleet import Prober
from NetLibrary._mechanics.probing.pipes import ExecPipe
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

CONNECTED = frozenset({Outcome.CONNECTED})
SETTLE = 10.0
BROKEN = 3.0
FLOW_MS = 6500
# Right after a change most probes are only too early; they are repeated until right, so each may be short
EARLY = {"limit_ms": SHORT_MS}
# What was withdrawn does not answer, however long one waits
WITHDRAWN = {"limit_ms": 700}


def _phase(matrix: Matrix, table: Table, phase: str, pairs: list[tuple[Source, Target]], **more: Any) -> bool:
    """Probes one phase until it is as the objects say and adds its cells under the phase's name."""
    matrix.refresh()
    # on a network that is known to be broken, a proxy gets the time that it needs and not more
    patience = min(more.pop("settle", SETTLE), BROKEN if matrix.broken else SETTLE)
    part = matrix.probe(table.case, table.title, pairs, settle=patience, steady=False, **more)
    for cell in part.cells:
        table.cells.append(dataclasses.replace(cell, target=dataclasses.replace(cell.target, name=phase)))
    table.seconds += part.seconds
    table.notes += [f"{phase}: {note}" for note in part.notes]
    return not part.wrong


def _pods(matrix: Matrix) -> list[Source]:
    return [s for s in matrix.sources if not s.outside and not s.host_network]


def _vip(matrix: Matrix, name: str) -> list[tuple[Source, Target]]:
    service = matrix.cluster.get("Service", name, matrix.layout.namespace)
    address = service["spec"]["clusterIP"]
    return [
        (source, Target(name, "vip", address, 80, protocol, probe, service=name, service_port=80))
        for source in _pods(matrix)
        for protocol, probe in (("TCP", "http"), ("UDP", "udp"))
    ]


def _make(matrix: Matrix, name: str, selector: dict[str, str] | None, **spec: Any) -> None:
    matrix.cluster.create(objects.service(matrix.layout, name, selector, **spec))


def label_change(matrix: Matrix, label: str) -> Table:
    """Three phases: up, withdrawn while the Service has the label, up again."""
    what = label.rsplit("/", 1)[1]
    table = Table(f"label {what}", f"Service with the label {label}", [])
    name = f"labelled-{what}"
    _make(matrix, name, {objects.POD: matrix.layout.first})
    pairs = _vip(matrix, name)
    _phase(matrix, table, "1 without label", pairs, **EARLY)
    for phase, value, limit in (("2 with label", "another", WITHDRAWN), ("3 label removed", None, EARLY)):
        body = {"metadata": {"labels": {label: value}}}
        matrix.cluster.patch("Service", name, matrix.layout.namespace, body)
        _phase(matrix, table, phase, pairs, **limit)
    return table


def proxy_name_label(matrix: Matrix) -> Table:
    """The label that gives a Service to another proxy."""
    return label_change(matrix, IGNORED_LABELS[0])


def headless_label(matrix: Matrix) -> Table:
    """The label that takes a Service from every proxy."""
    return label_change(matrix, IGNORED_LABELS[1])


def type_change(matrix: Matrix) -> Table:
    """ClusterIP to NodePort, to ExternalName, and back to ClusterIP."""
    table = Table("type change", "Service that changes its type", [])
    name, namespace = "changing", matrix.layout.namespace
    _make(matrix, name, {objects.POD: matrix.layout.first})
    first = _vip(matrix, name)
    _phase(matrix, table, "1 ClusterIP", first, **EARLY)
    changed = matrix.cluster.patch("Service", name, namespace, {"spec": {"type": "NodePort"}})
    _phase(matrix, table, "2 ClusterIP of NodePort", first, **EARLY)
    _phase(matrix, table, "2 NodePort", _entry(matrix, changed), **EARLY)
    aim = f"to-{matrix.layout.first}.{namespace}.svc.{matrix.world.facts.domain}"
    body = {"spec": {"type": "ExternalName", "externalName": aim, "clusterIP": None, "clusterIPs": None}}
    matrix.cluster.patch("Service", name, namespace, body)
    _phase(matrix, table, "3 old ClusterIP of ExternalName", first, **WITHDRAWN)
    back = {"spec": {"type": "ClusterIP", "externalName": None}}
    matrix.cluster.patch("Service", name, namespace, back)
    _phase(matrix, table, "4 ClusterIP again", _vip(matrix, name), **EARLY)
    return table


def _entry(matrix: Matrix, service: dict[str, Any]) -> list[tuple[Source, Target]]:
    matrix.refresh()
    found = cases._node_ports(matrix.world, service["metadata"]["name"], _pods(matrix))
    return [(s, t) for s, t in found if t.node == matrix.layout.pods[0][1]]


def terminating(matrix: Matrix) -> Table:
    """A backend that terminates and still serves: it must get the traffic while it is the only one left."""
    table = Table("terminating", "Terminating endpoint that still serves", [])
    name, namespace = "leaving", matrix.layout.namespace
    node = matrix.layout.pods[0][1]
    port = objects.HTTP_PORT
    stays = {"args": ["netexec", f"--http-port={port}", f"--udp-port={port}", "--delay-shutdown=60"]}
    spec: dict[str, Any] = {"container": stays, "terminationGracePeriodSeconds": 60}
    matrix.cluster.create(objects.pod(matrix.layout, name, node, role="leaving", **spec))
    balanced = matrix.world.facts.balancer
    kind = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"} if balanced else {}
    _make(matrix, name, {objects.POD: name}, **kind)
    _await_pod(matrix, name)
    _await_endpoint(matrix, name, lambda e: bool(e.get("conditions", {}).get("ready")))
    pairs = _vip(matrix, name)
    _phase(matrix, table, "1 ready", pairs)
    if balanced:
        _health(matrix, table, name, "1 health check", {node})
    matrix.cluster.delete("Pod", name, namespace)
    try:
        _await_endpoint(matrix, name, lambda e: bool(e.get("conditions", {}).get("terminating")))
        _phase(matrix, table, "2 terminating", pairs)
        if balanced:
            _health(matrix, table, name, "2 health check", set())
    finally:
        matrix.cluster.delete("Pod", name, namespace, grace_seconds=0)
    _await_endpoint(matrix, name, None)
    _phase(matrix, table, "3 gone", pairs)
    return table


def _health(matrix: Matrix, table: Table, name: str, phase: str, good: set[str]) -> None:
    """HealthCheckNodePort: 200 on nodes with a ready endpoint, 503 on the others."""
    number = matrix.cluster.get("Service", name, matrix.layout.namespace)["spec"].get("healthCheckNodePort")
    if not number:
        table.notes.append("The Service got no healthCheckNodePort.")
        return
    pairs, wanted = [], {}
    for node in matrix.world.nodes:
        at = node["metadata"]["name"]
        address = next(iter(addresses.of_node(node)), "")
        if not address:
            continue
        for source in [s for s in matrix.sources if s.host_network or s.outside] or _pods(matrix):
            target = Target(at, "check", address, number, extra="/healthz", service=name, node=at)
            pairs.append((source, target))
            status = 200 if at in good else 503
            wanted[target] = Expected(CONNECTED, status=status, reason=f"{'a' if at in good else 'no'} ready endpoint")
    patience = BROKEN if matrix.broken else SETTLE
    part = matrix.probe(
        table.case, table.title, pairs, settle=patience, steady=False, override=lambda s, t, e: wanted[t]
    )
    for cell in part.cells:
        label = f"{phase} {cell.target.node}"
        table.cells.append(dataclasses.replace(cell, target=dataclasses.replace(cell.target, name=label)))


def _await_pod(matrix: Matrix, name: str) -> dict[str, Any]:
    def goal(pods: list[dict[str, Any]]) -> Any:
        return Done(pods[0]) if pods and is_ready(pods[0]) else Pending("not ready")

    found: dict[str, Any] = matrix.cluster.wait(
        "Pod", matrix.layout.namespace, goal, name=name, timeout=matrix.options.timeout, what=f"pod '{name}'"
    )
    return found


def _await_endpoint(matrix: Matrix, service: str, state: Callable[[dict[str, Any]], bool] | None) -> None:
    """Waits for an endpoint in a state, or for none at all."""

    def goal(slices: list[dict[str, Any]]) -> Any:
        found = [e for s in slices for e in s.get("endpoints") or []]
        right = not found if state is None else any(state(e) for e in found)
        return Done() if right else Pending(f"{len(found)} endpoints")

    matrix.cluster.wait(
        "EndpointSlice", matrix.layout.namespace, goal, labels=f"kubernetes.io/service-name={service}",
        timeout=30.0, what=f"endpoints of '{service}'",
    )  # fmt: skip


def udp_flows(matrix: Matrix) -> Table:
    """UDP flows with one kept source port, begun before there is an endpoint; then the backend is replaced.

    Every client keeps one socket for the whole time. The first datagrams go to a Service without endpoints, so a proxy
    that forgets to clear the flow's connection tracking entry leaves it blocked for ever; so does one that keeps the
    entry of the replaced backend.
    """
    table = Table("udp flows", "UDP flows across changes of the backend, source port kept", [])
    name, namespace = "udp-flow", matrix.layout.namespace
    started = time.monotonic()
    # pods first: they need seconds; the Service selects none of them yet
    node = matrix.layout.pods[-1][1]
    for turn in ("one", "two"):
        matrix.cluster.create(objects.pod(matrix.layout, f"{name}-{turn}", node, role=f"flow-{turn}"))
    _make(matrix, name, {objects.ROLE: "flow-none"})
    for turn in ("one", "two"):
        _await_pod(matrix, f"{name}-{turn}")
    address = matrix.cluster.get("Service", name, namespace)["spec"]["clusterIP"]
    target = Target("flow", "check", address, 80, "UDP", "udp", service=name)
    flows: dict[Source, list[tuple[float, str, str, str]]] = {}
    begun = threading.Event()
    threads = [
        threading.Thread(target=_watch, args=(matrix, source, target, flows, begun), daemon=True)
        for source in _pods(matrix)
    ]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    changes: list[float] = []
    for pause, role in ((1.2, "flow-one"), (2.0, "flow-two")):
        time.sleep(max(0.0, begin + pause + (changes[-1] if changes else 0) - time.monotonic()))
        body = {"spec": {"selector": {objects.ROLE: role}}}
        matrix.cluster.patch("Service", name, namespace, body)
        if role == "flow-two":
            matrix.cluster.delete("Pod", f"{name}-one", namespace, grace_seconds=0)
        changes.append(time.monotonic() - begin)
    for thread in threads:
        thread.join(FLOW_MS / 1000 + 25)
    cells = {source: _flow_cells(source, target, flows.get(source), name) for source in _pods(matrix)}
    stuck = [source for source, mine in cells.items() if any(c.symptom == "stale flow" for c in mine)]
    for source in _no_new_flow_either(matrix, stuck, name, address):
        cells[source] = [
            dataclasses.replace(c, symptom="blocked", why=f"{c.why}; a new flow gets no answer either")
            if c.symptom == "stale flow"
            else c
            for c in cells[source]
        ]
    table.cells += [cell for mine in cells.values() for cell in mine]
    table.seconds = time.monotonic() - started
    table.notes.append(f"Backend set after {changes[0]:.1f} s and replaced after {changes[1]:.1f} s.")
    return table


def _no_new_flow_either(matrix: Matrix, sources: list[Source], name: str, address: str) -> list[Source]:
    """Sources whose new flows fail like the old ones: then it is the way, and no entry that was left behind."""
    target = Target(name, "vip", address, 80, "UDP", "udp", service=name, service_port=80)
    if not sources:
        return []
    matrix.refresh()
    part = matrix.probe("udp flows", "New UDP flows", [(s, target) for s in sources], settle=0.0, steady=False)
    return [cell.source for cell in part.wrong]


def _watch(matrix: Matrix, source: Source, target: Target, flows: dict[Source, Any], begun: threading.Event) -> None:
    prober = Prober(source, lambda: ExecPipe(matrix.cluster, source, matrix.options.prober))
    try:
        flows[source] = prober.watch_flow(target, 100, FLOW_MS)
    except errors.NetLibraryError as error:
        flows[source] = [(0.0, "ERROR", "", str(error))]
    finally:
        prober.close()


def _flow_cells(
    source: Source, target: Target, flow: list[tuple[float, str, str, str]] | None, name: str
) -> list[Cell]:
    story = "; ".join(f"{at:.1f} s {who or detail}" for at, _, who, detail in flow or [])
    if not flow or flow[0][1] == "ERROR":
        seen = Observation(Outcome.ERROR, flow[0][3] if flow else "the flow was not watched")
        expected = Expected(CONNECTED, reason="the flow must be watched")
        return [judge(source, dataclasses.replace(target, name="flow"), expected, seen)]
    cells = []
    first_bad = flow[0][1] == "FAILED"
    for phase, pod, position in (
        ("1 first datagrams before the endpoint", "", "first"),
        ("2 flow reaches the first endpoint", f"{name}-one", "any"),
        ("3 flow moves to the new backend", f"{name}-two", "last"),
    ):
        expected = Expected(CONNECTED, frozenset({pod}), reason=f"one socket: {story}")
        if position == "first":
            expected = Expected(frozenset({Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE}), reason=story)
            seen = Observation(Outcome.REFUSED if first_bad else Outcome.CONNECTED, flow[0][3])
        else:
            steps = [f for f in flow if f[1] == "OK" and f[2] == pod] if position == "any" else flow[-1:]
            good = bool(steps) and steps[-1][1] == "OK"
            who = steps[-1][2] if good else ""
            detail = "" if good else f"the flow stays without an answer: {story}"
            seen = Observation(
                Outcome.CONNECTED if good else Outcome.TIMEOUT, detail, Counter([who] if who else []), latency_ms=None
            )
            seen.right_after_s = steps[-1][0] if good else None
        cell = judge(source, dataclasses.replace(target, name=phase), expected, seen)
        if cell.wrong:
            cell = dataclasses.replace(cell, symptom="stale flow", why=f"{cell.why}; seen: {story}")
        cells.append(cell)
    return cells


def affinity_timeout(matrix: Matrix) -> Table:
    """Session affinity holds while connections come and ends after its time limit."""
    table = Table("affinity timeout", "Session affinity with a time limit of 2 s", [])
    name, limit = "sticky-short", 2
    _make(
        matrix, name, {objects.ROLE: "probe"}, sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": limit}},
    )  # fmt: skip
    pairs = [(s, dataclasses.replace(t, repeat=4)) for s, t in _vip(matrix, name) if t.protocol == "TCP"]
    _phase(matrix, table, "1 kept", pairs)
    seen: dict[Source, set[str]] = {}
    changed = False
    answered = {c.source for c in table.cells if not c.wrong}
    pairs = [pair for pair in pairs if pair[0] in answered]
    if not pairs:
        table.notes.append("No source was answered, so nothing is known about the time limit.")
    for _ in range(5 if pairs else 0):
        time.sleep(limit + 0.5)
        part = matrix.probe(table.case, table.title, pairs, settle=0.5, steady=False)
        for cell in part.cells:
            seen.setdefault(cell.source, set()).update(cell.observed.responders)
        # a source that was answered, and now meets a backend that is known to be out of reach, has chosen anew as well
        lost = any(c.wrong and matrix.explains(c) for c in part.cells)
        changed = lost or any(len(names) > 1 for names in seen.values())
        if changed:
            break
    before = {c.source: set(c.observed.responders) for c in table.cells}
    changed = changed or any(before.get(source, set()) != names for source, names in seen.items())
    only = len(matrix.layout.pods) < 2
    for source, names in seen.items():
        target = Target("2 chosen anew after the limit", "check", pairs[0][1].host, 80, service=name)
        good = changed or only
        observed = Observation(Outcome.CONNECTED, responders=Counter(names), detail="" if good else "never changed")
        reason = "after the limit a backend is chosen anew; among all sources at least one must change"
        cell = judge(source, target, Expected(CONNECTED, reason=reason), observed)
        if not good:
            cell = dataclasses.replace(cell, right=False, symptom="affinity timeout", why="the backend never changed")
        table.cells.append(cell)
    return table


LIFECYCLE: dict[str, Callable[[Matrix], Table]] = {
    "proxy name label": proxy_name_label,
    "headless label": headless_label,
    "type change": type_change,
    "terminating": terminating,
    "udp flows": udp_flows,
    "affinity timeout": affinity_timeout,
}
