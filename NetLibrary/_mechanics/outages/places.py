"""What a measurement consists of before it runs: targets, streams, probers at their places, echo servers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem, Unavailable
from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.behind import behind
from NetLibrary._mechanics.kube.cpu_limits import Containers
from NetLibrary._mechanics.outages import discovery, objects, outside_servers, streams
from NetLibrary._mechanics.outages import targets as own_targets
from NetLibrary._mechanics.outages.objects import Endpoints, Target
from NetLibrary._mechanics.outages.run.echoes import EchoPod, OutsideEcho
from NetLibrary._mechanics.outages.run.probers import LocalProber, PodProber, Prober
from NetLibrary._mechanics.outages.streams import Rates
from NetLibrary._mechanics.outages.types import StreamSpec
from NetLibrary._mechanics.vantage.from_outside import missing_route, silent
from NetLibrary.types import OutagePath, OutageTarget, ProbeKind

#: Small blocks, so that a gap shows; larger ones at a low rate come in lumps.
IPERF_BLOCK = 1000


@dataclass
class Plan:
    """All that a measurement needs.

    Args:
        endpoints: The objects in the cluster.
        targets: Where the paths lead.
        missing: A sentence for each path that cannot be measured.
        by_source: Streams by the place that they are probed from.
        probers: One for each place.
        echoes: Echo servers among the endpoints.
        containers: Those at the ends of the paths, with their CPU limits.
    """

    endpoints: Endpoints
    targets: list[Target]
    missing: list[str]
    by_source: dict[str, list[StreamSpec]]
    probers: list[Prober]
    echoes: list[EchoPod | OutsideEcho]
    containers: Containers | None = None

    @property
    def specs(self) -> list[StreamSpec]:
        """All streams."""
        return [spec for specs in self.by_source.values() for spec in specs]

    def absent(self, required: Collection[str]) -> list[str]:
        """Says which of the required paths are not measured at all, and why."""
        measured = {spec.base_path for spec in self.specs}
        found = []
        for path in required:
            if path not in measured:
                why = [text for text in self.missing if text.startswith((f"{path}:", f"{path} IPv"))]
                found += why[:1] or [f"{path}: none of the requested probes fits it"]
        return found

    def unprobed(self, required: Collection[str], impossible: Sequence[tuple[StreamSpec, str]]) -> list[str]:
        """Says which of the required paths no probe can measure after all, for instance for lack of a right."""
        dead = {spec.name: why for spec, why in impossible}
        found = []
        for path in required:
            own = [spec for spec in self.specs if spec.base_path == path]
            if own and all(spec.name in dead for spec in own):
                found.append(f"{path}: {dead[own[0].name]}")
        return found


def plan(
    cluster: Any,
    namespace: str,
    paths: Sequence[OutagePath],
    rates: Rates,
    *,
    probes: Sequence[ProbeKind] | None,
    families: Sequence[int],
    host_port: int,
    outside: tuple[str, int],
    seconds: float,
    iperf_bits_per_second: int = 0,
    iperf_protocols: Sequence[str] = ("tcp",),
    own: Sequence[OutageTarget] = (),
    source: str = "",
    connections: int = 1,
) -> Plan:
    """Finds out where the paths lead and who measures them.

    Args:
        cluster: The cluster.
        namespace: Where the endpoints are.
        paths: The paths.
        rates: How often they are probed.
        probes: Only these kinds; None for all that a path allows.
        families: IP versions; where the source has none of them, those that it has count.
        host_port: Port of the echo pods in the host network.
        outside: Addresses outside the cluster, separated by commas, and the port there; a lab has one of its own.
        seconds: Outer limit of the measurement.
        iperf_bits_per_second: Rate of iperf3 streams beside; 0 for none.
        iperf_protocols: `tcp` and `udp`, as the streams are to be.
        own: Targets of the user's own.
        source: Pod that measures; the one with the role `source` by default.
        connections: How many connections there are at once on each path.

    Raises:
        Unavailable: None of the paths can be measured.
        EnvironmentProblem: A target of the user's own cannot be measured; nothing is optional about it.
    """
    endpoints = discovery.discover(cluster, namespace, host_port=host_port, source=source)
    echoes: list[EchoPod | OutsideEcho] = [
        EchoPod(cluster, namespace, pod["metadata"]["name"], role)
        for role, pod in endpoints.pods.items()
        if role != objects.SOURCE
    ]
    families = spoken(endpoints, families)
    if OutagePath.OUTSIDE_ADDRESS in paths:
        outside_servers.add(cluster, namespace, endpoints, echoes, outside)
    targets, missing = objects.resolve(endpoints, paths, families)
    netns = f"/run/netns/{cluster.lab.outside.netns}" if cluster.is_lab else None
    if not cluster.is_lab:
        missing += closed_from_here(targets)
    if own:
        client = endpoints.pods[objects.SOURCE]["metadata"]["name"]
        more, lacking = own_targets.resolve(cluster, namespace, client, own, families)
        targets, missing = targets + more, missing + lacking
    for target in [target for target in targets if target.source == objects.OUTSIDE]:
        reason = missing_route(target.address, netns)
        if reason:
            targets.remove(target)
            missing.append(f"{target.path}: there is no path from outside to {target.address} ({reason})")
    missing += [f"{target.path}: {target.note}" for target in targets if target.note]
    if not targets:
        if own:
            raise EnvironmentProblem(f"Targets cannot be measured: {'; '.join(missing)}.")
        raise Unavailable(f"None of the paths can be measured: {'; '.join(missing)}.")
    by_source = streams.streams(targets, rates, probes, connections=connections, sources=len(endpoints.sources))
    runs = {
        place: iperf_runs(targets, iperf_bits_per_second, iperf_protocols, source=place)
        for place in (objects.SOURCE, objects.OUTSIDE)
    }
    probers: list[Prober] = []
    for number, pod in enumerate(endpoints.sources):
        place = streams.source_name(number)
        if place in by_source:
            iperf = runs.get(place, [])
            probers.append(PodProber(cluster, namespace, pod, by_source[place], duration_s=seconds, iperf=iperf))
    if objects.OUTSIDE in by_source:
        specs, iperf = by_source[objects.OUTSIDE], runs[objects.OUTSIDE]
        probers.append(LocalProber("outside", specs, duration_s=seconds, iperf=iperf, netns=netns))
    containers = Containers(cluster, lambda: _ends(cluster, namespace, endpoints, own))
    found = Plan(endpoints, targets, missing, by_source, probers, echoes, containers)
    if absent := found.absent([target.text for target in own]):
        raise EnvironmentProblem(f"Targets cannot be measured: {'; '.join(absent)}.")
    return found


def _ends(
    cluster: Any, namespace: str, endpoints: objects.Endpoints, own: Sequence[OutageTarget]
) -> list[tuple[Mapping[str, Any], bool]]:
    """Returns the pods at the ends of the paths, and whether they are the measurement's own."""
    ends = [(pod, True) for pod in endpoints.pods.values()]
    behind_targets = [pod for target in own for pod in behind(cluster, target.host, namespace).pods]
    return [*ends, *((pod, False) for pod in {pod["metadata"]["uid"]: pod for pod in behind_targets}.values())]


def closed_from_here(targets: list[Target]) -> list[str]:
    """Leaves out the paths from outside that do not reach from this machine, as behind a firewall of a cloud.

    Returns:
        A sentence for each of them.
    """
    tried = [target for target in targets if target.source == objects.OUTSIDE]
    with ThreadPoolExecutor(max_workers=len(tried) or 1, thread_name_prefix="outside") as pool:
        answers = list(pool.map(lambda target: silent(target.address, target.port), tried))
    closed = []
    for target, why in zip(tried, answers, strict=True):
        if why:
            targets.remove(target)
            closed.append(
                f"{target.path}: {target.address} port {target.port} does not answer this machine ({why}); it may be "
                "outside of a firewall, or of the network that the address belongs to"
            )
    return closed


def spoken(endpoints: objects.Endpoints, families: Sequence[int]) -> Sequence[int]:
    """Returns the IP versions to measure: in a cluster of IPv6 alone, who asks for IPv4 gets IPv6."""
    own = {addresses.family_of(each) for each in addresses.of_pod(endpoints.pods.get(objects.SOURCE) or {})}
    return families if not own or own.intersection(families) else sorted(own)


def iperf_runs(
    targets: Sequence[Target],
    bits_per_second: int,
    protocols: Sequence[str] = ("tcp",),
    *,
    source: str = objects.SOURCE,
) -> list[dict[str, Any]]:
    """Lists the iperf3 clients beside the probes, on each path that has servers.

    TCP goes to the server: only who sends knows what it had to send again, and a client that is told to end does not
    hear it from a server that sends. UDP comes from the server: only who receives knows what is missing.
    """
    if not bits_per_second:
        return []
    return [
        {
            "name": f"{target.path} {protocol}",
            "address": target.address,
            "port": port,
            "protocol": protocol,
            "bits_per_second": bits_per_second,
            "length": IPERF_BLOCK,
            "reverse": protocol == "udp",
        }
        for target in targets
        if target.source == source
        for protocol, port in (("tcp", target.iperf_port), ("udp", target.iperf_udp_port))
        if port and protocol in protocols
    ]
