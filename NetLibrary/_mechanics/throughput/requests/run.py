"""Runs a fortio client as a Kubernetes Job and brings its result home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.throughput.requests.objects import CONTAINER, Load, limit_seconds
from NetLibrary._mechanics.throughput.requests.results import RequestRun, read
from NetLibrary._mechanics.throughput.run import client_ended


@dataclass(frozen=True)
class Outcome:
    """What came of a client Job.

    Args:
        run: What it measured.
        output: Everything that it printed.
        pod: The pod it ran in.
    """

    run: RequestRun
    output: str
    pod: dict[str, Any]


def run_job(
    cluster: Cluster, job: dict[str, Any], load: Load, *, progress: Callable[[str], None] | None = None
) -> Outcome:
    """Creates the Job, waits for its client to end and reads what it printed.

    Raises:
        EnvironmentProblem: The client printed no result.
        WaitFailed: The pod cannot start.
        WaitTimeout: It did not end in time.
    """
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    cluster.create(job)
    pod = cluster.wait(
        "Pod", namespace, client_ended(CONTAINER), labels=f"batch.kubernetes.io/job-name={name}",
        timeout=limit_seconds(load), what=f"fortio client '{namespace}/{name}'", progress=progress,
    )  # fmt: skip
    output = cluster.logs(namespace, pod["metadata"]["name"], container=CONTAINER)
    return Outcome(read(output), output, pod)
