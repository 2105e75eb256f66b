"""Computes what a cell must show, from objects alone. Pure functions: no cluster, no clock.

Rules: kube-proxy's behaviour as Kubernetes documents it (virtual IPs and service proxies; traffic policies;
EndpointSlice conditions), in the order in which the proxy applies them.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Sequence

from NetLibrary._mechanics.kube import policies
from NetLibrary._mechanics.matrix.model.types import Expected
from NetLibrary._mechanics.matrix.model.world import Endpoint, Object, World, nearby, proxied, usable
from NetLibrary._mechanics.probing.types import Outcome, Source, Target

CONNECTED = frozenset({Outcome.CONNECTED})
# A "no" may come as a refusal, as "no route", by the kernel's veto to a datagram, or as silence: which is not promised.
NOTHING = frozenset({Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.RESET})
ANYTHING = NOTHING | CONNECTED | {Outcome.NO_ANSWER}
# A lookup inside a cluster takes a few milliseconds; half a second is a lost packet or an overloaded server.
SLOW_LOOKUP_MS = 500.0
# agnhost answers within milliseconds; a lost first packet costs 1000 ms, and a node that is busy up to some hundred
SLOW_ANSWER_MS = 700.0
PROXIED_KINDS = ("vip", "nodeport", "loadbalancer", "externalip")


def expect(world: World, source: Source, target: Target) -> Expected:
    """Returns what a probe from a source to a target must show.

    Args:
        world: The objects and the measured facts.
        source: Where the probe starts.
        target: What it asks.

    An answer that comes later than `SLOW_ANSWER_MS` is wrong in every cell.

    Example:
        >>> from NetLibrary._mechanics.matrix.model.types import Source, Target
        >>> service = {"metadata": {"name": "s"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}}
        >>> str(expect(World(services=[service]), Source("a", "n1"), Target("s", "vip", "10.0.0.1", 80, service="s")))
        'no connection'
    """
    slow = SLOW_LOOKUP_MS if target.kind == "dns" else SLOW_ANSWER_MS
    return dataclasses.replace(_expect(world, source, target), slow_ms=slow)


def _expect(world: World, source: Source, target: Target) -> Expected:
    if target.kind == "pod":
        return _sctp(target) or _pod(world, source, target)
    if target.kind == "dns":
        return _lookup(world, target)
    service = world.service(target.service)
    if service is None:
        return Expected(NOTHING, reason=f"Service '{target.service}' does not exist")
    if target.kind == "name":
        return _name(world, source, target, service)
    if target.kind in PROXIED_KINDS:
        expected = _proxied(world, source, target, service)
        free = not_promised(source, target, service)
        return _free(world, source, target, service, expected, free) if free else expected
    return Expected(CONNECTED, reason="given by the case")


def not_promised(source: Source, target: Target, service: Object) -> str:
    """Why Kubernetes does not promise whether a connection comes about; empty where it does.

    Args:
        source: Where the probe starts.
        target: What it asks.
        service: The Service behind it.
    """
    spec, inside = service["spec"], not source.outside
    if target.kind == "externalip":
        return "some clusters refuse external IPs on purpose (CVE-2020-8554)"
    if inside and target.kind in ("nodeport", "loadbalancer") and spec.get("externalTrafficPolicy") == "Local":
        return "externalTrafficPolicy is about traffic from outside; its effect for clients inside is not specified"
    if inside and target.kind == "loadbalancer" and spec.get("loadBalancerSourceRanges"):
        return "loadBalancerSourceRanges are for clients outside; their effect for clients inside is not specified"
    return ""


def _free(world: World, source: Source, target: Target, service: Object, computed: Expected, why: str) -> Expected:
    """Whatever happens is right, but whoever answers has to be an endpoint of the Service."""
    port, family = target.service_port or target.port, 6 if ":" in target.host else 4
    everybody = frozenset(world.responder(e) for e in usable(world.endpoints(service, port, target.protocol, family)))
    reason = f"not promised: {why}; kube-proxy would show: {computed}, because {computed.reason}"
    return Expected(ANYTHING, everybody or None, reason=reason, promised=False)


def _pod(world: World, source: Source, target: Target) -> Expected:
    pod = world.pod(target.pod)
    if pod is None:
        return Expected(NOTHING, reason=f"pod '{target.pod}' does not exist")
    endpoint = Endpoint(target.host, target.port, target.pod, target.node)
    blocked, open_question = _policy(world, source, endpoint, target.protocol)
    if blocked and not open_question:
        return Expected(NOTHING, reason=blocked)
    clients = _own(world, source, target.host)
    if source.outside and not world.facts.outside_address:
        clients = None
    if pod["spec"].get("hostNetwork") and clients is not None and not source.outside and target.node != source.node:
        # many networks masquerade what pods send to nodes
        clients = clients | world.node_addresses(source.node) if world.addresses_known(source.node) else None
    if target.extra.startswith("size=") or target.probe == "udpsize":
        return Expected(CONNECTED, reason="packets of every size must pass")
    outcomes, reason = CONNECTED, "pods reach each other without translation"
    if open_question:
        outcomes, reason = CONNECTED | NOTHING, open_question
    return Expected(outcomes, frozenset({world.responder(endpoint)}), clients, reason)


def _sctp(target: Target) -> Expected | None:
    # agnhost's netexec is not asked for its name over SCTP here: an association that comes about is all that is judged
    return Expected(CONNECTED, reason="an SCTP association is established") if target.protocol == "SCTP" else None


def _own(world: World, source: Source, host: str = "") -> frozenset[str] | None:
    """The source's own address, as a server sees it when nothing is translated; None where that is not promised.

    With which of its addresses a node's own process reaches a pod is up to the network (an overlay's device, a tunnel's
    address): Kubernetes promises only that it reaches it.
    """
    if source.outside:
        address = world.facts.outside_address
        # it has one of each family, of which one is known
        known = bool(address) and (not host or (":" in host) == (":" in address))
        return frozenset({address}) if known else None
    if source.host_network:
        return None
    status = (world.pod(source.name) or {}).get("status", {})
    # one of each family in a dual-stack cluster; a connection can only be seen with the one of its own family
    return frozenset({source.address, *(entry["ip"] for entry in status.get("podIPs") or ())}) - {""} or None


def _policy(world: World, source: Source, endpoint: Endpoint, protocol: str) -> tuple[str, str]:
    """Which policy blocks, and why both outcomes are right where the API leaves it to the implementation."""
    if not world.policies:
        return "", ""
    there = world.pod(endpoint.pod)
    here = _outsider(source) if source.outside else world.pod(source.name)
    if here is None or there is None:
        return "", ""
    family = 6 if ":" in endpoint.address else 4
    what = (world.policies, world.namespaces, here, there, endpoint.port, protocol)
    found = policies.blocking(*what, family=family)
    if source.outside and found:
        # with which address it arrives depends on the entry node: its own, or that of the node
        return "a policy", "the effect of policies on translated addresses from outside depends on the network plugin"
    if policies.disputed(*what, family=family):
        return "a policy", "the effect of policies on pods on the host network depends on the network plugin"
    return (f"blocked by {found[0]}" if found else ""), ""


def _outsider(source: Source) -> Object:
    """Somebody outside, as policies see him: an address that no selector finds."""
    return {
        "metadata": {"name": source.name, "namespace": "", "labels": {}},
        "spec": {"hostNetwork": True},
        "status": {"podIP": source.address},
    }


def _is_internal(world: World, source: Source, target: Target, service: Object) -> tuple[bool, str]:
    """Tells whether the proxy takes traffic to an external address for traffic from inside the cluster."""
    if source.outside:
        return False, "the client is outside the cluster"
    if target.kind == "loadbalancer" or target.kind == "externalip":
        return True, "traffic from inside the cluster to an external address counts as internal"
    if source.node == target.node:
        return True, "a node's own pods and processes count as internal at its NodePorts"
    if source.host_network:
        return False, "another node's process counts as external"
    if world.facts.pod_to_node_masqueraded:
        return False, "pods of other nodes arrive with their node's address and count as external (measured)"
    return True, "pods of other nodes arrive with their own address and count as internal (measured)"


def _proxied(world: World, source: Source, target: Target, service: Object) -> Expected:
    spec = service["spec"]
    if not proxied(service):
        return Expected(NOTHING, reason="the proxy leaves this Service alone (label, headless or ExternalName)")
    port = target.service_port or target.port
    # a name leads to the Service's own address
    host = target.host if target.kind != "name" else str(spec.get("clusterIP") or "")
    family = 6 if ":" in host else 4
    everything = world.endpoints(service, port, target.protocol, family)
    chosen, reason = usable(everything), "every ready endpoint may answer"
    if not chosen:
        return Expected(NOTHING, reason="the Service has no endpoint")
    if chosen and not chosen[0].ready:
        reason = "all endpoints are terminating; those that still serve answer"
    local = ""
    asked: frozenset[str] | None = None
    internal = True
    if target.kind == "vip":
        if spec.get("internalTrafficPolicy") == "Local":
            local = source.node
    else:
        internal, why = _is_internal(world, source, target, service)
        if spec.get("externalTrafficPolicy") == "Local":
            reason = why
            if not internal:
                local = target.node or "*"
        if target.kind == "loadbalancer" and not _in_ranges(spec, source):
            return Expected(NOTHING, reason="loadBalancerSourceRanges does not list the client's address")
    if target.kind == "vip" and not local:
        near = nearby(chosen, source.node, world.zone(source.node))
        if len(near) < len(chosen):
            asked = frozenset(world.responder(e) for e in near)
            reason = (
                f"the EndpointSlices' hints ask to keep the traffic of node '{source.node}' local, which is optional"
            )
    if local and local != "*":
        # Terminating endpoints count only where no ready one is, and that is decided among the local ones
        chosen = usable([e for e in everything if e.node == local])
        if not chosen:
            return Expected(NOTHING, reason=f"the traffic policy is Local and node '{local}' has no endpoint")
        reason = f"the traffic policy is Local, so only endpoints on node '{local}' answer"
    found = _to_endpoints(world, source, target, service, chosen, reason, internal)
    return dataclasses.replace(found, preferred=asked)


def _in_ranges(spec: Object, source: Source) -> bool:
    ranges = spec.get("loadBalancerSourceRanges") or []
    if not ranges or not source.address:
        return True
    address = ipaddress.ip_address(source.address)
    return any(address in ipaddress.ip_network(r.strip(), strict=False) for r in ranges)


def _to_endpoints(
    world: World,
    source: Source,
    target: Target,
    service: Object,
    chosen: Sequence[Endpoint],
    reason: str,
    internal: bool,
) -> Expected:
    verdicts = {e: _policy(world, source, e, target.protocol) for e in chosen}
    blocked = {e: "" if disputed else text for e, (text, disputed) in verdicts.items()}
    open_ones = [e for e in chosen if not blocked[e]]
    if not open_ones:
        return Expected(NOTHING, reason=next(iter(blocked.values())))
    certain = len(open_ones) == len(chosen) and not any(disputed for _, disputed in verdicts.values())
    outcomes = CONNECTED if certain else CONNECTED | NOTHING
    sticky = service["spec"].get("sessionAffinity") == "ClientIP" and target.repeat > 1
    return Expected(
        outcomes,
        frozenset(world.responder(e) for e in open_ones),
        _clients(world, source, target, service, open_ones, internal),
        reason
        + (f"; some are {next(b for b in blocked.values() if b)}" if len(open_ones) < len(chosen) else "")
        + "".join(sorted({f"; {disputed}" for _, disputed in verdicts.values() if disputed})),
        one_responder=sticky,
    )


def _clients(
    world: World, source: Source, target: Target, service: Object, chosen: Sequence[Endpoint], internal: bool
) -> frozenset[str] | None:
    """Addresses that the backend may see; None where the proxy puts in one of its own choice."""
    own = _own(world, source, target.host)
    if own is None or any(e.pod == source.name or e.address == source.address for e in chosen):
        return None  # an endpoint that calls itself is seen with an address of its node
    if world.facts.pod_to_node_masqueraded and not source.outside:
        behind_node = [bool((world.pod(e.pod) or {"spec": {}})["spec"].get("hostNetwork")) for e in chosen]
        if any(behind_node) or not internal:  # the network plugin masquerades what pods send to nodes
            if not world.addresses_known(source.node):
                return None
            own = own | world.node_addresses(source.node)
    if target.kind == "vip":
        return own if not source.host_network else None
    if service["spec"].get("externalTrafficPolicy") == "Local":
        return own if not source.host_network or not internal else None
    return None  # masqueraded with an address of the entry node


def _name(world: World, source: Source, target: Target, service: Object) -> Expected:
    spec = service["spec"]
    port = target.service_port or target.port
    if spec.get("type") == "ExternalName":
        aim = spec["externalName"].rstrip(".").split(".")[0]
        behind = world.service(aim)
        if behind is None:
            return Expected(CONNECTED, reason=f"the name resolves to {spec['externalName']}")
        return _name(world, source, target, behind)
    if spec.get("clusterIP") == "None":
        chosen = usable(world.endpoints(service, port, target.protocol, 6 if ":" in source.address else 4))
        if not chosen:
            return Expected(frozenset({Outcome.DNS}), reason="a headless Service without endpoints has no address")
        own = _own(world, source)
        return Expected(
            CONNECTED, frozenset(world.responder(e) for e in chosen), own, "the name resolves to the pods themselves"
        )
    return _proxied(world, source, target, service)


def _lookup(world: World, target: Target) -> Expected:
    """The records of a Service's name; see the DNS specification of Kubernetes."""
    service = world.service(target.service)
    if service is None:
        return Expected(frozenset({Outcome.DNS}), reason=f"Service '{target.service}' does not exist")
    spec = service["spec"]
    kind = target.extra.split("/", 1)[0]
    if target.extra.count("/") > 1:
        return Expected(CONNECTED, reason="an answer as large as a packet must pass")
    if spec.get("type") == "ExternalName":
        if kind == "CNAME":
            return Expected(CONNECTED, records=frozenset({spec["externalName"].rstrip(".") + "."}), reason="CNAME")
        return Expected(CONNECTED, an_address=True, reason="the name resolves to another name, and that to an address")
    family = 6 if kind == "AAAA" else 4
    if spec.get("clusterIP") == "None":
        published = bool(spec.get("publishNotReadyAddresses"))
        addresses = {
            e.address
            for port in spec.get("ports") or []
            for e in world.endpoints(service, port["port"], port.get("protocol", "TCP"), family)
            if e.ready or published
        }
        if not addresses:
            return Expected(frozenset({Outcome.DNS, Outcome.CONNECTED}), records=frozenset(), reason="no endpoints")
        return Expected(CONNECTED, records=frozenset(addresses), reason="a headless name has the pods' addresses")
    own = [ip for ip in spec.get("clusterIPs") or [spec["clusterIP"]] if (":" in ip) == (family == 6)]
    return Expected(CONNECTED, records=frozenset(own), reason="the name has the Service's address")
