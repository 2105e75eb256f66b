"""What is wrong with Services of the user's: rules over their objects first, and over what was seen then.

A rule about objects finds what the cells cannot show: a Service whose selector has a misspelt word has no endpoint, and
that nobody answers is what its objects say.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.policy_peers import declared_ports, named_ports
from NetLibrary._mechanics.kube.selectors import selects
from NetLibrary._mechanics.kube.wait import is_ready
from NetLibrary._mechanics.matrix.model.types import Cell
from NetLibrary._mechanics.matrix.model.world import World
from NetLibrary._mechanics.matrix.own import targets
from NetLibrary._mechanics.probing.types import Outcome

Object = Mapping[str, Any]
MOST_NAMED = 4
SILENT = (Outcome.TIMEOUT, Outcome.UNREACHABLE)


@dataclass(frozen=True)
class Finding:
    """What is wrong with one Service, or with several for one reason.

    Args:
        services: Their names.
        text: What, in a sentence.
        mend: What to do about it.
        cells: Wrong cells that it explains.
    """

    services: tuple[str, ...]
    text: str
    mend: str = ""
    cells: tuple[Cell, ...] = ()

    def __str__(self) -> str:
        cells = "1 wrong cell" if len(self.cells) == 1 else f"{len(self.cells)} wrong cells"
        explains = f" (explains {cells})" if self.cells else ""
        mend = self.mend if self.mend[-1:] in ("", "?") else f"{self.mend}."
        return f"{self.who}: {self.text}{explains}. {mend}".rstrip()

    @property
    def who(self) -> str:
        """The Services, in words."""
        if len(self.services) == 1:
            return f"Service '{self.services[0]}'"
        names = ", ".join(f"'{name}'" for name in self.services[:MOST_NAMED])
        more = f" and {len(self.services) - MOST_NAMED} more" if len(self.services) > MOST_NAMED else ""
        return f"Services {names}{more}"


@dataclass
class Facts:
    """What the rules are about.

    Args:
        world: The objects.
        templates: Labels of the pods that workloads would make, by kind and name of the workload.
        cells: All cells.
    """

    world: World
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cells: Sequence[Cell] = ()

    def of(self, service: str, *kinds: str) -> list[Cell]:
        """Cells of a Service, of some kinds of target."""
        return [c for c in self.cells if c.target.service == service and (not kinds or c.target.kind in kinds)]

    def behind(self, service: Object) -> list[Object]:
        """Pods that a Service selects."""
        selector = service["spec"].get("selector")
        if not selector:
            return []
        return [p for p in self.world.pods if selects({"matchLabels": selector}, p["metadata"].get("labels") or {})]


Rule = Callable[[Facts, Object], "Finding | None"]


def findings(facts: Facts, chosen: Sequence[str] = ()) -> list[Finding]:
    """Returns what is wrong, what explains most cells first; one reason of several Services is one finding.

    Of each Service the first rule that fits counts, and another one for what it leaves.
    """
    merged: dict[tuple[str, str], Finding] = {}
    for service in facts.world.services:
        name = service["metadata"]["name"]
        for each in _of_service(facts, service) if not chosen or name in chosen else ():
            same = merged.get((each.text, each.mend))
            if same is not None:
                each = Finding((*same.services, *each.services), each.text, each.mend, (*same.cells, *each.cells))
            merged[each.text, each.mend] = each
    return sorted(merged.values(), key=lambda finding: -len(finding.cells))


def _of_service(facts: Facts, service: Object) -> list[Finding]:
    found: list[Finding] = []
    left = {id(c): c for c in facts.of(service["metadata"]["name"]) if c.wrong}
    for rule in (*OF_OBJECTS, *OF_CELLS):
        if rule in OF_CELLS and not left:
            break
        finding = rule(facts, service)
        if finding is None or (rule in OF_CELLS and not any(id(c) in left for c in finding.cells)):
            continue
        found.append(finding)
        if rule in OF_OBJECTS:  # everything about the Service follows from its objects
            break
        for cell in finding.cells:
            left.pop(id(cell), None)
    return found


# --- rules over objects ---------------------------------------------------------------------------------------


def selects_nothing(facts: Facts, service: Object) -> Finding | None:
    """A selector that no pod has, and no workload would give its pods."""
    selector = service["spec"].get("selector")
    if not selector or facts.behind(service):
        return None
    if any(selects({"matchLabels": selector}, labels) for labels in facts.templates.values()):
        return None  # a workload that is scaled to nothing
    text = ",".join(f"{key}={value}" for key, value in selector.items())
    near = _nearest(facts, selector)
    return _finding(facts, service, f"its selector '{text}' matches no pod and no workload's pods", near)


def _nearest(facts: Facts, selector: Mapping[str, str]) -> str:
    known = {f"{k}={v}" for p in facts.world.pods for k, v in (p["metadata"].get("labels") or {}).items()}
    known |= {f"{k}={v}" for labels in facts.templates.values() for k, v in labels.items()}
    for key, value in selector.items():
        if f"{key}={value}" not in known:
            close = difflib.get_close_matches(f"{key}={value}", sorted(known), 1, 0.6)
            if close:
                return f"Pods have the label {close[0]}"
    return ""


def names_no_port(facts: Facts, service: Object) -> Finding | None:
    """A target port by a name that none of the pods has."""
    for port in service["spec"].get("ports") or []:
        wanted, pods = port.get("targetPort"), facts.behind(service)
        if isinstance(wanted, str) and pods and not any(named_ports(p, wanted, _protocol(port)) for p in pods):
            names = sorted({str(e["name"]) for p in pods for e in declared_ports(p) if e.get("name")})
            there = f"They name {', '.join(names)}" if names else "They name no port"
            return _finding(facts, service, f"its targetPort '{wanted}' is not a port that its pods name", there)
    return None


def lists_strangers(facts: Facts, service: Object) -> Finding | None:
    """Endpoints that are not what the selector finds: stale ones, or ones that are missing."""
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return None
    pods = facts.behind(service)
    have = {a for p in pods for a in addresses.of_pod(dict(p))}
    listed = targets.listed(facts.world, service)
    stale = sorted(address for address in listed if address not in have)
    if stale:
        others = {a: p["metadata"]["name"] for p in facts.world.pods for a in addresses.of_pod(dict(p))}
        what = (
            f"which is pod '{others[stale[0]]}', whose labels do not match"
            if stale[0] in others
            else "which no pod has"
        )
        text = (
            f"its EndpointSlices list {len(stale)} of {len(listed)} endpoints wrongly, for instance {stale[0]}, {what}"
        )
        return _finding(facts, service, text, "Is kube-controller-manager running, and who else writes the slices?")
    names = {str((entry.get("targetRef") or {}).get("name")) for entry in listed.values()}
    missing = [p["metadata"]["name"] for p in pods if is_ready(dict(p)) and p["metadata"]["name"] not in names]
    if missing and not _cannot_be_listed(service, pods):
        text = f"its EndpointSlices lack {len(missing)} ready pods, for instance '{missing[0]}'"
        return _finding(facts, service, text, "Is kube-controller-manager running?")
    return None


def _cannot_be_listed(service: Object, pods: Sequence[Object]) -> bool:
    """A Service without ports, or of a family that its pods do not have, lists nobody."""
    families = service["spec"].get("ipFamilies") or []
    own = {f"IPv{addresses.family_of(a)}" for p in pods for a in addresses.of_pod(dict(p))}
    return bool(families) and not own & set(families)


# --- rules over what was seen -----------------------------------------------------------------------------------


def nobody_listens(facts: Facts, service: Object) -> Finding | None:
    """All pods refuse at the target port."""
    name = service["metadata"]["name"]
    for port in sorted({c.target.service_port for c in facts.of(name, "pod") if c.wrong}):
        direct = [c for c in facts.of(name, "pod") if c.target.service_port == port]
        if all(c.observed.outcome is Outcome.REFUSED for c in direct):
            number, pods = direct[0].target.port, facts.behind(service)
            declared = sorted({int(e["containerPort"]) for p in pods for e in declared_ports(p)})
            named = [p for p in service["spec"]["ports"] if p["port"] == port]
            wanted = named[0].get("targetPort", port) if named else number
            there = f"The pods declare {', '.join(map(str, declared))}" if declared else "The pods declare no port"
            cells = tuple(c for c in facts.of(name) if c.wrong and c.target.service_port == port)
            count = len({c.target.pod for c in direct})
            pods_in_words = "its pod" if count == 1 else f"its {count} pods"
            text = f"nothing listens on port {number} of {pods_in_words} (targetPort {wanted})"
            return Finding((name,), text, there, cells)
    return None


def one_does_not_listen(facts: Facts, service: Object) -> Finding | None:
    """Some pods refuse, and so do some of the connections through the Service."""
    name = service["metadata"]["name"]
    direct = facts.of(name, "pod")
    refusing = sorted({c.target.pod for c in direct if c.wrong and c.observed.outcome is Outcome.REFUSED})
    if not refusing or len(refusing) == len({c.target.pod for c in direct}):
        return None
    cells = [c for c in facts.of(name) if c.wrong and (c.target.pod in refusing or c.target.kind != "pod")]
    pods = ", ".join(f"'{pod}'" for pod in refusing[:4])
    return Finding((name,), f"pod {pods} is ready and does not listen", "Other pods of the Service do", tuple(cells))


def pod_is_silent(facts: Facts, service: Object) -> Finding | None:
    """A pod that nobody reaches, though no policy says so."""
    name = service["metadata"]["name"]
    direct = facts.of(name, "pod")
    for pod in sorted({c.target.pod for c in direct if c.wrong and c.observed.outcome in SILENT}):
        of_pod = [c for c in direct if c.target.pod == pod and c.source.name != pod]
        if of_pod and all(c.observed.outcome in SILENT for c in of_pod if c.expected.judged and not c.expected.a_no):
            cells = [c for c in facts.of(name) if c.wrong and (c.target.pod == pod or c.target.kind != "pod")]
            text = f"pod '{pod}' answers nobody, although no policy of the namespace denies it"
            return Finding((name,), text, "Look at its node's network and at policies of other kinds", tuple(cells))
    return None


def policies_are_ignored(facts: Facts, service: Object) -> Finding | None:
    """What a policy keeps away comes about."""
    name = service["metadata"]["name"]
    cells = tuple(c for c in facts.of(name) if c.wrong and c.symptom == "open" and "blocked by" in c.expected.reason)
    if not cells:
        return None
    return Finding(
        (name,), f"it answers although it is {cells[0].expected.reason}", "Does the network enforce policies?", cells
    )


def path_between_nodes(facts: Facts, service: Object) -> Finding | None:
    """Endpoints are reached from some nodes and not from others."""
    return _by_node(facts, service, ("pod",), "pods of it are not reached from node")


def proxy_of_a_node(facts: Facts, service: Object) -> Finding | None:
    """Its endpoints answer directly, and not through the Service."""
    return _by_node(
        facts, service, ("vip", "nodeport", "loadbalancer"),
        "its pods answer at their own addresses, but not through the Service from node",
    )  # fmt: skip


def _by_node(facts: Facts, service: Object, kinds: tuple[str, ...], text: str) -> Finding | None:
    name = service["metadata"]["name"]
    cells = tuple(c for c in facts.of(name, *kinds) if c.wrong)
    if not cells:
        return None
    nodes = sorted({c.source.node for c in cells})
    every = len(nodes) == len({c.source.node for c in facts.of(name, *kinds)})
    where = "any node" if every else ", ".join(nodes)
    mend = "Look at the service proxy" if "vip" in kinds else "Look at the routes between these nodes"
    return Finding((name,), f"{text} {where}", f"{mend}: {cells[0].describe()}", cells)


def name_is_wrong(facts: Facts, service: Object) -> Finding | None:
    """Its name does not lead where its objects say."""
    name = service["metadata"]["name"]
    cells = tuple(c for c in facts.of(name, "dns") if c.wrong)
    return (
        Finding((name,), f"its name is not resolved as its objects say: {cells[0].difference()}", "", cells)
        if cells
        else None
    )


OF_OBJECTS: tuple[Rule, ...] = (selects_nothing, names_no_port, lists_strangers)
OF_CELLS: tuple[Rule, ...] = (
    nobody_listens, one_does_not_listen, policies_are_ignored, pod_is_silent, path_between_nodes, proxy_of_a_node,
    name_is_wrong,
)  # fmt: skip


def _finding(facts: Facts, service: Object, text: str, mend: str) -> Finding:
    name = service["metadata"]["name"]
    return Finding((name,), text, mend, tuple(c for c in facts.of(name) if c.wrong))


def _protocol(port: Object) -> str:
    return str(port.get("protocol") or "TCP")
