"""Bandwidth between pods, one pair after the other, with the iperf (version 2) of the agnhost image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.cpu_limits import Containers
from NetLibrary._mechanics.matrix.lifecycle import _await_pod
from NetLibrary._mechanics.matrix.model import objects
from NetLibrary._mechanics.matrix.run import Matrix
from NetLibrary._mechanics.probing.pipes import CONTAINER
from NetLibrary._mechanics.secrets import head
from NetLibrary._mechanics.verdict import Check
from NetLibrary.types.quantities import bitrate_text

PORT = 5201
# containerd and kubelet ask for a token bucket of 2^31 bits: only what comes after that is held to the rate
BUCKET_BITS = 2**31
# iperf counts what still waits in its socket as sent, which may be megabytes; so little does a limited rate no harm
SMALL_BUFFER = "-w 128K"
# For the same reason a transfer counts as held to the rate below this many times of it
HELD = 2.0
# No more time than this to empty it, each try a second: very small limits look unkept through the socket's own buffer
TRIES = 60
# Says "up" once the port is bound; ends with its standard input, so that nothing stays in the pod
SERVER = f"""
command -v iperf >/dev/null || exit 127
iperf -s $1 -p {PORT} >/dev/null 2>&1 &
server=$!
bound() {{
  for table in /proc/net/tcp /proc/net/tcp6; do
    while read -r _ local _ state _; do
      case $local/$state in *:{PORT:04X}/0A) return 0 ;; esac
    done 2>/dev/null <$table
  done
  return 1
}}
until bound; do kill -0 $server || exit 1; done
echo up
read -r _
kill $server
wait $server
"""


@dataclass(frozen=True)
class Rate:
    """What one pod could send to another.

    Args:
        source: Pod that sent.
        target: Pod that received.
        bits_per_second: Rate; None when nothing was transferred.
        detail: Why not.
        held_back: Containers of the two pods whose CPU limit held them back often meanwhile, in words.
    """

    source: str
    target: str
    bits_per_second: float | None
    detail: str = ""
    held_back: str = ""


def no_results(rates: Sequence[Rate], *, at_least: float | None) -> list[str]:
    """Returns why rates that are too low, or none, say nothing about the network.

    Args:
        rates: What was measured.
        at_least: Bits per second that every pair has to reach.
    """
    return [
        f"{r.source} to {r.target}: {bitrate_text(r.bits_per_second or 0.0)} is no result of the network: "
        f"{r.held_back}; raise the limit (POD_LIMITS)."
        for r in rates
        if r.held_back and (not r.bits_per_second or r.bits_per_second < (at_least or 0.0))
    ]


def checks(
    rates: Sequence[Rate], *, at_least: float | None, at_most: float | None, tolerance: float = 0.0
) -> list[Check]:
    """What was asked of rates and what was reached, the slowest pair for a lower limit, the fastest for an upper one.

    Args:
        rates: What was measured.
        at_least: Bits per second that every pair has to reach.
        at_most: Bits per second that none may exceed.
        tolerance: Share by which the upper limit may be exceeded; headers and bursts count.
    """
    found = [
        Check(
            "transfer", "some", "nothing", passed=False, text=f"Nothing came from {r.source} to {r.target}: {r.detail}."
        )
        for r in rates
        if not r.bits_per_second
    ]
    reached = [r for r in rates if r.bits_per_second]
    for rate in reached:
        value, pair = rate.bits_per_second or 0.0, f"{rate.source} to {rate.target}"
        if at_least is not None:
            below = f"{bitrate_text(value)} is below {bitrate_text(at_least)}"
            text = f"Bandwidth between pods is too low: {pair}: {below}."
            found.append(Check("bandwidth at least", at_least, value, "bit/s", value >= at_least, text))
        if at_most is not None:
            text = f"{pair}: {bitrate_text(value)} is above the limit of {bitrate_text(at_most)}."
            kept = value <= at_most * (1 + tolerance)
            found.append(Check("bandwidth at most", at_most, value, "bit/s", kept, text))
    return found


def read_csv(text: str) -> float | None:
    """Rate in bits per second: the ninth field of iperf's last CSV line (`-y C`)."""
    for line in reversed(text.strip().splitlines()):
        fields = line.split(",")
        if len(fields) >= 9 and fields[8].lstrip("-").isdigit() and int(fields[8]) > 0:
            return float(fields[8])
    return None


@dataclass(frozen=True)
class Sender:
    """iperf in a source pod towards one address.

    Args:
        run: Runs a command in the pod within so many seconds and returns its output and its complaints.
        address: Address of the server.
    """

    run: Callable[[list[str], float], tuple[str, str]]
    address: str

    def send(self, seconds: float, *, first: str = "", options: str = "") -> tuple[float | None, str]:
        """Sends for some time; returns the rate in bits per second, or None and why not.

        Args:
            seconds: Length of the transfer.
            first: Shell command that comes immediately before it.
            options: More options of iperf.
        """
        words = ["sh", "-c", f"{first}exec {self._client} {options} -t {seconds:g} -y C"]
        out, complaint = self.run(words, seconds + 30)
        rate = read_csv(out)
        return rate, "" if rate else head((complaint or out).strip(), 200)

    def send_limited(self, seconds: float, limit: float) -> tuple[float | None, str]:
        """Like `send`, once what a token bucket had saved up is spent."""
        spent = 0.0
        for _ in range(TRIES):
            rate, why = self.send(1)
            if rate is None:
                return None, why
            spent += rate
            # twice, because what is sent flows into the bucket again meanwhile
            if rate < HELD * limit or spent > 2 * BUCKET_BITS:
                break
        # what flows into the bucket between two commands of ours would count as well
        return self.send(seconds, first=f"{self._client} -t 1 >/dev/null; ", options=SMALL_BUFFER)

    @property
    def _client(self) -> str:
        return f"iperf {_family(self.address)} -c {self.address} -p {PORT}"


def measure(matrix: Matrix, *, seconds: float) -> list[Rate]:
    """Measures from every pod to the pods of all other nodes.

    Args:
        matrix: The matrix whose pods are used.
        seconds: Length of each transfer.
    Raises:
        ToolMissing: The image has no iperf.
    """
    rates = []
    for target, to_node in matrix.layout.pods:
        sources = [name for name, node in matrix.layout.pods if node != to_node]
        if sources:
            with _server(matrix, target) as address:
                for source in sources:
                    limits = Containers(matrix.cluster, partial(_ends, matrix, source, target))
                    limits.start()
                    rate, why = Sender(partial(_run, matrix, source), address).send(seconds)
                    held = "; ".join(end.sentence for end in limits.held() if end.held.often)
                    rates.append(Rate(source, target, rate, why, held))
    return rates


def measure_limited(matrix: Matrix, *, seconds: float, limit: float) -> list[Rate]:
    """Measures from one extra pod, whose rate is limited, to a pod of another node; it is gone afterwards.

    Args:
        matrix: The matrix whose pods are the targets.
        seconds: Length of the transfer that counts.
        limit: Bits per second, for the pod's annotation `kubernetes.io/egress-bandwidth`.

    Raises:
        ToolMissing: The image has no iperf.
    """
    name, node = "limited", matrix.layout.pods[0][1]
    targets = [target for target, to_node in matrix.layout.pods if to_node != node]
    if not targets:
        return []
    made: dict[str, Any] = objects.pod(matrix.layout, name, node, role="limited")
    made["metadata"]["annotations"] = {"kubernetes.io/egress-bandwidth": f"{limit:.0f}"}
    matrix.cluster.create(made)
    try:
        _await_pod(matrix, name)
        with _server(matrix, targets[0]) as address:
            rate, why = Sender(partial(_run, matrix, name), address).send_limited(seconds, limit)
    finally:
        matrix.cluster.delete("Pod", name, matrix.layout.namespace, grace_seconds=0)
    return [Rate(name, targets[0], rate, why)]


def _ends(matrix: Matrix, *names: str) -> list[tuple[Mapping[str, Any], bool]]:
    """Returns the pods of a transfer, with the container that iperf runs in alone."""
    pods = [pod for pod in map(matrix.world.pod, names) if pod]
    alone = [[each for each in pod["spec"]["containers"] if each["name"] == CONTAINER] for pod in pods]
    return [({**pod, "spec": {"containers": each}}, True) for pod, each in zip(pods, alone, strict=True)]


@contextmanager
def _server(matrix: Matrix, target: str) -> Iterator[str]:
    """Runs iperf's server in a pod; gives the pod's address."""
    address = (matrix.world.pod(target) or {})["status"]["podIP"]
    words = ["sh", "-c", SERVER, "sh", _family(address)]
    server = matrix.cluster.start_exec(matrix.layout.namespace, target, words, container=CONTAINER, stdin=True)
    try:
        if server.read(15.0) is None:
            code = server.exit_code if server.finished else 0
            if code != 127:
                raise errors.ExecFailed(f"The server of iperf in pod '{target}' did not start.", exit_code=code)
            raise errors.ToolMissing(f"The image of pod '{target}' has no 'iperf'.", exit_code=127)
        yield address
    finally:
        with suppress(errors.NetLibraryError):  # the pod may be gone
            server.write("end\n")
            server.wait(5.0)  # or the next server finds the port taken
        server.close()


def _family(address: str) -> str:
    return "-V" if ":" in address else ""


def _run(matrix: Matrix, pod: str, words: list[str], timeout: float) -> tuple[str, str]:
    namespace = matrix.layout.namespace
    done = matrix.cluster.exec(namespace, pod, words, container=CONTAINER, timeout=timeout, check=False)
    return done.stdout, done.stderr
