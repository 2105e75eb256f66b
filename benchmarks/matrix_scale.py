"""Measures probing of large Service matrices: pods x Services, TCP and UDP, healthy and fully blocked.

    python benchmarks/matrix_scale.py [--lab NAME | --kubeconfig FILE] [--pods 30] [--protocols TCP,UDP]

Prints one table: cells, seconds of probing without and with the start of the probers, probes per second, wrong cells,
and the memory of this process. What k8s-service-validator needs for the same is stated in docs/service_matrix.md.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

from on_cluster import connected, options

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.placement import keeps_away
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.matrix.building import Builder, Options
from NetLibrary._mechanics.matrix.run import Matrix
from NetLibrary._mechanics.probing.types import Source, Target
from NetLibrary._mechanics.report import text_table

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.53"
# RFC 5737: nobody has these addresses, so nothing answers there
NOBODY = "192.0.2."


def pairs_of(matrix: Matrix, protocols: list[str], blocked: bool) -> list[tuple[Source, Target]]:
    """Every pod to every pod's Service, or to as many addresses that nobody has."""
    found = []
    for source in (s for s in matrix.sources if not s.host_network and not s.outside):
        for number, (name, _) in enumerate(matrix.layout.pods):
            service = matrix.world.service(f"to-{name}")
            assert service is not None
            address = f"{NOBODY}{number + 1}" if blocked else service["spec"]["clusterIP"]
            for protocol in protocols:
                probe = "http" if protocol == "TCP" else "udp"
                target = Target(name, "vip", address, 80, protocol, probe, service=f"to-{name}", service_port=80)
                found.append((source, target))
    return found


def main() -> None:
    """Runs the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--pods", type=int, default=30)
    parser.add_argument("--protocols", default="TCP,UDP")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--prober", default="auto")
    given = parser.parse_args()
    with connected(given) as cluster:
        measure(cluster, given)


def measure(cluster: Cluster, given: argparse.Namespace) -> None:
    """Builds the matrix, probes it healthy and blocked, and prints the table."""
    nodes = len([n for n in cluster.list("Node") if not keeps_away(n, PodSettings())])
    settings = Options(
        namespace=f"matrix-{cluster.run_id}", image=given.image, pods_per_node=math.ceil(given.pods / nodes),
        host_pods=False, outside=False, balancer=0, timeout=400, prober=given.prober,
    )  # fmt: skip
    builder = Builder(cluster, settings)
    rows = []
    try:
        begin = time.monotonic()
        matrix = Matrix(builder.build())
        matrix.programming(timeout=60)
        built = time.monotonic() - begin
        protocols = given.protocols.split(",")
        healthy = pairs_of(matrix, protocols, blocked=False)
        matrix.fleet.close()  # the first round starts the probers, so that their price is seen too
        for number in range(given.rounds):
            begin = time.monotonic()
            seen = matrix.fleet.run(healthy)
            seconds = time.monotonic() - begin
            cells = [matrix.judge(s, t, o) for s, t, o in seen]
            # late answers are those of a machine that does nothing else than this benchmark
            wrong = [c for c in cells if c.wrong and c.symptom != "slow"]
            name = "healthy, probers started" if number == 0 else "healthy"
            rows.append([name, len(healthy), f"{seconds:.2f}", f"{len(healthy) / seconds:.0f}", len(wrong)])
            for cell in wrong[:5]:
                print(f"wrong: {cell.describe()}")
        blocked = pairs_of(matrix, protocols, blocked=True)
        begin = time.monotonic()
        seen = matrix.fleet.run(blocked, limit_ms=settings.limit_ms)
        seconds = time.monotonic() - begin
        open_cells = sum(bool(o.responders) for _, _, o in seen)
        name = f"blocked, time limit {settings.limit_ms / 1000:g} s"
        rows.append([name, len(blocked), f"{seconds:.2f}", f"{len(blocked) / seconds:.0f}", open_cells])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{len(matrix.layout.pods)} pods on {nodes} nodes, built in {built:.1f} s, process {memory:.0f} MB, "
              f"probers {sorted(set(matrix.fleet.flavours.values()))}")  # fmt: skip
        print(text_table(["what", "probes", "seconds", "probes/s", "wrong"], rows))
    finally:
        builder.testbed.close()
        cluster.delete("Namespace", settings.namespace)


if __name__ == "__main__":
    main()
