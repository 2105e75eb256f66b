"""What CyPerf traffic needs of the cluster's network plugin, compared with what can be read of it.

The values are those of the published examples: Flannel with VXLAN; Calico with encapsulation between subnets only, by
IP-in-IP on own machines and by VXLAN on AWS; the VPC plugin of AWS as it comes. Other settings work, but cost
throughput and MTU, so they are advice and never a failure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from NetLibrary._mechanics.cyperf.checklist import Point
from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.kube import looks
from NetLibrary._mechanics.kube.cluster import Cluster

Object = Mapping[str, Any]
_POOLS = "IPPool.crd.projectcalico.org"


def points(cluster: Cluster) -> list[Point]:
    """Returns one point for each setting of a known plugin; what may not be read is said to be unchecked."""
    try:
        found = {str(each["metadata"]["name"]): each for each in looks.look(cluster, "DaemonSet")}
    except NetLibraryError as error:
        return [Point("network plugin", "known to work with CyPerf", f"not readable: {str(error)[:100]}", None)]
    known: dict[str, Callable[[Cluster, Object], list[Point]]] = {
        "kube-flannel-ds": _flannel, "kube-flannel": _flannel, "calico-node": _calico, "aws-node": _aws,
    }  # fmt: skip
    return [point for name, read in known.items() if name in found for point in read(cluster, found[name])]


def _flannel(cluster: Cluster, daemons: Object) -> list[Point]:
    rule, expected = "Flannel backend", "vxlan"
    try:
        config = cluster.get("ConfigMap", "kube-flannel-cfg", daemons["metadata"]["namespace"])
        backend = str(json.loads(config["data"]["net-conf.json"])["Backend"]["Type"])
    except (NetLibraryError, KeyError, ValueError, TypeError):
        return [Point(rule, expected, "not readable in ConfigMap kube-flannel-cfg", None)]
    fits = backend == expected
    how = "" if fits else "; set Backend.Type in ConfigMap kube-flannel-cfg and restart the DaemonSet"
    return [Point(rule, expected, backend + how, True if fits else None, advice=not fits)]


def _calico(cluster: Cluster, daemons: Object) -> list[Point]:
    try:
        pools = looks.look(cluster, _POOLS)
    except NetLibraryError:
        pools = []
    on_aws = any("eks.amazonaws.com" in key for key in _node_labels(cluster))
    if not pools:
        return _calico_environment(daemons, on_aws)
    found = []
    for pool in pools:
        spec, name = pool.get("spec") or {}, str(pool["metadata"]["name"])
        modes = (str(spec.get("ipipMode") or "Never"), str(spec.get("vxlanMode") or "Never"))
        if ":" not in str(spec.get("cidr")):
            command = f"kubectl patch ippools.crd.projectcalico.org {name} --type merge --patch "
            found.append(_calico_point(f"Calico pool '{name}'", modes, on_aws, command, ("ipipMode", "vxlanMode")))
    return found


def _calico_environment(daemons: Object, on_aws: bool) -> list[Point]:
    """Returns the point for clusters whose pools may not be read: their values at the start are in the environment."""
    values = {
        str(entry["name"]): str(entry.get("value", ""))
        for container in daemons["spec"]["template"]["spec"]["containers"]
        for entry in container.get("env") or []
    }
    names = ("CALICO_IPV4POOL_IPIP", "CALICO_IPV4POOL_VXLAN")
    if not any(name in values for name in names):
        return [Point("Calico encapsulation", "CrossSubnet", "neither pools nor environment could be read", None)]
    modes = (values.get(names[0], "Never"), values.get(names[1], "Never"))
    return [_calico_point("Calico environment", modes, on_aws, "", names)]


def _calico_point(rule: str, modes: tuple[str, str], on_aws: bool, command: str, names: tuple[str, str]) -> Point:
    wanted = ("Never", "CrossSubnet") if on_aws else ("CrossSubnet", "Never")
    expected = f"{names[0]} {wanted[0]}, {names[1]} {wanted[1]}"
    seen = f"{names[0]} {modes[0]}, {names[1]} {modes[1]}"
    # Encapsulation in one subnet costs; none at all is as good where the network routes pods.
    fits = "Always" not in modes
    if not fits and command:
        patch = json.dumps({"spec": dict(zip(names, wanted, strict=True))})
        seen += f"; {command}'{patch}'"
    return Point(rule, expected, seen, True if fits else None, advice=not fits)


def _node_labels(cluster: Cluster) -> Iterable[str]:
    try:
        return {key for node in looks.look(cluster, "Node") for key in node["metadata"].get("labels") or {}}
    except NetLibraryError:
        return set()


def _aws(_: Cluster, daemons: Object) -> list[Point]:
    values = {
        str(entry["name"]): str(entry.get("value", ""))
        for container in daemons["spec"]["template"]["spec"]["containers"]
        for entry in container.get("env") or []
    }
    nat = values.get("AWS_VPC_K8S_CNI_EXTERNALSNAT", "false")
    seen = f"as it comes; traffic out of the VPC {'keeps' if nat == 'true' else 'does not keep'} the pods' addresses"
    return [Point("AWS VPC CNI", "as it comes, with agents from 1.0-Update1 on", seen, True)]
