"""Bandwidth between pods, one pair after the other, with the iperf (version 2) of the agnhost image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.matrix import objects
from NetLibrary._mechanics.matrix.fleet import CONTAINER
from NetLibrary._mechanics.matrix.lifecycle import _await_pod
from NetLibrary._mechanics.matrix.run import Matrix

PORT = 5201
# A token bucket of 256 MiB and what flows into it meanwhile: after this much the bucket is empty
BUCKET = "262M"
# The server ends with its standard input, so that nothing stays in the pod
SERVER = f"command -v iperf >/dev/null || exit 127; iperf -s -p {PORT} >/dev/null 2>&1 & p=$!; echo up; read x; kill $p"


@dataclass(frozen=True)
class Rate:
    """What one pod could send to another.

    Args:
        source: Pod that sent.
        target: Pod that received.
        bits_per_second: Rate; None when nothing was transferred.
        detail: Why not.
    """

    source: str
    target: str
    bits_per_second: float | None
    detail: str = ""


def read_csv(text: str) -> float | None:
    """Rate in bits per second: the ninth field of iperf's last CSV line (`-y C`)."""
    for line in reversed(text.strip().splitlines()):
        fields = line.split(",")
        if len(fields) >= 9 and fields[8].lstrip("-").isdigit() and int(fields[8]) > 0:
            return float(fields[8])
    return None


def measure(matrix: Matrix, *, seconds: float, limit: str = "") -> list[Rate]:
    """Measures from every pod to the pods of all other nodes; with a limit from one annotated pod only.

    Args:
        matrix: The matrix whose pods are used.
        seconds: Length of each transfer.
        limit: Value of the annotation `kubernetes.io/egress-bandwidth` of an extra pod, which then is the only source.

    Raises:
        ToolMissing: The image has no iperf.
    """
    cluster, namespace = matrix.cluster, matrix.layout.namespace
    senders = list(matrix.layout.pods)
    if limit:
        name, node = "limited", matrix.layout.pods[0][1]
        made: dict[str, Any] = objects.pod(matrix.layout, name, node, role="limited")
        made["metadata"]["annotations"] = {"kubernetes.io/egress-bandwidth": limit}
        cluster.create(made)
        _await_pod(matrix, name)
        senders = [(name, node)]
    rates = []
    for target, to_node in matrix.layout.pods:
        sources = [(s, n) for s, n in senders if n != to_node]
        if not sources:
            continue
        address = (matrix.world.pod(target) or {})["status"]["podIP"]
        server = cluster.start_exec(namespace, target, ["sh", "-c", SERVER], container=CONTAINER, stdin=True)
        try:
            if server.read(15.0) is None:
                raise errors.ToolMissing(f"The image of pod '{target}' has no 'iperf'.", exit_code=127)
            for source, _ in sources:
                if limit:
                    # containerd asks for a token bucket of 256 MiB: only what comes after that is held to the rate
                    flood = ["iperf", "-c", address, "-p", str(PORT), "-n", BUCKET]
                    cluster.exec(namespace, source, flood, container=CONTAINER, timeout=120, check=False)
                words = ["iperf", "-c", address, "-p", str(PORT), "-t", f"{seconds:g}", "-y", "C"]
                done = cluster.exec(
                    namespace, source, words, container=CONTAINER, timeout=seconds + 30, check=False
                )  # fmt: skip
                rate = read_csv(done.stdout)
                rates.append(Rate(source, target, rate, "" if rate else (done.stderr or done.stdout).strip()[:200]))
        finally:
            server.write("end\n")
            server.close()
    return rates
