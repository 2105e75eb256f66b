"""The variables that mean the same in every suite, what may be written into them, and what they were called before."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

SWITCH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0", "none", ""), False),
}

# Former name → its successors; which of them a suite has decides. Each works for one release and warns.
FORMER: dict[str, tuple[str, ...]] = {
    "MANIFESTS": ("SKUPPER_MANIFESTS", "OUTAGE_MANIFESTS"),
    "PROBE_IMAGE": ("HEALTH_IMAGE", "OUTAGE_PROBE_IMAGE"),
    "BREAK_NAMESPACE": ("NAMESPACE",),
    "BASELINE_FILE": ("BASELINE",),
    "COMMAND": ("OUTAGE_COMMAND",),
    "PROBE_CPU": ("OUTAGE_PROBE_CPU",),
    "HOST_PORT": ("OUTAGE_HOST_PORT",),
    "HOST_ENDPOINTS": ("OUTAGE_HOST_ENDPOINTS",),
    "OUTSIDE_ADDRESS": ("OUTAGE_OUTSIDE_ADDRESS",),
    "OUTSIDE_PORT": ("OUTAGE_OUTSIDE_PORT",),
    "SERVICE_TYPE": ("OUTAGE_SERVICE_TYPE",),
    "RECOVERY": ("OUTAGE_RECOVERY",),
    "SETTLE": ("OUTAGE_SETTLE", "MATRIX_SETTLE"),
    "IPV6": ("OUTAGE_IPV6",),
    "ECHO_SIZE": ("OUTAGE_ECHO_SIZE",),
    "IPERF_BITRATE": ("OUTAGE_IPERF_BITRATE",),
    "REPEATS": ("OUTAGE_REPEATS",),
    "BANDWIDTH": ("SKUPPER_BANDWIDTH",),
    "NAMESPACE_PREFIX": ("NAMESPACE",),
    "IPERF3_IMAGE": ("SKUPPER_IPERF3_IMAGE",),
    "HUB_KUBECONFIG": ("SKUPPER_HUB_KUBECONFIG",),
    "CLIENT_KUBECONFIG": ("SKUPPER_CLIENT_KUBECONFIG",),
    "WORKLOAD_KUBECONFIG": ("SKUPPER_WORKLOAD_KUBECONFIG",),
    "HUB_NAMESPACE": ("SKUPPER_HUB_NAMESPACE",),
    "CLIENT_NAMESPACE": ("SKUPPER_CLIENT_NAMESPACE",),
    "WORKLOAD_NAMESPACE": ("SKUPPER_WORKLOAD_NAMESPACE",),
    "E2SAR_NAMESPACE": ("NAMESPACE",),
    "E2SAR_TIMEOUT": ("READY_TIMEOUT",),
    "DURATION": ("SKUPPER_DURATION", "CYPERF_DURATION"),
    "CYPERF_NAMESPACE": ("NAMESPACE",),
    "AGENT_IMAGE": ("CYPERF_AGENT_IMAGE",),
    "STAND_IN_AGENT_IMAGE": ("CYPERF_STAND_IN_IMAGE",),
    "AGENT_MEMORY": ("CYPERF_AGENT_MEMORY",),
    "CONFIGURATION": ("CYPERF_CONFIGURATION",),
    "PAUSE_BETWEEN_RUNS": ("CYPERF_PAUSE_BETWEEN_RUNS",),
    "AGNHOST_IMAGE": ("MATRIX_IMAGE",),
    "PODS_PER_NODE": ("MATRIX_PODS_PER_NODE",),
    "NODE_LABELS": ("MATRIX_NODE_LABELS",),
    "PROBER": ("MATRIX_PROBER",),
    "TIME_LIMIT": ("MATRIX_TIME_LIMIT",),
    "LOAD_BALANCER_TIMEOUT": ("MATRIX_LOAD_BALANCER_TIMEOUT",),
    "EXTERNAL_NAME": ("MATRIX_EXTERNAL_NAME",),
    "EXTERNAL_IP": ("MATRIX_EXTERNAL_IP",),
}

# What all pods of a run get
POD_SETTINGS = (
    "REGISTRY", "PULL_SECRET", "IMAGE_PULL_POLICY", "TOLERATIONS", "NODE_SELECTOR", "PRIORITY_CLASS", "POD_LABELS",
    "POD_ANNOTATIONS", "POD_REQUESTS", "POD_LIMITS", "POD_USER", "POD_READ_ONLY_ROOT",
)  # fmt: skip
# Read by the library itself, whatever suite runs
LIBRARY = ("KUBECONFIG", "CONTEXT", "CLUSTER", "SKIP_TEARDOWN", "ALLOW_DISRUPTION", *POD_SETTINGS)


def switch(value: object) -> bool:
    """Returns what a switch says: `true`, `yes`, `on`, `1`, their opposites, or an empty text for no.

    Raises:
        ValueError: It is something else; a typo must not count as a yes.
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in SWITCH:
        raise ValueError("allowed: yes and no, true and false, on and off, 1 and 0")
    return SWITCH[word]


# Variable of the contract → what it may hold; checked before a suite does anything
SWITCHES = (
    "SKIP_TEARDOWN", "CYPERF_ONE_AGENT_PER_NODE", "E2SAR_DIRECT_MODE", "MATRIX_LOOK_AT_NODES",
    "OUTAGE_DRAIN_EMPTYDIR", "OUTAGE_HOST_ENDPOINTS", "OUTAGE_IPV6", "POD_READ_ONLY_ROOT",
)  # fmt: skip
CHECKS: dict[str, Callable[[object], object]] = dict.fromkeys(SWITCHES, switch)


def plain(name: str) -> str:
    """Returns the name as Robot compares it: without case, spaces and underscores."""
    return re.sub(r"[ _]", "", name).lower()


def given(arguments: Iterable[str]) -> list[str]:
    """Returns the names of the variables that a command line of `robot` sets, in their order.

    Args:
        arguments: The words of the command line.
    """
    names: list[str] = []
    words = list(arguments)
    for position, word in enumerate(words):
        text = ""
        if word in ("-v", "--variable"):
            text = words[position + 1] if position + 1 < len(words) else ""
        elif word.startswith("--variable="):
            text = word.partition("=")[2]
        elif re.match(r"-v[A-Za-z_]", word):
            text = word[2:]
        name = text.partition(":")[0].strip()
        if name and name not in names:
            names.append(name)
    return names


# Used in real runs only, and therefore compiled there
_SECTION = r"(?ms)^\*+ *(\w+)[^\n]*\n(.*?)(?=^\*|\Z)"
_DECLARED = r"(?m)^[$@&]\{([^}:]+)(?:: [^}]+)?\}"
_MENTIONED = r"[$@&%]\{([\w .]+?)(?:[:=.\[][^}]*)?\}|\$([A-Za-z_]\w*)"
_RESOURCE = r"(?m)^Resource {2,}(\S.*?)(?: {2,}.*)?$"


class Data:
    """What suite files and the resources that they import say about variables.

    Args:
        sources: The suites' files.
        find: Returns the path of a resource that a file imports, None when there is none: (name, folder of the file).
    """

    def __init__(self, sources: Iterable[Path], find: Callable[[str, Path], Path | None]) -> None:
        self.declared: set[str] = set()
        self.mentioned: set[str] = set()
        self.is_ours = False  # whether the contract's own file is among them
        seen: set[Path] = set()
        waiting: list[Path | None] = list(sources)
        while waiting:
            path = waiting.pop()
            if path is None or path in seen or not path.is_file():
                continue
            seen.add(path)
            self.is_ours = self.is_ours or path.parts[-2:] == ("resources", "common.resource")
            text = path.read_text(encoding="utf-8", errors="replace").replace("\t", "    ")
            for section in re.finditer(_SECTION, text):
                if section[1].lower().startswith("variable"):
                    self.declared.update(name.strip() for name in re.findall(_DECLARED, section[2]))
            self.mentioned.update(plain(one or other) for one, other in re.findall(_MENTIONED, text))
            waiting += [
                find(name.replace("${CURDIR}", str(path.parent)), path.parent) for name in re.findall(_RESOURCE, text)
            ]

    def knows(self, name: str) -> bool:
        """Tells whether the variable is declared or used anywhere in these files."""
        return plain(name) in self.mentioned or plain(name) in {plain(other) for other in self.declared}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is most like another, None when none is."""
    by_plain = {plain(other): other for other in known}
    found = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.7)
    return by_plain[found[0]] if found else None
