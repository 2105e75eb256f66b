"""Waits until the pods, endpoints and addresses of a matrix are there, and leaves out what will not come."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import addresses, health, looks
from NetLibrary._mechanics.kube.wait import Done, Failed, Pending
from NetLibrary._mechanics.kube.why_not_ready import Hopeless, Lasting, is_ready, problem
from NetLibrary._mechanics.matrix.model import objects

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.testbed import Testbed

# A kubelet takes notice of a pod within a second or two. One that has not for so long, while others have, is looked at.
UNNOTICED = 6.0


def await_pods(bed: Testbed) -> None:
    """Waits for all pods; those that will not get ready are left out with the reason as long as one other is ready.

    Raises:
        WaitFailed, WaitTimeout: No pod got ready.
    """
    wanted = dict((*bed.layout.pods, *bed.layout.host_pods))
    hopeless, silent = Hopeless(), _Silent(bed)
    start, timeout, absences = time.monotonic(), bed.options.timeout, bed.cluster.connection.absences

    def goal(pods: list[dict[str, Any]]) -> Any:
        mine = [p for p in pods if p["metadata"]["name"] in wanted]
        waiting = {p["metadata"]["name"]: problem(p) for p in mine if not is_ready(p)}
        reasons = {name: trouble.text for name, trouble in waiting.items() if hopeless.is_it(name, trouble)}
        some = any(is_ready(p) for p in mine)
        if some:
            for pod in mine:
                name = pod["metadata"]["name"]
                if name in waiting and (why := silent.why(pod, wanted[name])):
                    reasons[name] = why
            if time.monotonic() > start + timeout + absences.allowance(start, timeout) - 1.0:
                reasons = {n: f"not ready in time: {t.text}" for n, t in waiting.items()} | reasons
        unready = next((p for p in pods if p["metadata"]["name"] == objects.NEVER_READY), None)
        if unready is not None and not reasons and not unready.get("status", {}).get("podIP"):
            return Pending(f"'{objects.NEVER_READY}' has no address yet")
        if len(mine) == len(wanted) and not set(waiting) - set(reasons):
            if not some:
                name, trouble = next(iter(waiting.items()))
                return Failed(f"no pod of the matrix became ready; '{name}': {trouble.text}")
            return Done(reasons)
        text = "; ".join(f"{n}: {waiting[n].text}" for n in sorted(waiting)[:3])
        return Pending(f"{len(mine) - len(waiting)}/{len(wanted)} ready" + (f" ({text})" if text else ""))

    lost = bed.cluster.wait(
        "Pod", bed.layout.namespace, goal, timeout=bed.options.timeout, what="pods of the Service matrix"
    )
    if lost:
        bed.layout = bed.layout.without(lost)
        if not bed.layout.pods:
            raise errors.WaitFailed(f"No pod of the matrix became ready: {'; '.join(map(': '.join, lost.items()))}.")


class _Silent:
    """Finds nodes whose kubelet does not take pods, long before their condition says so."""

    def __init__(self, bed: Testbed) -> None:
        self._bed, self._lasting = bed, Lasting()
        self._answers: dict[str, tuple[float, str]] = {}

    def why(self, pod: dict[str, Any], node: str) -> str:
        """Why a pod's node takes no pods; empty when it does or nobody knows yet."""
        status = pod.get("status", {})
        if status.get("startTime") or status.get("containerStatuses"):
            return ""
        if not self._lasting.lasts(pod["metadata"]["name"], UNNOTICED):
            return ""
        asked, text = self._answers.get(node, (-10.0, ""))
        if time.monotonic() - asked > 2.0:
            text = self._ask(node)
            self._answers[node] = time.monotonic(), text
        return text

    def _ask(self, node: str) -> str:
        try:
            leases = looks.look(self._bed.cluster, "Lease", "kube-node-lease")
        except errors.ClusterError:
            return ""
        return health.silence(leases, node)


def await_endpoints(bed: Testbed) -> None:
    """Waits until the EndpointSlices have all pods; probing before would measure the controller, not the proxy."""
    names = {f"to-{name}" for name, _ in (*bed.layout.pods, *bed.layout.host_pods)}
    wanted = names - set(bed.refused)
    everybody = 0 if "spread" in bed.refused else len(bed.layout.pods)

    def goal(slices: list[dict[str, Any]]) -> Any:
        full, spread = set(), Counter[str]()
        for each in slices:
            name = each["metadata"]["labels"].get("kubernetes.io/service-name")
            endpoints = each.get("endpoints") or []
            if any((e.get("conditions") or {}).get("ready") for e in endpoints):
                full.add(name)
            if name == "spread":
                spread[each["addressType"]] += len(endpoints)
        missing = wanted - full
        if not missing and max(spread.values(), default=0) >= everybody:
            return Done()
        return Pending(f"{len(wanted) - len(missing)}/{len(wanted)} Services have endpoints")

    bed.cluster.wait(
        "EndpointSlice", bed.layout.namespace, goal, timeout=bed.options.timeout, what="endpoints of the matrix"
    )


def await_balancer(bed: Testbed) -> None:
    """Waits for the addresses of LoadBalancer Services; without a provider none come."""
    if not bed.layout.balancer:
        return

    def goal(services: list[dict[str, Any]]) -> Any:
        mine = [s for s in services if s["spec"].get("type") == "LoadBalancer"]
        ready = [s for s in mine if addresses.of_load_balancer(s)]
        return Done() if len(ready) == len(mine) else Pending(f"{len(ready)}/{len(mine)} addresses")

    try:
        bed.cluster.wait(
            "Service", bed.layout.namespace, goal, timeout=bed.options.balancer, what="LoadBalancer addresses"
        )
    except errors.WaitTimeout:
        services = bed.cluster.list("Service", bed.layout.namespace)
        mine = {s["metadata"]["name"]: s for s in services if s["spec"].get("type") == "LoadBalancer"}
        given = [name for name, service in mine.items() if addresses.of_load_balancer(service)]
        why = "not all Services of that type got one" if given else "this cluster has no provider for them"
        bed.note(f"No LoadBalancer address within {bed.options.balancer:g} s: {why}.")
        bed.unfounded |= {name: without_address(name, given[0]) for name in mine if given and name not in given}


def without_address(name: str, other: str) -> str:
    """Returns why a Service has no load balancer where another has one: k3s gives a port of its nodes to one only."""
    return f"'{name}' got no LoadBalancer address, while '{other}' got one"
