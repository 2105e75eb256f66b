"""A cluster on paper: three nodes, the objects of the matrix, and faults as functions from cells to observations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.judge.expect import expect
from NetLibrary._mechanics.matrix.judge.judge import judge
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.model.objects import Layout
from NetLibrary._mechanics.matrix.model.types import Cell, Expected, Table
from NetLibrary._mechanics.matrix.model.world import Facts, World
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

NAMESPACE = "matrix-test"
Fault = Callable[[Source, Target, Expected], Observation | None]
OUTSIDE_ADDRESS = "198.18.2.1"


def node(number: int) -> dict:
    return {
        "metadata": {"name": f"node{number}", "labels": {}},
        "spec": {"podCIDR": f"10.244.{number}.0/24"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"172.30.0.{number}"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def layout(nodes: int = 3, pods_per_node: int = 1) -> Layout:
    names = [f"node{i}" for i in range(1, nodes + 1)]
    return Layout(
        NAMESPACE,
        "agnhost:1",
        tuple(objects.pod_names(names, pods_per_node)),
        tuple((f"host-{n}", n) for n in names),
        external_ip="172.30.0.1",
    )


def world(plan: Layout | None = None, **facts: object) -> World:
    plan = plan or layout()
    pods = []
    for number, made in enumerate(objects.pods(plan)):
        name, at = made["metadata"]["name"], dict((*plan.pods, *plan.host_pods, ("never-ready", plan.pods[0][1])))
        where = at[name]
        host = made["spec"].get("hostNetwork")
        address = f"172.30.0.{where[4:]}" if host else f"10.244.{where[4:]}.{number + 10}"
        made["spec"]["nodeName"] = where
        made["metadata"]["uid"] = name
        made["status"] = {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}
        pods.append(made)
    services, slices = [], []
    for number, made in enumerate(objects.services(plan)):
        spec = made["spec"]
        made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        if spec.get("type") != "ExternalName":
            spec.setdefault("clusterIP", f"10.96.0.{number + 10}")
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            for index, port in enumerate(spec["ports"]):
                port["nodePort"] = 30000 + 10 * number + (index if port["port"] != 80 else 0)
        if spec.get("type") == "LoadBalancer":
            made["status"] = {"loadBalancer": {"ingress": [{"ip": f"172.30.1.{number}"}]}}
        services.append(made)
        slices.append(slice_of(made, pods))
    given = {"pod_to_node_masqueraded": True, "balancer": True, "outside": True, "outside_address": OUTSIDE_ADDRESS}
    given["mtus"] = {name: 1500 for name, _ in plan.pods}
    given["addresses"] = {f"node{n}": frozenset({f"172.30.0.{n}", f"10.244.{n}.0"}) for n in range(1, 10)}
    return World(
        nodes=[node(int(n[4:])) for n in dict.fromkeys(at for _, at in plan.pods)],
        pods=pods,
        services=services,
        slices=slices,
        facts=Facts(**{**given, **facts}),  # type: ignore[arg-type]
    )


def slice_of(service: dict, pods: list[dict]) -> dict:
    selector = service["spec"].get("selector")
    chosen = [p for p in pods if selector and all(p["metadata"]["labels"].get(k) == v for k, v in selector.items())]
    published = service["spec"].get("publishNotReadyAddresses")
    numbers = {"http": objects.HTTP_PORT, "udp": objects.HTTP_PORT, "banner": objects.BANNER_PORT}
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": service["metadata"]["name"]}},
        "addressType": "IPv4",
        "ports": [
            {
                "name": p["name"],
                "protocol": p.get("protocol", "TCP"),
                "port": numbers.get(p["targetPort"], p["targetPort"]),
            }
            for p in service["spec"].get("ports", [])
        ],
        "endpoints": [
            {
                "addresses": [p["status"]["podIP"]],
                "nodeName": p["spec"]["nodeName"],
                "targetRef": {"name": p["metadata"]["name"]},
                "conditions": {"ready": p["metadata"]["name"] != "never-ready" or bool(published)},
            }
            for p in chosen
        ],
    }


def sources(plan: Layout, of: World, outside: bool = True) -> list[Source]:
    found = []
    for name, at in (*plan.pods, *plan.host_pods):
        pod = of.pod(name)
        assert pod is not None
        found.append(Source(name, at, pod["status"]["podIP"], NAMESPACE, bool(pod["spec"].get("hostNetwork"))))
    if outside:
        found.append(Source("outside", "", OUTSIDE_ADDRESS, outside=True))
    return found


def healthy(source: Source, target: Target, expected: Expected) -> Observation:
    """What a healthy network shows."""
    outcome = next(o for o in Outcome if o in expected.outcomes)
    if outcome is not Outcome.CONNECTED:
        return Observation(outcome)
    names = sorted(expected.responders or ["-"])
    if expected.one_responder:
        names = names[:1]
    if expected.an_address:
        names = ["192.0.2.7"]
    if expected.records is not None:
        names = [",".join(sorted(expected.records))]
    return Observation(
        outcome,
        responders=Counter({n: max(1, target.repeat // len(names)) for n in names}),
        clients=frozenset(sorted(expected.clients or [])[:1]),
        latency_ms=0.4,
    )


def blocked(outcome: Outcome = Outcome.TIMEOUT, detail: str = "no answer") -> Observation:
    return Observation(outcome, detail, failures=Counter({str(outcome): 1}))


def tables(fault: Fault | None = None, *, plan: Layout | None = None, of: World | None = None) -> list[Table]:
    """All tables of a run with one fault."""
    plan = plan or layout()
    of = of or world(plan)
    everybody = sources(plan, of)
    found = []
    for case in cases.CASES.values():
        if (
            "sctp" in case.needs
            or "dual stack" in case.needs
            or ("outside name" in case.needs and not plan.external_name)
        ):
            continue
        cells: list[Cell] = []
        for source, target in case.pairs(plan, of, everybody):
            expected = expect(of, source, target)
            seen = fault(source, target, expected) if fault else None
            cells.append(judge(source, target, expected, seen or healthy(source, target, expected)))
        found.append(Table(case.key, case.title, cells))
    return found
