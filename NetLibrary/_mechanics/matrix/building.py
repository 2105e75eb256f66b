"""Builds a matrix on one cluster: pods and Services, all at once, and what has to be measured before it is probed."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses, service_types
from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.model.objects import Layout
from NetLibrary._mechanics.matrix.readiness import await_balancer, await_endpoints, await_pods
from NetLibrary._mechanics.matrix.testbed import Options, Pair, Testbed
from NetLibrary._mechanics.probing.fleet import Fleet
from NetLibrary._mechanics.probing.pipes import CONTAINER
from NetLibrary._mechanics.probing.types import Outcome, Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster
    from NetLibrary._mechanics.kube.pods import PodSettings

PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
OUTSIDE = "outside"
ALIAS = "alias"
# With more pods than this, Services are made once the pods are ready
MANY_PODS = 30
# Local addresses of a node, from the kernel's own table: no program is needed for that
READ_ADDRESSES = "cat /proc/net/fib_trie /proc/net/if_inet6 2>/dev/null; true"
_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")
_INET6 = re.compile(r"^([0-9a-f]{32}) [0-9a-f]{2} [0-9a-f]{2} ([0-9a-f]{2}) ", re.MULTILINE)


class Builder:
    """Makes the testbed of a matrix.

    Args:
        cluster: Where.
        options: How.

    Example:
        >>> testbed = Builder(cluster, Options("matrix-1", "agnhost:2.53")).build()   # doctest: +SKIP
    """

    def __init__(self, cluster: Cluster, options: Options) -> None:
        lab = cluster.lab if options.outside else None
        self._place = lab.outside if lab is not None else None
        enter = self._place.enter if self._place is not None else ()
        fleet = Fleet(cluster, prefer=options.prober, outside=enter, in_flight=options.in_flight)
        self._bed = Testbed(cluster, options, Layout(options.namespace, options.image, ()), fleet)

    @property
    def testbed(self) -> Testbed:
        """What there is of it so far."""
        return self._bed

    def build(self) -> Testbed:
        """Makes namespace, pods and Services, all at once, and waits for all of them together.

        Raises:
            InputError: No node fits.
            WaitFailed, WaitTimeout: No pod got ready.
        """
        bed, started = self._bed, time.monotonic()
        bed.layout = _layout(bed.options, bed.cluster.list("Node"), bed.cluster.pod_settings())
        name = bed.options.namespace
        self._take_namespace(name)
        services = [s for s in objects.services(bed.layout) if s["metadata"]["name"] != ALIAS]
        planned, pods = bed.layout, objects.pods(bed.layout)
        # each pod that gets ready changes every Service with all pods behind it, on every node
        later = services if len(pods) > MANY_PODS else []
        self._create([*([] if later else services), *pods])
        self._without_refused()
        await_pods(bed)
        bed.seconds["pods"] = time.monotonic() - started
        if later:
            self._create(later)
            self._without_refused()
        self._lead_elsewhere(planned)
        await_endpoints(bed)
        await_balancer(bed)
        bed.refresh()
        self._find_sources()
        self._learn_from_probers()
        aim = f"to-{bed.layout.first}"
        if aim in bed.left_out:
            bed.unfounded[ALIAS] = f"the Service '{aim}', to which it leads, is not there: {bed.left_out[aim]}"
        self._create([s for s in objects.services(bed.layout) if s["metadata"]["name"] == ALIAS])
        self._create([objects.many_endpoints(bed.layout, cases.dns_room(bed.world), bed.world.family)])
        bed.refresh()
        self._measure()
        bed.seconds["build"] = time.monotonic() - started
        return bed

    def _take_namespace(self, name: str) -> None:
        """Makes the namespace, or works in the one that is there."""
        self._bed.own_namespace = self._bed.cluster.enter_namespace(name, labels=PRIVILEGED, use_existing=True)

    # --- objects ------------------------------------------------------------------------------------------

    def _create(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="create") as pool:
            list(pool.map(self._create_one, wanted))

    def _create_one(self, obj: Mapping[str, Any]) -> None:
        """Creates an object; one that the server refuses costs its row and not the whole matrix."""
        bed, name = self._bed, obj["metadata"]["name"]
        try:
            bed.cluster.create(dict(obj))
        except errors.Invalid as error:
            if name == objects.NEAR:
                bed.layout = dataclasses.replace(bed.layout, near=False)
            bed.refused[name] = str(error)
        except errors.ClusterError as error:
            if not service_types.is_refusal(error):
                raise
            bed.refused[name] = str(error)

    def _without_refused(self) -> None:
        """Leaves the pods out that the server has refused, with its words."""
        bed = self._bed
        lost = {n: bed.refused[n] for n, _ in (*bed.layout.pods, *bed.layout.host_pods) if n in bed.refused}
        for text in dict.fromkeys(lost.values()):
            names = ", ".join(f"'{n}'" for n, t in lost.items() if t == text)
            bed.note(f"The API server rejected the pods {names}: {text}")
        bed.layout = bed.layout.without(lost)
        if not bed.layout.pods:
            raise errors.WaitFailed(f"The API server rejected every pod of the matrix: {next(iter(lost.values()))}")
        for name, text in bed.refused.items():
            if name not in lost and name != objects.NEAR:
                bed.note(f"The API server rejected '{name}': {text}")

    def _lead_elsewhere(self, planned: Layout) -> None:
        """Leads the Services with one endpoint to another pod where the one planned for them was left out."""
        bed = self._bed
        if bed.layout.first == planned.first:
            return
        gone = f"its pod '{planned.first}' was left out"
        bed.unfounded[objects.SEVERAL_PORTS] = f"{gone}, and no other has its second server"
        before = {each["metadata"]["name"]: each["spec"].get("selector") for each in objects.services(planned)}
        for service in objects.services(bed.layout):
            name, selector = service["metadata"]["name"], service["spec"].get("selector")
            if name in bed.left_out or before.get(name) == selector:
                continue
            try:
                bed.cluster.patch("Service", name, bed.layout.namespace, {"spec": {"selector": selector}})
            except errors.Forbidden as error:
                bed.unfounded[name] = f"{gone}, and its Service may not be changed: {error}"

    # --- probers and what they tell -----------------------------------------------------------------------

    def _find_sources(self) -> None:
        bed, found = self._bed, []
        for name, node in (*bed.layout.pods, *bed.layout.host_pods):
            pod = bed.world.pod(name)
            if pod is not None:
                address, host = pod.get("status", {}).get("podIP", ""), bool(pod["spec"].get("hostNetwork"))
                container = objects.PROBER if bed.layout.prober_image else CONTAINER
                found.append(Source(name, node, address, bed.layout.namespace, host, container=container))
        if self._place is not None:
            found.append(Source(OUTSIDE, "", self._place.address, outside=True))
        bed.sources = found
        trouble = bed.fleet.start(found)
        for text in trouble.values():
            bed.note(f"{text}.")
        if OUTSIDE in trouble:
            bed.sources, self._place = [s for s in found if not s.outside], None

    def _learn_from_probers(self) -> None:
        """Host names and DNS domain from the probers, addresses from the kernels of the nodes."""
        bed = self._bed
        hosts = [s for s in bed.sources if s.host_network]
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="addresses") as pool:
            read = dict(zip(hosts, pool.map(self._addresses, hosts), strict=True))
        names = bed.fleet.host_names
        domain = bed.fleet.domain or bed.layout.domain
        bed.learn(
            dataclasses.replace(
                bed.world.facts,
                addresses={s.node: found for s, found in read.items() if found},
                host_names={s.name: names[s.name] for s in hosts if s.name in names},
                domain=domain,
                mtus={name: mtu for name, mtu in bed.fleet.mtus.items() if name in dict(bed.layout.pods)},
            )
        )
        bed.layout = dataclasses.replace(bed.layout, domain=domain)
        if domain != "cluster.local":
            bed.note(f"The cluster's DNS domain is '{domain}', as the pods' search lists say.")

    def _addresses(self, source: Source) -> frozenset[str]:
        try:
            words = ["sh", "-c", READ_ADDRESSES]
            bed = self._bed
            ran = bed.cluster.exec(
                source.namespace, source.name, words, container=source.container, timeout=10, check=False, again=True
            )
        except errors.NetLibraryError:  # a source without a shell: then nothing is claimed about its node's addresses
            return frozenset()
        return local_addresses(ran.stdout)

    def _measure(self) -> None:
        """Measures what no object tells and what expectations depend on."""
        bed = self._bed
        inside = [s for s in bed.sources if not s.outside and not s.host_network]
        wanted: list[Pair] = []
        for source in inside:
            for _, target in cases.CASES["pod ip"].pairs(bed.layout, bed.world, [source]):
                if target.pod.startswith("host-") and target.node != source.node and target.protocol == "TCP":
                    wanted.append((source, target))
        masqueraded: Counter[bool] = Counter()
        for source, _, seen in bed.fleet.run(wanted[:12], limit_ms=bed.options.limit_ms):
            for client in seen.clients:
                masqueraded[client != source.address] += 1
        balanced = bed.world.service("balanced")
        facts = dataclasses.replace(
            bed.world.facts,
            pod_to_node_masqueraded=masqueraded[True] > masqueraded[False],
            balancer=any(map(addresses.family_of, addresses.of_load_balancer(balanced or {}))),
            outside=self._place is not None,
            outside_address=self._place.address if self._place is not None else "",
            sctp=self._has_sctp(inside[0]),
        )
        bed.learn(facts)
        how = "with their node's address" if facts.pod_to_node_masqueraded else "with their own address"
        measured = f"{sum(masqueraded.values())} connections" if masqueraded else "nothing could be measured; assumed"
        bed.note(f"Measured: nodes see pods of other nodes {how} ({measured}).")

    def _has_sctp(self, first: Source) -> bool:
        probe = Target("sctp", "check", first.address, objects.HTTP_PORT, "SCTP", "sctp")
        seen = self._bed.fleet.run([(first, probe)], limit_ms=1000)[0][2]
        return "not supported" not in seen.detail and seen.outcome is not Outcome.ERROR


def _layout(options: Options, nodes: Sequence[Mapping[str, Any]], settings: PodSettings) -> Layout:
    chosen, left_out = objects.choose_nodes(nodes, labels=options.node_labels, names=options.nodes, settings=settings)
    seed = zlib.crc32(options.namespace.encode())
    return Layout(
        namespace=options.namespace,
        image=options.image,
        prober_image=options.prober_image,
        pods=tuple(objects.pod_names(chosen, options.pods_per_node)),
        host_pods=tuple((f"host-{name[3:]}", node) for name, node in objects.pod_names(chosen, 1))
        if options.host_pods
        else (),
        # two runs on one cluster must not want the same port of a node
        host_port=21000 + seed % 8000,
        balancer=options.balancer > 0,
        external_ip=options.external_ip or _own_address(nodes, chosen[0]),
        external_port=20000 + seed % 900,
        external_name=options.external_name.rstrip("."),
        left_out=tuple(left_out),
    )


def _own_address(nodes: Sequence[Mapping[str, Any]], name: str) -> str:
    """An address of a node for the Service with externalIPs: whoever takes its packets, they stay in the cluster."""
    return next((ip for node in nodes if node["metadata"]["name"] == name for ip in addresses.of_node(node)), "")


def local_addresses(text: str) -> frozenset[str]:
    """Addresses of a node from `/proc/net/fib_trie` and `/proc/net/if_inet6`, without those of its loopback."""
    found = {a for a in _LOCAL.findall(text) if not a.startswith("127.")}
    for digits, scope in _INET6.findall(text):
        if scope != "10":  # the loopback
            groups = ":".join(digits[i : i + 4] for i in range(0, 32, 4))
            found.add(str(ipaddress.ip_address(groups)))
    return frozenset(found)


__all__ = ["Builder", "Options", "Pair", "Testbed", "local_addresses"]
