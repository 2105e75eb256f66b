"""Probes a healthy cluster many times with every case; a finding is a false one.

    python benchmarks/matrix_clean.py [--lab NAME | --kubeconfig FILE] [--matrices 10] [--passes 5]

A matrix is made anew `--matrices` times, and probed `--passes` times each. Prints one line for each matrix: seconds to
build it, seconds of each pass, cells, cells that were right only when asked again, and the findings.
"""

from __future__ import annotations

import statistics
import time

from on_cluster import connected, options

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.matrix import cases
from NetLibrary._mechanics.matrix.building import Builder, Options
from NetLibrary._mechanics.matrix.run import Matrix
from NetLibrary._mechanics.report import text_table

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.53"


def one_matrix(cluster: Cluster, number: int, passes: int) -> tuple[list[object], list[float], int]:
    """Builds a matrix and probes it several times; returns the line for the table, the seconds, and the findings."""
    settings = Options(namespace=f"matrix-{cluster.run_id}-{number}", image=IMAGE)
    builder = Builder(cluster, settings)
    seconds, cells, late, said = [], 0, 0, []
    try:
        begin = time.monotonic()
        matrix = Matrix(builder.build())
        matrix.programming()
        built = time.monotonic() - begin
        for _ in range(passes):
            matrix.forget()
            begin = time.monotonic()
            tables = matrix.check_all(list(cases.CASES))
            said += [finding.sentence for finding in matrix.findings()]
            seconds.append(time.monotonic() - begin)
            cells += sum(len(t.cells) for t in tables)
            late += sum(c.observed.rounds > 1 for t in tables for c in t.cells)
    finally:
        builder.testbed.close()
        cluster.delete("Namespace", settings.namespace)
    middle = statistics.median(seconds)
    line = [number, f"{built:.1f}", f"{min(seconds):.1f} / {middle:.1f} / {max(seconds):.1f}", cells, late,
            "; ".join(s[:80] for s in said) or "none"]  # fmt: skip
    return line, seconds, len(said)


def main() -> None:
    """Runs the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--matrices", type=int, default=10)
    parser.add_argument("--passes", type=int, default=5)
    given = parser.parse_args()
    with connected(given) as cluster:
        rows, seconds, findings = [], [], 0
        for number in range(1, given.matrices + 1):
            line, took, found = one_matrix(cluster, number, given.passes)
            rows.append(line)
            seconds += took
            findings += found
        print(text_table(["matrix", "ready s", "pass s: min / median / max", "cells", "asked again", "findings"], rows))
        print(f"{len(seconds)} passes, {findings} false findings; a pass takes {min(seconds):.1f} / "
              f"{statistics.median(seconds):.1f} / {max(seconds):.1f} s")  # fmt: skip


if __name__ == "__main__":
    main()
