"""A sender or receiver that was started: its pod, its log and counters, and the facts about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.e2sar import objects
from NetLibrary._mechanics.e2sar.evidence import Evidence
from NetLibrary._mechanics.e2sar.facts import End, ReceiverFacts, SenderFacts
from NetLibrary._mechanics.e2sar.judge import counts_of
from NetLibrary._mechanics.e2sar.logs import LogParser
from NetLibrary._mechanics.e2sar.parameters import PodSettings
from NetLibrary._mechanics.e2sar.reports import Report
from NetLibrary._mechanics.e2sar.stream import LogStream, split_time
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.cluster import Cluster

Object = dict[str, Any]
LOG_PATIENCE = 5.0
# Without a loss nothing is outstanding; else the reassembly timeout must have passed between two equal reports
TIMEOUT_PASSED = 1.1


@dataclass
class Endpoint:
    """A sender or receiver that was started.

    Its logs' threads hand lines to `take`, which guards report and counters with a lock; everything that reads them
    here does the same. One that is `outside` is a program of a host and has no pod.

    Args:
        name: Its name.
        role: `sender` or `receiver`, also the name of its container.
        settings: What it was told to do.
        pod_settings: How its pod runs.
        selector: Finds its pod and no other.
        job: Name of its Job, which is another one where Jobs of earlier runs stay.
    """

    name: str
    role: str
    settings: Any
    pod_settings: PodSettings
    selector: str = ""
    job: str = ""
    pod: Object = field(default_factory=dict)
    parser: LogParser = field(default_factory=LogParser)
    evidence: Evidence = field(default_factory=Evidence)
    streams: list[LogStream] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)
    bound_at: float | None = None
    first_line_at: float | None = None
    running_since: float | None = None
    exit_at: float | None = None
    stopped_by_us: bool = False
    trouble: str = ""
    evicted: str = ""
    target: str = ""
    direct: bool = False
    translated: bool = False
    outside: bool = False
    kept: list[Path] = field(default_factory=list)
    blocking: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- its pod ------------------------------------------------------------------------------------------------

    @property
    def pod_name(self) -> str:
        """Name of its pod, empty before there is one."""
        return str(self.pod.get("metadata", {}).get("name", ""))

    @property
    def node(self) -> str:
        """Node it runs on."""
        return str(self.pod.get("spec", {}).get("nodeName", ""))

    @property
    def address(self) -> str:
        """Address of its pod."""
        return str(self.pod.get("status", {}).get("podIP", ""))

    def seen(self, pod: Object) -> None:
        """Takes the newest state of its pod, and remembers who took the pod away."""
        self.pod = pod
        if self.stopped_by_us:
            return
        self.evicted = self.evicted or evicted_by(pod)
        if self._deleted_while_it_ran():
            self.trouble = self.trouble or self._gone
        status = pod.get("status", {})
        if status.get("phase") == "Failed" and status.get("reason"):
            said = f"{status['reason']}: {status.get('message', '').strip().rstrip('.')}".removesuffix(": ")
            self.trouble = self.trouble or f"The pod of {self.role} '{self.name}' was ended by its node ({said})"

    def _deleted_while_it_ran(self) -> bool:
        """Whether its deletion was asked for before its container ended; either end says `Completed` on its way out."""
        metadata, report = self.pod["metadata"], self.report
        asked = times.seconds(metadata.get("deletionTimestamp"))
        if asked is None or (self.role == "sender" and report.completed and report.frame_shortfall is None):
            return False
        finished = times.seconds((self.terminated() or {}).get("finishedAt"))
        return finished is None or finished >= asked - (metadata.get("deletionGracePeriodSeconds") or 0)

    def vanished(self) -> None:
        """Notes that its pod is no longer there."""
        if not self.terminated() and not self.stopped_by_us:
            self.trouble = self.trouble or self._gone

    @property
    def _gone(self) -> str:
        return f"The pod of {self.role} '{self.name}' was deleted while it ran"

    def terminated(self) -> Object | None:
        """How its container ended, None while it runs."""
        if self.outside:
            return {"exitCode": self.evidence.exit_code}
        for status in self.pod.get("status", {}).get("containerStatuses", []):
            ended = status.get("state", {}).get("terminated")
            if status["name"] == self.role and ended:
                return dict(ended)
        return None

    # --- its logs -----------------------------------------------------------------------------------------------

    def follow(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        """Begins to keep its log, and that of the observer beside a receiver."""
        self.running_since = begun(self.pod, self.role)
        for container in (self.role, *(["observer"] if self.role == "receiver" else [])):
            own = container == self.role

            def take(at: float | None, text: str, own: bool = own) -> None:
                self.take(at, text, own=own)

            path = unused(folder, f"{self.name}.{container}")
            self.streams.append(LogStream(cluster, namespace, self.pod_name, container, path, take, self._last_look))

    def _last_look(self, pod: Object) -> None:
        if not self.stopped_by_us:
            self.evicted = self.evicted or evicted_by(pod)

    def take(self, at: float | None, text: str, *, own: bool) -> None:
        """Takes a line of its log (`own`) or of the observer's, with the time it was written."""
        with self._lock:
            if self.evidence.line(text):
                if not own and self.role == "receiver" and self.bound_at is None:
                    self.bound_at = at if self.evidence.bound(self.settings.port) else None
                if text.startswith("@netlibrary exit"):
                    self.exit_at = at
            elif own:
                self.parser.feed(text + "\n", at)
                if "Using MTU" in text:
                    self.first_line_at = at

    def take_file(self, path: Path) -> None:
        """Takes the whole log of a program that ran outside the cluster."""
        with self._lock:
            self.exit_at = time.time()
            self.parser.feed(path.read_bytes())

    def drain(self) -> None:
        """Keeps the logs to the last line; the observer's last samples matter only when the script could not note."""
        for index, stream in enumerate(self.streams):
            noted = index > 0 and self.evidence.after is not None
            stream.finish(0.0 if noted else LOG_PATIENCE)

    def close(self) -> None:
        """Ends the threads of its logs; what was logged so far is kept."""
        for stream in self.streams:
            stream.finish(0.0)

    @property
    def files(self) -> list[Path]:
        """The logs that were kept."""
        return [*self.kept, *(stream.path for stream in self.streams)]

    # --- what they say ------------------------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """What its log says so far."""
        with self._lock:
            return self.parser.report

    def listens(self) -> bool:
        """Whether its port was seen bound, and not by another program of the pod (its script looks before)."""
        with self._lock:
            return self.evidence.before is not None and self.evidence.bound(self.settings.port)

    def bound_ports(self) -> list[int]:
        """The UDP ports that were seen bound in its pod."""
        with self._lock:
            return self.evidence.bound_ports()

    def reports(self) -> int:
        """How many reports it has printed."""
        with self._lock:
            return len(self.parser.report.blocks)

    def received(self) -> int:
        """Events that its last report counts."""
        with self._lock:
            final = self.parser.report.final
            return final.received if final else 0

    def at_rest(self) -> bool:
        """Whether its counters have stood still for longer than a reassembly takes."""
        if self.terminated():
            return True
        with self._lock:
            blocks = self.parser.report.blocks
            if len(blocks) < 2:
                return self.parser.report.completed or self.quiet
            last = blocks[-1]
            still = [each for each in blocks if counts_of(each) == counts_of(last)]
            if len(still) < 2 or counts_of(blocks[-2]) != counts_of(last):
                return False
            return last.at is None or still[0].at is None or last.at - still[0].at >= TIMEOUT_PASSED

    @property
    def quiet(self) -> bool:
        """Whether it was told to print no reports."""
        return bool({"-q", "--quiet"} & set(self.settings.options))

    def not_bound(self, seconds: float) -> str:
        """Says what is bound instead of a receiver's port."""
        ports = self.bound_ports()
        seen = f"bound are {', '.join(map(str, ports))}" if ports else "no UDP socket is bound in its pod"
        return (
            f"Receiver '{self.name}' did not bind UDP port {self.settings.port} within {seconds:g} s: {seen}."
            + self.last_words()
        )

    def ended_unbound(self) -> str:
        """Says how a receiver ended before its port was bound."""
        ended = self.terminated() or {}
        how = self.trouble or f"it ended with exit code {ended.get('exitCode')} ({ended.get('reason', '-')})"
        said = "; ".join(self.report.failures) or self.evidence.failure
        return f"Receiver '{self.name}' never bound UDP port {self.settings.port}: {said or how}." + self.last_words()

    def last_words(self) -> str:
        """Lines with what it complained of, for messages."""
        with self._lock:
            said = [f"\n{self.name} said: {text}" for text in self.parser.report.failures[:3]]
        return "".join(said)

    def _end(self) -> End:
        ended = self.terminated() or {}
        status = self.pod.get("status", {})
        reason = str(status.get("reason") or ended.get("reason") or "")
        code = ended.get("exitCode", self.evidence.exit_code)
        at = self.exit_at
        if at is None and ended.get("finishedAt"):
            at = split_time(f"{ended['finishedAt']} ")[0]
        return End(code, reason, at, self.stopped_by_us)

    def facts(self) -> SenderFacts | ReceiverFacts:
        """Everything that is known of it."""
        direction = "egress" if self.role == "sender" else "ingress"
        annotations = self.pod.get("metadata", {}).get("annotations")
        known: dict[str, Any] = {
            "name": self.name, "settings": self.settings, "report": self.report, "evidence": self.evidence,
            "end": self._end(), "node": self.node, "bandwidth": objects.bandwidth(annotations, direction),
            "cpu_limit": self.pod_settings.cpu_limit, "trouble": self.trouble, "evicted": self.evicted,
        }  # fmt: skip
        if self.role == "receiver":
            return ReceiverFacts(**known, bound_at=self.bound_at, address=self.address)
        return SenderFacts(
            **known, first_datagram_at=self.first_line_at, running_since=self.running_since, direct=self.direct,
            translated=self.translated,
        )  # fmt: skip


def begun(pod: Object, role: str) -> float | None:
    """When a pod's container began to run."""
    for status in pod.get("status", {}).get("containerStatuses", []):
        for state in status.get("state", {}).values():
            if status["name"] == role and state.get("startedAt"):
                return split_time(f"{state['startedAt']} ")[0]
    return None


def evicted_by(pod: Object) -> str:
    """Says who took a pod from its node: pressure, drain, preemption or a taint; empty when nobody did."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason") in ("Evicted", "Preempting", "NodeShutdown"):
        return f"{status['reason']}: {status.get('message', '')}".strip().rstrip(".: ")
    for each in status.get("conditions", []):
        if each["type"] == "DisruptionTarget" and each["status"] == "True":
            return f"{each.get('reason', '')}: {each.get('message', '')}".rstrip(".: ")
    return ""


def unused(folder: Path, name: str) -> Path:
    """A file name that no run before has used."""
    path, number = folder / f"{name}.log", 1
    while path.exists():
        number += 1
        path = folder / f"{name}.{number}.log"
    return path


def all_at_rest(receivers: Sequence[Endpoint], reports: Sequence[int], events: int) -> bool:
    """Tells whether the receivers' counters have come to rest.

    Args:
        receivers: The receivers.
        reports: How many reports of each have come since the look began.
        events: How many events there are to come.
    """
    both = list(zip(receivers, reports, strict=True))
    # Every event is there: one more report shows what may have come on top of them
    later = all(new >= 1 or each.terminated() for each, new in both)
    if later and sum(each.received() for each in receivers) >= events:
        return True
    fresh = all(new >= 2 or each.terminated() or each.quiet for each, new in both)
    return fresh and all(each.at_rest() for each in receivers)
