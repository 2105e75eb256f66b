"""Times the cases that k8s-service-validator has, on the same cluster, with this library, several times.

    python benchmarks/matrix_suite.py [--lab NAME | --kubeconfig FILE] [--runs 5]

Prints one line for each run: seconds for everything from the empty cluster on, cells, execs, findings. A finding on a
healthy cluster is a false one. Figures of k8s-service-validator on three nodes are in docs/service_matrix.md.
"""

from __future__ import annotations

import time

from on_cluster import connected, options

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.matrix.building import Builder, Options
from NetLibrary._mechanics.matrix.lifecycle import LIFECYCLE
from NetLibrary._mechanics.matrix.run import Matrix
from NetLibrary._mechanics.report import text_table

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.53"
# What k8s-service-validator probes: see its tests for ClusterIP, NodePort, LoadBalancer, no endpoints, hairpin,
# affinity, NodePort Local, ExternalName, host network, UDP stale endpoint and the two labels
CASES = ["pod ip", "cluster ip", "node port", "load balancer", "no endpoints", "hairpin", "affinity", "node port local",
         "external name", "host backends"]  # fmt: skip
CHANGES = ["udp flows", "proxy name label", "headless label"]


def one_run(cluster: Cluster, number: int) -> list[object]:
    """Everything once, from nothing to a diagnosis."""
    begin = time.monotonic()
    settings = Options(namespace=f"matrix-{cluster.run_id}-{number}", image=IMAGE, outside=False)
    builder = Builder(cluster, settings)
    try:
        matrix = Matrix(builder.build())
        matrix.programming()
        ready = time.monotonic() - begin
        matrix.check_all(CASES)
        probed = time.monotonic() - begin
        for name in CHANGES:
            matrix.tables[name] = LIFECYCLE[name](matrix)
        findings = matrix.findings()
        cells = sum(len(t.cells) for t in matrix.tables.values())
        total = time.monotonic() - begin
        said = "; ".join(f.sentence[:60] for f in findings) or "none"
        return [number, f"{ready:.1f}", f"{probed - ready:.1f}", f"{total:.1f}", cells, matrix.fleet.probes,
                len(matrix.sources), said]  # fmt: skip
    finally:
        builder.testbed.close()
        cluster.delete("Namespace", settings.namespace)


def main() -> None:
    """Runs the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with connected(given) as cluster:
        rows = [one_run(cluster, number) for number in range(1, given.runs + 1)]
        columns = ["run", "ready s", "tables s", "all s", "cells", "probes", "execs", "findings (all false)"]
        print(text_table(columns, rows))


if __name__ == "__main__":
    main()
