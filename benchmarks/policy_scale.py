"""Measures a truth table of network policies at size: every pod asks every other at two ports.

    python benchmarks/policy_scale.py [--lab NAME | --kubeconfig FILE] [--pods 100] [--rounds 2]

Prints one table: connections, denied ones, wrong ones, seconds with and without the start of the probers. One policy
denies a tenth of the pods to all others, so that there is silence to wait for.
"""

from __future__ import annotations

import argparse
import time

from on_cluster import connected, options

from NetLibrary._mechanics.defaults import AGNHOST_IMAGE
from NetLibrary._mechanics.kube import Cluster, wait
from NetLibrary._mechanics.policies.run import Settings, measure
from NetLibrary._mechanics.report import text_table

PORTS = (8080, 8090)


def deployment(name: str, replicas: int, namespace: str) -> dict[str, object]:
    """Pods that serve HTTP at both ports."""
    serving = [
        {"name": f"at-{port}", "image": AGNHOST_IMAGE, "args": ["netexec", f"--http-port={port}", "--udp-port=-1"],
         "ports": [{"containerPort": port}]}
        for port in PORTS
    ]  # fmt: skip
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels},
                              "spec": {"terminationGracePeriodSeconds": 0, "containers": serving}}},
    }  # fmt: skip


def main() -> None:
    """Runs the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with connected(given) as cluster:
        one_table(cluster, given)


def one_table(cluster: Cluster, given: argparse.Namespace) -> None:
    """Makes the pods and the policy, measures in rounds, and prints the table."""
    namespace, closed = f"policies-{cluster.run_id}", given.pods // 10
    rows = []
    try:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        policy = {"podSelector": {"matchLabels": {"app": "closed"}}, "policyTypes": ["Ingress"], "ingress": []}
        cluster.create(
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
             "metadata": {"name": "closed", "namespace": namespace}, "spec": policy}
        )  # fmt: skip
        begin = time.monotonic()
        for name, replicas in (("open", given.pods - closed), ("closed", closed)):
            cluster.create(deployment(name, replicas, namespace))
        for name in ("open", "closed"):
            ready = wait.condition("Available")
            cluster.wait("Deployment", namespace, ready, name=name, timeout=300, what=f"Deployment '{name}'")
        print(f"{given.pods} pods ready after {time.monotonic() - begin:.1f} s")
        for _ in range(given.rounds):
            begin = time.monotonic()
            table, _found = measure(cluster, [namespace], Settings())
            whole = time.monotonic() - begin
            rows.append([len(table.cells), len(table.denied), len(table.wrong), f"{table.seconds:.1f}", f"{whole:.1f}"])
        print(text_table(["connections", "denied", "wrong", "seconds", "with the start of the probers"], rows))
    finally:
        cluster.delete("Namespace", namespace)


if __name__ == "__main__":
    main()
