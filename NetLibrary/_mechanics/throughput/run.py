"""Runs the iperf3 client as a Kubernetes Job and brings its result home."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import ClusterError, EnvironmentProblem, Unavailable, WaitTimeout
from NetLibrary._mechanics.iperf3.reader import SEEN_FIRST, read
from NetLibrary._mechanics.iperf3.results import Iperf3Problem, Measurement
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.wait import Done, Failed, Goal, about_start, pod_ended
from NetLibrary._mechanics.kube.wait import Outcome as WaitOutcome
from NetLibrary._mechanics.kube.why_not_ready import has_ended, problem
from NetLibrary._mechanics.throughput.command import CONNECT_TIMEOUT_MS, Request
from NetLibrary._mechanics.throughput.ends import NOTHING_SEEN, End, end_in
from NetLibrary._mechanics.throughput.objects import ATTEMPTS, limit_seconds
from NetLibrary._mechanics.vantage import Outside

#: In place of the pod of a client that ran outside.
OUTSIDE: dict[str, Any] = {"metadata": {"name": "outside"}, "spec": {"nodeName": "outside", "containers": []}}
_ATTEMPTS = re.compile(rf"{SEEN_FIRST}attempts: (\d+)\n")


@dataclass(frozen=True)
class Outcome:
    """What came of a client Job.

    Args:
        measurement: The result, or None.
        problem: Why there is none.
        attempts: How often the client tried.
        output: Everything the client printed.
        pod: The pod it ran in.
        seconds: From creating the Job to reading its result.
        client: What the client's kernel counted meanwhile.
        server: What the server's did, where somebody looked on.
    """

    measurement: Measurement | None
    problem: Iperf3Problem | None
    attempts: int
    output: str
    pod: dict[str, Any]
    seconds: float
    client: End = NOTHING_SEEN
    server: End = NOTHING_SEEN


def run_job(
    cluster: Cluster, job: dict[str, Any], request: Request, *, retry_seconds: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Outcome:  # fmt: skip
    """Creates the Job, waits for its client to end and reads what it printed.

    Raises:
        EnvironmentProblem: The image lacks iperf3 or a shell.
        WaitFailed: The pod cannot start.
        WaitTimeout: It did not end in time.
    """
    start = time.monotonic()
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    container = str(job["spec"]["template"]["spec"]["containers"][0]["name"])
    cluster.create(job)
    try:
        pod = cluster.wait(
            "Pod", namespace, client_ended(container), labels=f"batch.kubernetes.io/job-name={name}",
            timeout=limit_seconds(request, retry_seconds), what=f"iperf3 client '{namespace}/{name}'",
            progress=progress,
        )  # fmt: skip
    except WaitTimeout as error:
        raise WaitTimeout(f"{error} {_last_words(cluster, namespace, name, container)}".strip()) from error
    _check_tools(pod)
    output = cluster.logs(namespace, pod["metadata"]["name"], container=container)
    if "iperf3: not found" in output or "iperf3: command not found" in output:
        raise EnvironmentProblem(f"The image '{image_of(pod)}' of the client has no 'iperf3'.")
    return _outcome(output, _exit_status(pod, container), pod, time.monotonic() - start)


def run_outside(cluster: Cluster, request: Request, *, retry_seconds: float = 0.0) -> Outcome:
    """Runs the client on the machine that the tests run on; in a lab, in its namespace outside the cluster.

    Raises:
        Unavailable: This machine has no iperf3.
    """
    start = time.monotonic()
    command = ["sh", "-c", ATTEMPTS, "iperf3", f"{retry_seconds:.0f}", str(CONNECT_TIMEOUT_MS), *request.arguments()]
    ran = Outside(cluster).run(command, timeout=limit_seconds(request, retry_seconds))
    output = ran.stdout + ran.stderr
    if "iperf3: not found" in output or "iperf3: command not found" in output:
        raise Unavailable("A client outside the cluster needs iperf3 on this machine, which has none.")
    return _outcome(output, ran.exit_code, OUTSIDE, time.monotonic() - start)


def _outcome(output: str, exit_status: int | None, pod: dict[str, Any], seconds: float) -> Outcome:
    measurement, problem = None, None
    try:
        measurement = read(output, exit_status=exit_status)
    except Iperf3Problem as error:
        problem = error
    attempts = _ATTEMPTS.match(output)
    return Outcome(measurement, problem, int(attempts[1]) if attempts else 1, output, pod, seconds, end_in(output))


def client_ended(container: str) -> Goal:
    """Goal: the client's container has ended, whatever others an admission hook put beside it. Value: the pod."""
    whole = pod_ended()

    def goal(pods: list[dict[str, Any]]) -> WaitOutcome:
        if pods and _terminated(pods[0], container):
            return Done(pods[0])
        if pods and has_ended(pods[0]):  # turned away by its kubelet, for instance: there is no log to read
            return Failed(problem(pods[0]).text)
        return whole(pods)

    return about_start(goal)


def image_of(pod: dict[str, Any]) -> str:
    """Returns the image of the client's container."""
    containers = pod["spec"]["containers"]
    return str(containers[0]["image"]) if containers else "none, it ran outside the cluster"


def _terminated(pod: dict[str, Any], container: str) -> dict[str, Any] | None:
    for status in pod.get("status", {}).get("containerStatuses", []):
        if status.get("name") == container:
            return status.get("state", {}).get("terminated") or None
    return None


def _exit_status(pod: dict[str, Any], container: str) -> int | None:
    ended = _terminated(pod, container)
    return int(ended["exitCode"]) if ended and "exitCode" in ended else None


def _check_tools(pod: dict[str, Any]) -> None:
    for status in pod.get("status", {}).get("containerStatuses", []):
        ended = status.get("state", {}).get("terminated") or {}
        message = str(ended.get("message", ""))
        if ended.get("reason") in ("StartError", "ContainerCannotRun") and "executable file not found" in message:
            raise EnvironmentProblem(
                f"The image '{image_of(pod)}' of the client has no 'sh', which starts and repeats iperf3 there: "
                f"{message}"
            )


def _last_words(cluster: Cluster, namespace: str, job: str, container: str) -> str:
    try:
        pods = cluster.list("Pod", namespace, labels=f"batch.kubernetes.io/job-name={job}")
        text = cluster.logs(namespace, pods[0]["metadata"]["name"], container=container, tail=5).strip() if pods else ""
    except ClusterError:
        return ""
    return f"It printed: {text}" if text else ""
