"""Where senders aim at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from NetLibrary._mechanics.e2sar.endpoint import Endpoint
from NetLibrary._mechanics.e2sar.objects import Files
from NetLibrary._mechanics.e2sar.parameters import PodSettings, ReceiverSettings
from NetLibrary._mechanics.e2sar.targets import Services, target_of
from NetLibrary._mechanics.errors import EnvironmentProblem, Forbidden, Unavailable
from NetLibrary._mechanics.kube import service_types
from NetLibrary.types import E2SARPath

FILES = Files(Path(__file__).resolve().parents[2] / "manifests" / "e2sar")


class Cluster:
    """Nodes, and one Service with a NodePort; refuses load balancers."""

    def __init__(self, *nodes: tuple[str, str, str], refused: str = "") -> None:
        self.nodes, self.refused = nodes, refused
        self.spec: dict[str, Any] = {"clusterIP": "10.96.0.7"}

    def list(self, kind: str) -> list[dict[str, Any]]:
        return [
            {
                "metadata": {"name": name},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "status": ready}],
                },
            }
            for name, address, ready in self.nodes
        ]

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        port = {"port": 19522, "protocol": "UDP", "nodePort": 30522}
        notes = {service_types.REFUSED: self.refused} if self.refused else {}
        spec = {**self.spec, "type": "NodePort", "ports": [port]}
        return {"metadata": {"name": name, "annotations": notes}, "spec": spec}

    def apply(self, obj: dict[str, Any]) -> None:
        raise Forbidden("exceeded quota: team, limited: services.loadbalancers=0", status=403)


def aim(path: E2SARPath, cluster: Cluster) -> tuple[str, int]:
    receiver = Endpoint("r", "receiver", ReceiverSettings(), PodSettings())
    receiver.pod = {"metadata": {"name": "r"}, "spec": {"nodeName": "n1"}, "status": {"podIP": "10.244.0.9"}}
    return target_of(Services(cluster, "space", FILES), receiver, 19522, path)  # type: ignore[arg-type]


def test_the_node_port_is_asked_at_another_node_that_is_ready() -> None:
    """Events went to a node that had died, and their loss was judged."""
    dead, other = ("a-dead", "192.0.2.9", "Unknown"), ("n2", "192.0.2.2", "True")
    assert aim(E2SARPath.NODE_PORT, Cluster(dead, ("n1", "192.0.2.1", "True"), other)) == ("192.0.2.2", 30522)
    assert aim(E2SARPath.NODE_PORT, Cluster(dead, ("n1", "192.0.2.1", "True"))) == ("192.0.2.1", 30522)
    with pytest.raises(EnvironmentProblem, match="No node that is ready has an IPv4 address"):
        aim(E2SARPath.NODE_PORT, Cluster(dead))


def test_the_node_port_is_asked_in_the_family_of_its_service() -> None:
    here = Cluster(("n2", "192.0.2.2", "True"), ("n3", "fd00::3", "True"))
    here.spec = {"ipFamilies": ["IPv6"], "clusterIP": "fd00:1::7"}
    assert aim(E2SARPath.NODE_PORT, here) == ("fd00::3", 30522)


def test_paths_whose_services_a_quota_refuses_are_skipped_with_its_words() -> None:
    here = Cluster(("n1", "192.0.2.1", "True"), refused="type NodePort is refused here: exceeded quota: team")
    with pytest.raises(Unavailable, match="no NodePort: type NodePort is refused here: exceeded quota: team"):
        aim(E2SARPath.NODE_PORT, here)
    assert aim(E2SARPath.SERVICE, here) == ("10.96.0.7", 19522)
    with pytest.raises(Unavailable, match="no load balancer: exceeded quota: team"):
        aim(E2SARPath.LOAD_BALANCER, here)
