"""Finds what somebody has changed about the matrix's own objects. A pure function.

Expectations are computed from the objects as they are. Without this, a Service whose selector was broken would be
expected to be broken, and the table would be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from NetLibrary._mechanics.kube.ownership import RUN_LABEL
from NetLibrary._mechanics.kube.selectors import selects
from NetLibrary._mechanics.kube.why_not_ready import is_ready
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.model.objects import Layout
from NetLibrary._mechanics.matrix.model.world import IGNORED_LABELS, Object, World

# Field of a Service's spec, and its default
FIELDS: dict[str, Any] = {
    "type": "ClusterIP",
    "selector": None,
    "sessionAffinity": "None",
    "internalTrafficPolicy": "Cluster",
    "externalTrafficPolicy": "Cluster",
    "externalName": None,
    "externalIPs": None,
    "loadBalancerSourceRanges": None,
    "publishNotReadyAddresses": False,
}


def drift(layout: Layout, world: World) -> dict[str, str]:
    """What is not as it was made, by name of the Service or pod.

    Args:
        layout: What was made.
        world: What there is.
    """
    found: dict[str, str] = {}
    for name, _ in (*layout.pods, *layout.host_pods):
        if world.pod(name) is None:
            found[name] = f"pod '{name}' no longer exists"
    for made in objects.services(layout):
        name = made["metadata"]["name"]
        now = world.service(name)
        if now is None:
            found[name] = f"Service '{name}' no longer exists"
            continue
        changes = [*_spec(made["spec"], now["spec"]), *_labels(now), *_endpoints(world, now)]
        if changes:
            found[name] = f"Service '{name}' is not as it was created: " + "; ".join(changes[:3])
    return found


def foreign_policies(world: World, run_id: str) -> dict[str, str]:
    """NetworkPolicies in the matrix's own namespace that this run has not made, by name.

    A run may make policies there to see whether they are enforced; then what they block is right. Anybody else's are
    not: somebody, or something such as an admission controller, cuts the matrix off.
    """
    found: dict[str, str] = {}
    for policy in world.policies:
        name, labels = policy["metadata"]["name"], policy["metadata"].get("labels") or {}
        if labels.get(RUN_LABEL) != run_id:
            found[name] = (
                f"NetworkPolicy '{name}', which this run did not create, blocks connections in the namespace of the "
                "matrix"
            )
    return found


def _spec(made: Object, now: Object) -> list[str]:
    changes = []
    for field, default in FIELDS.items():
        before, after = made.get(field) or default, now.get(field) or default
        if before != after:
            changes.append(f"{field} is {_words(after)} instead of {_words(before)}")
    ports = {(p["port"], p.get("protocol", "TCP")): p for p in now.get("ports") or []}
    for port in made.get("ports") or []:
        key = port["port"], port.get("protocol", "TCP")
        after = ports.pop(key, None)
        if after is None:
            changes.append(f"port {key[0]}/{key[1]} is missing")
        elif str(after.get("targetPort")) != str(port["targetPort"]):
            changes.append(
                f"targetPort of {key[0]}/{key[1]} is {after.get('targetPort')} instead of {port['targetPort']}"
            )
    return changes


def _labels(now: Object) -> list[str]:
    labels = now["metadata"].get("labels") or {}
    return [f"it has the label {label}" for label in IGNORED_LABELS if label in labels]


def _endpoints(world: World, service: Object) -> list[str]:
    """Where its EndpointSlices differ from the pods that it selects: missing addresses, strange ones, double ones."""
    selector = service["spec"].get("selector")
    if not selector or service["spec"].get("type") == "ExternalName":
        return []
    mine = [
        each
        for each in world.slices
        if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == service["metadata"]["name"]
    ]
    listed = [
        (each.get("addressType"), address)
        for each in mine
        for endpoint in each.get("endpoints") or []
        for address in endpoint["addresses"]
    ]
    selected = [
        p for p in world.pods if selects({"matchLabels": selector}, p["metadata"].get("labels") or {})
    ]  # fmt: skip
    known = {ip["ip"] for p in selected for ip in (p.get("status") or {}).get("podIPs") or []}
    known |= {str((p.get("status") or {}).get("podIP", "")) for p in selected}
    addresses = {address for _, address in listed}
    missing = [
        f"its EndpointSlices lack the ready pod '{pod['metadata']['name']}'"
        for pod in selected
        if not pod["metadata"].get("deletionTimestamp")
        and is_ready(dict(pod))
        and pod["status"]["podIP"] not in addresses
    ]
    strange = [
        f"its EndpointSlices list the address {address}, which is not one of its pods'"
        for address in sorted(addresses - known)
    ]
    double = sorted({address for kind, address in listed if listed.count((kind, address)) > 1})
    twice = [f"its EndpointSlices list the address {address} more than once" for address in double]
    return [*missing, *strange, *twice, *_slice_ports(service, mine)]


def _slice_ports(service: Object, slices: Sequence[Object]) -> list[str]:
    """Ports of the Service that no slice has by their name."""
    names = {(p.get("name") or "", p.get("protocol", "TCP")) for each in slices for p in each.get("ports") or []}
    if not names:
        return []
    wanted = {(p.get("name") or "", p.get("protocol", "TCP")) for p in service["spec"].get("ports") or []}
    return [f"its EndpointSlices have no port '{name}'/{protocol}" for name, protocol in sorted(wanted - names)]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{k}={v}" for k, v in sorted(value.items())) or "empty"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "empty"
    return str(value) if value is not None else "none"
