"""Writes `three-nodes.yaml`: the objects of the Service matrix for nodes node1 to node3, for use with plain kubectl.

    python manifests/service_matrix/make.py
    kubectl apply -f manifests/service_matrix/three-nodes.yaml

Other names: `python manifests/service_matrix/make.py NODE…` prints the objects for these nodes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from NetLibrary._mechanics.matrix.model import objects

NAMESPACE = "service-matrix"
FILE = Path(__file__).with_name("three-nodes.yaml")


def text(nodes: list[str]) -> str:
    """The objects as YAML."""
    layout = objects.Layout(
        NAMESPACE,
        "registry.k8s.io/e2e-test-images/agnhost:2.53",
        tuple(objects.pod_names(nodes, 1)),
        tuple((f"host-{name[3:]}", node) for name, node in objects.pod_names(nodes, 1)),
    )
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    }
    everything = [space, *objects.services(layout), *objects.pods(layout)]
    return yaml.safe_dump_all(everything, sort_keys=False)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(text(sys.argv[1:]))
    else:
        FILE.write_text(text(["node1", "node2", "node3"]))
