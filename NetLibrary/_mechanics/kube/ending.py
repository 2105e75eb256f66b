"""Runs a command in a pod to its end, and ends one that was given up: closing the connection leaves it running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import exec as execution
from NetLibrary._mechanics.kube.exec import ExecResult, RunningExec

LIMIT = 5.0
# A process that came by exec has no parent in the container. Its words and its age tell ours from the same command of
# somebody else; its children die with it. A shell with -c becomes the last command of its script, so that the words of
# that one count too. Only what a shell has built in, and `tr`.
_SCRIPT = r"""
least=$1; most=$2; shift 2; ended=0; script=
[ "$2" = -c ] && script=$(printf %s "$3" | tr ';&|\n' '    ')
read -r up _ </proc/uptime; up=${up%.*}
stat() { line=; read -r line <"/proc/$1/stat"; rest=${line##*) }; set -- $rest; parent=$2; start=${20}; } 2>/dev/null
tree() {
  for d in /proc/[0-9]*; do
    p=${d#/proc/}; parent=; stat "$p"
    [ "$parent" = "$1" ] && ( tree "$p" )
  done
  kill -9 "$1" 2>/dev/null
}
for d in /proc/[0-9]*; do
  pid=${d#/proc/}; [ "$pid" = 1 ] && continue; [ "$pid" = $$ ] && continue
  parent=; start=; stat "$pid"
  [ "$parent" = 0 ] || continue
  words=$(tr '\0' ' ' <"$d/cmdline" 2>/dev/null); words=${words% }; [ -n "$words" ] || continue
  case " $script " in *" $words "*) ;; *) [ "$words" = "$*" ] || continue ;; esac
  age=$((up - start / 100))
  [ "$age" -ge "$least" ] && [ "$age" -le "$most" ] || continue
  tree "$pid"; ended=$((ended + 1))
done
echo "ended $ended"
"""


class StartsCommands(Protocol):
    """What commands are started with: a cluster's connection."""

    def start_exec(
        self, namespace: str, pod: str, command: Sequence[str], *, container: str | None = None, stdin: bool = True
    ) -> RunningExec:
        """Starts a command in a container and returns while it runs."""


def run_command(
    cluster: StartsCommands,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str | None,
    stdin: str | bytes | None,
    timeout: float,
    again: bool = False,
) -> ExecResult:
    """Runs a command in a container to its end, or kills it when its time is up; see `Cluster.exec`."""
    try:
        running = cluster.start_exec(namespace, pod, command, container=container, stdin=stdin is not None)
        return execution.run(running, stdin, timeout)
    except (errors.ExecLost, errors.ClusterError) as error:
        passes = isinstance(error, (errors.ExecLost, errors.Unreachable)) or error.status >= 500
        if not again or not passes or getattr(error, "final", False):
            raise
        # The API server's absence is waited out by whoever connects
        return run_command(cluster, namespace, pod, command, container=container, stdin=stdin, timeout=timeout)
    except errors.WaitTimeout as error:
        ended = end_command(cluster, namespace, pod, command, container=container, age=timeout)
        raise errors.WaitTimeout(f"{error} It was {'killed' if ended else 'left running'}.") from error


def end_command(
    cluster: StartsCommands, namespace: str, pod: str, command: Sequence[str], *, container: str | None, age: float
) -> bool:
    """Kills a command that was started in a container, with its children; tells whether it was there to be killed.

    Args:
        cluster: Where.
        namespace: Namespace of the pod.
        pod: The pod.
        command: Program and arguments, as they were started.
        container: The container.
        age: Seconds since the start.
    """
    bounds = [str(max(0, int(age) - 2)), str(int(age) + 5)]
    try:
        running = cluster.start_exec(
            namespace, pod, ["sh", "-c", _SCRIPT, "sh", *bounds, *command], container=container, stdin=False
        )
        return execution.run(running, None, LIMIT).stdout.strip() not in ("", "ended 0")
    except errors.NetLibraryError:
        return False  # no shell in the image, or the pod is gone; what counts is the message about the command
