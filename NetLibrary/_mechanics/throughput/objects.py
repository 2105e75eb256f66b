"""The Job that runs the iperf3 client."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.held_back import READ
from NetLibrary._mechanics.kube.objects import LINUX, RESTRICTED_CONTAINER, RESTRICTED_POD
from NetLibrary._mechanics.throughput.command import CONNECT_TIMEOUT_MS, Request

# Bytes of a socket's buffer, of which the kernel makes twice as many
DATAGRAM_BUFFER = 212_992
# Name of the client's container where the template has none
CONTAINER = "iperf3"
# Image pull and scheduling on top of what iperf3 itself takes
START_SECONDS = 60.0
# How long a client waits for the answer to the first datagram of a stream
UNANSWERED_SECONDS = 30.0
# Why a shell: the socket behind a Service may open a moment after every status says Ready, and a new pod for each
# attempt would cost seconds. Neither the exit status nor the text alone tells success (see reader.py), so the last
# attempt's output is printed as it is and judged outside.
# Only what failed before the first interval is tried again: an interval has a rate, nothing before it has one. What
# broke later is what a measurement is for.
# A stream of UDP begins with one datagram and one answer, which iperf3 never repeats: whoever loses one of them waits
# for 30 s and measures nothing. So that is tried once more; a path that carries no UDP at all fails again.
# The node's processors are read right before and after: a pod sees all of its node in /proc/stat. So is what the kernel
# counts of the container's CPU limit and of full receive buffers.
# Twice the default of nearly all systems holds what arrives while the receiver waits for a processor, or stands still
# because of its CPU limit: it is granted wherever net.core.rmem_max is the kernel's own, since the kernel doubles it.
ATTEMPTS = rf"""
end=$(( $(date +%s) + $1 )); limit=$2; shift 2; n=0; unanswered=0
case "$(iperf3 --help 2>&1)" in
  *--connect-timeout*) set -- "$@" --connect-timeout "$limit" ;;
esac
buffer=; case " $* " in *" -u "*) buffer="-w {DATAGRAM_BUFFER}" ;; esac
look() {{ read -r up _ </proc/uptime && read -r all </proc/stat && looked="$up $all"; }}
while :; do
  n=$((n + 1))
  looked=; look 2>/dev/null; before=$looked
  counted=$({READ})
  out=$(iperf3 "$@" $buffer 2>&1); code=$?
  looked=; look 2>/dev/null
  case "$out" in
    *'"bits_per_second"'*) ;;
    *"buffer size"*) if [ -n "$buffer" ]; then buffer=; continue; fi ;;
    *"Connection refused"*|*"server is busy"*|*"closed unexpectedly"*|\
    *"Connection reset"*|*"No route to host"*|*"Bad file descriptor"*)
      if [ "$(date +%s)" -lt "$end" ]; then sleep 0.2; continue; fi ;;
    *"unable to read from stream socket"*)
      unanswered=$((unanswered + 1)); [ "$unanswered" -gt 1 ] || continue ;;
  esac
  [ -z "$before" ] || printf 'processors: %s | %s\n' "$before" "$looked"
  [ -z "$counted" ] || printf 'kernel before:\n%s\nkernel after:\n%s\n' "$counted" "$({READ})"
  printf 'attempts: %s\nexit status: %s\n%s\n' "$n" "$code" "$out"
  exit "$code"
done
"""


def job_manifest(
    name: str, namespace: str, image: str, request: Request, *, retry_seconds: float = 0.0, node: str | None = None,
    host_network: bool = False, template: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Returns the Job that runs one request.

    Args:
        name: Name of the Job.
        namespace: Where it runs.
        image: Image with `iperf3` and `sh`.
        request: What to measure.
        retry_seconds: How long a server that refuses or is busy is tried again.
        node: Node to run on; the scheduler's choice by default.
        host_network: Whether it uses its node's network.
        template: A Job to start from, such as a manifest of the user's.
    """
    if retry_seconds < 0:
        raise InputError("retry_for is negative; give a duration such as 5s, or 0s for a single attempt.")
    job: dict[str, Any] = deepcopy(template or {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {}})
    job["metadata"].update(name=name, namespace=namespace)
    spec = job["spec"]
    spec["backoffLimit"] = 0
    spec["activeDeadlineSeconds"] = int(limit_seconds(request, retry_seconds))
    pod = spec.setdefault("template", {}).setdefault("spec", {})
    pod.setdefault("restartPolicy", "Never")
    pod["terminationGracePeriodSeconds"] = 0
    if node:
        pod["nodeName"] = node
    elif template is None:
        pod["nodeSelector"] = dict(LINUX)
    if host_network:
        pod.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    if template is None:  # a user's Job keeps what it says, or does not say
        pod["securityContext"] = dict(RESTRICTED_POD)
    container = (pod.setdefault("containers", [{}]))[0]
    container.setdefault("name", CONTAINER)
    container["image"] = image
    if template is None:
        container["securityContext"] = deepcopy(RESTRICTED_CONTAINER)
    # "latest" would otherwise be asked for at a registry each time, also on nodes that have the image and no registry
    container.setdefault("imagePullPolicy", "IfNotPresent")
    words = [f"{retry_seconds:.0f}", str(CONNECT_TIMEOUT_MS), *request.arguments()]
    container["command"] = ["sh", "-c", ATTEMPTS, "iperf3", *words]
    container.pop("args", None)
    return job


def limit_seconds(request: Request, retry_seconds: float) -> float:
    """Returns the seconds after which a client that has not ended is given up."""
    again = UNANSWERED_SECONDS if request.protocol == "udp" else 0.0
    return request.limit_seconds + retry_seconds + again + START_SECONDS
