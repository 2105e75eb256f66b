"""Runs the iperf3 client as a Kubernetes Job and brings its result home."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import ClusterError, EnvironmentProblem, InputError, WaitTimeout
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.wait import pod_ended
from NetLibrary._mechanics.throughput.command import Request
from NetLibrary._mechanics.throughput.reader import Iperf3Problem, Measurement, read

# Why a shell: the socket behind a Service may open a moment after every status says Ready, and a new pod for each
# attempt would cost seconds. Neither the exit status nor the text alone tells success (see reader.py), so the last
# attempt's output is printed as it is and judged outside.
_ATTEMPTS = r"""
end=$(( $(date +%s) + $1 )); shift; n=0
while :; do
  n=$((n + 1))
  out=$(iperf3 "$@" 2>&1); code=$?
  case "$out" in
    *"Connection refused"*|*"server is busy"*|*"closed unexpectedly"*|\
    *"Connection reset"*|*"No route to host"*|*"Bad file descriptor"*)
      if [ "$(date +%s)" -lt "$end" ]; then sleep 0.2; continue; fi ;;
  esac
  printf 'attempts: %s\n%s\n' "$n" "$out"
  exit "$code"
done
"""
# Image pull and scheduling on top of what iperf3 itself takes
START_SECONDS = 60.0


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
    """

    measurement: Measurement | None
    problem: Iperf3Problem | None
    attempts: int
    output: str
    pod: dict[str, Any]
    seconds: float


def job_manifest(
    name: str, namespace: str, image: str, request: Request, *, retry_seconds: float = 0.0, node: str | None = None,
    template: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Returns the Job that runs one request.

    Args:
        name: Name of the Job.
        namespace: Where it runs.
        image: Image with `iperf3` and `sh`.
        request: What to measure.
        retry_seconds: How long refused connections and a busy server are tried again.
        node: Node to run on; the scheduler's choice by default.
        template: A Job to start from, such as a manifest of the user's.
    """
    if retry_seconds < 0:
        raise InputError("retry is negative; give a duration such as 5s, or 0s for a single attempt.")
    job: dict[str, Any] = deepcopy(template or {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {}})
    job["metadata"].update(name=name, namespace=namespace)
    spec = job["spec"]
    spec["backoffLimit"] = 0
    spec["activeDeadlineSeconds"] = int(request.limit_seconds + retry_seconds + START_SECONDS)
    pod = spec.setdefault("template", {}).setdefault("spec", {})
    pod.setdefault("restartPolicy", "Never")
    pod["terminationGracePeriodSeconds"] = 0
    if node:
        pod["nodeName"] = node
    container = (pod.setdefault("containers", [{}]))[0]
    container.setdefault("name", "iperf3")
    container["image"] = image
    # "latest" would otherwise be asked for at a registry each time, also on nodes that have the image and no registry
    container.setdefault("imagePullPolicy", "IfNotPresent")
    container["command"] = ["sh", "-c", _ATTEMPTS, "iperf3", f"{retry_seconds:.0f}", *request.arguments()]
    container.pop("args", None)
    return job


def run_job(
    cluster: Cluster, job: dict[str, Any], request: Request, *, retry_seconds: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Outcome:  # fmt: skip
    """Creates the Job, waits for its pod to end and reads what it printed.

    Raises:
        EnvironmentProblem: The image lacks iperf3 or a shell.
        WaitFailed: The pod cannot start.
        WaitTimeout: It did not end in time.
    """
    start = time.monotonic()
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    cluster.create(job)
    limit = request.limit_seconds + retry_seconds + START_SECONDS
    try:
        pod = cluster.wait(
            "Pod", namespace, pod_ended(), labels=f"batch.kubernetes.io/job-name={name}", timeout=limit,
            what=f"iperf3 client '{namespace}/{name}'", progress=progress,
        )  # fmt: skip
    except WaitTimeout as error:
        raise WaitTimeout(f"{error} {_last_words(cluster, namespace, name)}".strip()) from error
    _check_tools(pod)
    output = cluster.logs(namespace, pod["metadata"]["name"])
    attempts = re.match(r"attempts: (\d+)\n", output)
    measurement, problem = None, None
    try:
        measurement = read(output)
    except Iperf3Problem as error:
        problem = error
    if "iperf3: not found" in output or "iperf3: command not found" in output:
        raise EnvironmentProblem(f"The image '{_image(pod)}' of the client has no 'iperf3'.")
    count = int(attempts[1]) if attempts else 1
    return Outcome(measurement, problem, count, output, pod, time.monotonic() - start)


def _check_tools(pod: dict[str, Any]) -> None:
    for status in pod.get("status", {}).get("containerStatuses", []):
        ended = status.get("state", {}).get("terminated") or {}
        message = str(ended.get("message", ""))
        if ended.get("reason") in ("StartError", "ContainerCannotRun") and "executable file not found" in message:
            raise EnvironmentProblem(
                f"The image '{_image(pod)}' of the client has no 'sh', which starts and repeats iperf3 there: {message}"
            )


def _image(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def _last_words(cluster: Cluster, namespace: str, job: str) -> str:
    try:
        pods = cluster.list("Pod", namespace, labels=f"batch.kubernetes.io/job-name={job}")
        text = cluster.logs(namespace, pods[0]["metadata"]["name"], tail=5).strip() if pods else ""
    except ClusterError:
        return ""
    return f"It printed: {text}" if text else ""
