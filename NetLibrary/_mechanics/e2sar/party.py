"""A sender or receiver that was started, the place it runs in, and the facts about it."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.e2sar import objects
from NetLibrary._mechanics.e2sar.evidence import Evidence
from NetLibrary._mechanics.e2sar.logs import LogParser, Report
from NetLibrary._mechanics.e2sar.parameters import PodSettings, Surroundings
from NetLibrary._mechanics.e2sar.stream import LogStream, split_time
from NetLibrary._mechanics.e2sar.verdict import End, ReceiverFacts, SenderFacts

Object = dict[str, Any]
NEEDED_OPTIONS = (
    "--send",
    "--recv",
    "--uri",
    "--length",
    "--num",
    "--mtu",
    "--rate",
    "--bufsize",
    "--duration",
    "--port",
)


@dataclass
class Inspection:
    """What an image and a place are like: version and options of `e2sar_perf`, limits of the kernel, MTU of a pod."""

    image: str
    version: str
    options: frozenset[str]
    around: Surroundings
    stand_in: bool


@dataclass
class Party:
    """A sender or receiver that was started.

    `selector` finds its pod and no other; `lock` guards what its log's thread changes. One that is `outside` is a
    program of a host and has no pod.
    """

    name: str
    role: str
    settings: Any
    pod_settings: PodSettings
    selector: str = ""
    pod: Object = field(default_factory=dict)
    parser: LogParser = field(default_factory=LogParser)
    evidence: Evidence = field(default_factory=Evidence)
    lock: threading.Lock = field(default_factory=threading.Lock)
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
    outside: bool = False
    kept: list[FilePath] = field(default_factory=list)
    blocking: list[str] = field(default_factory=list)

    @property
    def report(self) -> Report:
        """What its log says so far."""
        return self.parser.report

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

    @property
    def files(self) -> list[FilePath]:
        """The logs that were kept."""
        return [*self.kept, *(stream.path for stream in self.streams)]

    def listens(self) -> bool:
        """Whether its port was seen bound, and not by another program of the pod (its script looks before)."""
        return self.evidence.before is not None and self.evidence.bound(self.settings.port)

    def terminated(self) -> Object | None:
        """How its container ended, None while it runs."""
        if self.outside:
            return {"exitCode": self.evidence.exit_code}
        for status in self.pod.get("status", {}).get("containerStatuses", []):
            ended = status.get("state", {}).get("terminated")
            if status["name"] == self.role and ended:
                return dict(ended)
        return None


def read_inspection(image: str, text: str) -> Inspection:
    """Reads what the inspecting pod printed.

    Raises:
        errors.EnvironmentProblem: The image has no `e2sar_perf`, or one that this cannot work with.
    """
    if re.search(r"^no e2sar_perf$", text, re.MULTILINE):
        raise errors.EnvironmentProblem(
            f"Image '{image}' has no e2sar_perf on its PATH; choose another with image=, for instance "
            f"'{objects.REAL_IMAGE}'."
        )
    knobs = dict(re.findall(r"^/\S*/(rmem_max|wmem_max|mtu) (\d+)$", text, re.MULTILINE))
    options = frozenset(re.findall(r"--[A-Za-z0-9]+", text))
    version = re.search(r"E2SAR Version:\s*(.*)", text)
    missing = [option for option in NEEDED_OPTIONS if option not in options]
    if missing:
        said = text.strip().splitlines()[-1][:200] if text.strip() else "it printed nothing"
        raise errors.EnvironmentProblem(
            f"The e2sar_perf of image '{image}' ({version[1].strip() if version else 'no version line'}) is not "
            "supported: "
            f"--help does not show {', '.join(missing)}. Its last words: {said}. Supported are 0.1.4 to 0.3.2 and "
            "later "
            "ones with these options."
        )
    name = version[1].strip() if version else ""
    around = Surroundings(
        pod_mtu=int(knobs["mtu"]) if "mtu" in knobs else None,
        rmem_max=int(knobs["rmem_max"]) if "rmem_max" in knobs else None,
        wmem_max=int(knobs["wmem_max"]) if "wmem_max" in knobs else None,
    )
    stand_in = "stand-in" in name
    return Inspection(image, name, options, replace(around, sender_startup_seconds=1.0 if stand_in else 10.0), stand_in)


def begun(pod: Object, role: str) -> float | None:
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


def last_words(party: Party) -> str:
    with party.lock:
        failures = [f"{party.name} said: {text}" for text in party.report.failures[:3]]
    return "".join(f"\n{line}" for line in failures)


def blocks(party: Party) -> int:
    return len(party.report.blocks)


def at_rest(party: Party) -> bool:
    blocks = party.report.blocks
    if len(blocks) < 2 or party.terminated():
        return True
    one, two = blocks[-2], blocks[-1]
    return (one.received, one.lost, one.packets) == (two.received, two.lost, two.packets)


def _end(party: Party) -> End:
    ended = party.terminated() or {}
    status = party.pod.get("status", {})
    reason = str(status.get("reason") or ended.get("reason") or "")
    code = ended.get("exitCode", party.evidence.exit_code)
    at = party.exit_at
    if at is None and ended.get("finishedAt"):
        at = split_time(f"{ended['finishedAt']} ")[0]
    return End(code, reason, at, party.stopped_by_us)


def _known(party: Party, direction: str) -> dict[str, Any]:
    """What is known of either end."""
    annotations = party.pod.get("metadata", {}).get("annotations")
    return {
        "name": party.name, "settings": party.settings, "report": party.report, "evidence": party.evidence,
        "end": _end(party), "node": party.node, "bandwidth": objects.bandwidth(annotations, direction),
        "cpu_limit": party.pod_settings.cpu_limit, "trouble": party.trouble, "evicted": party.evicted,
    }  # fmt: skip


def sender_facts(party: Party) -> SenderFacts:
    return SenderFacts(
        **_known(party, "egress"), first_datagram_at=party.first_line_at, running_since=party.running_since,
        direct=party.direct,
    )  # fmt: skip


def receiver_facts(party: Party) -> ReceiverFacts:
    return ReceiverFacts(**_known(party, "ingress"), bound_at=party.bound_at, address=party.address)
