"""What explains a table that is not as the policies say: hypotheses that predict every cell.

Each hypothesis is a way to read or to lose policies that implementations are known for. It predicts the whole table;
the one that leaves the fewest cells unexplained wins. Cells that are right and that it forbids count against it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.kube.policies import Rulebook
from NetLibrary._mechanics.kube.policy_peers import name_of, namespace_of
from NetLibrary._mechanics.policies.results import Cell, Table
from NetLibrary._mechanics.policies.subjects import Subjects, node_of

Object = Mapping[str, Any]
# Predicts whether the connection of a cell comes about
Prediction = Callable[[Cell], bool]
MOST_CAUSES = 3


@dataclass(frozen=True)
class Hypothesis:
    """One way in which a table could have come about.

    Args:
        text: What it says.
        predicts: Tells for a cell whether its connection comes about.
    """

    text: str
    predicts: Prediction


def causes(table: Table, subjects: Subjects) -> list[str]:
    """Returns what explains the wrong cells, the best explanation first; each explains what the ones before leave."""
    left = table.wrong
    if not left or not table.enforced:
        return []
    candidates = list(hypotheses(table, subjects))
    found: list[str] = []
    right = [cell for cell in table.judged if not cell.wrong]
    while left and len(found) < MOST_CAUSES:
        best, explained, against = _best(candidates, left, right)
        if best is None:
            break
        doubt = f", but contradicts {against} of {len(right)} that are right" if against else ""
        found.append(f"Likely: {best.text} (explains {len(explained)} of {len(table.wrong)} wrong connections{doubt}).")
        gone = {id(cell) for cell in explained}
        left = [cell for cell in left if id(cell) not in gone]
        candidates.remove(best)
    if left:
        found.append(
            f"Not explained: {len(left)} of {len(table.wrong)} wrong connections, for instance {left[0].describe()}."
            + ("\nRepeat it: " + by_hand(left[0]) if by_hand(left[0]) else "")
        )
    return found


def _best(
    candidates: Sequence[Hypothesis], left: Sequence[Cell], right: Sequence[Cell]
) -> tuple[Hypothesis | None, list[Cell], int]:
    best: tuple[int, Hypothesis | None, list[Cell], int] = (0, None, [], 0)
    for candidate in candidates:
        explained = [cell for cell in left if candidate.predicts(cell) is not cell.decision.allowed]
        if not explained:
            continue
        against = sum(candidate.predicts(cell) is not cell.decision.allowed for cell in right)
        score = len(explained) - against
        # Candidates come from the special to the general, so of equal ones the first stays
        if score > best[0]:
            best = score, candidate, explained, against
    return best[1], best[2], best[3]


def hypotheses(table: Table, subjects: Subjects) -> Iterable[Hypothesis]:
    """Returns all ways that the table could have come about, the most special ones first."""
    of_any_family = [
        *_of_readings(subjects),
        *_of_policies(subjects),
        *_of_places(table, subjects),
        *_of_directions(subjects),
    ]
    yield from of_any_family
    yield from _of_one_family(table, of_any_family)


def _with(subjects: Subjects, policies: Sequence[Object], **more: Any) -> Prediction:
    rules = Rulebook(policies, subjects.namespaces, admin=subjects.admin, baseline=subjects.baseline, **more)
    return _allowed_by(rules)


def _of_readings(subjects: Subjects) -> Iterable[Hypothesis]:
    """Parts of policies that implementations read otherwise, or not at all."""
    for text, change in READINGS.items():
        changed = [_changed(policy, change) for policy in subjects.policies]
        if changed != subjects.policies:
            yield Hypothesis(text, _with(subjects, changed))


def _of_policies(subjects: Subjects) -> Iterable[Hypothesis]:
    for policy in subjects.policies:
        name = f"{namespace_of(policy)}/{name_of(policy)}"
        others = [each for each in subjects.policies if each is not policy]
        yield Hypothesis(f"NetworkPolicy {name} is not enforced, while others are", _with(subjects, others))
    about = subjects.policies, subjects.namespaces
    if subjects.admin:
        rules = Rulebook(*about, baseline=subjects.baseline)
        yield Hypothesis("AdminNetworkPolicies are served but not enforced", _allowed_by(rules))
    if subjects.baseline:
        rules = Rulebook(*about, admin=subjects.admin)
        yield Hypothesis("the BaselineAdminNetworkPolicy is served but not enforced", _allowed_by(rules))


def _allowed_by(rules: Rulebook) -> Prediction:
    return lambda cell: rules.decide(cell.flow).allowed


def _of_places(table: Table, subjects: Subjects) -> Iterable[Hypothesis]:
    """Pods, nodes and pairs of nodes with which something is wrong whatever the policies say."""
    for pod in dict.fromkeys(cell.target.pod for cell in table.wrong):
        yield Hypothesis(
            f"whatever the policies say, nothing reaches pod {pod}: check the pod and its network",
            lambda cell, pod=pod: cell.decision.allowed and (cell.target.pod != pod or cell.flow.to_itself),  # type: ignore[misc]
        )
    for pod in dict.fromkeys(cell.source.name for cell in table.wrong):
        yield Hypothesis(
            f"whatever the policies say, nothing leaves pod {pod}",
            lambda cell, pod=pod: cell.decision.allowed and (cell.source.name != pod or cell.flow.to_itself),  # type: ignore[misc]
        )
    for one, other in dict.fromkeys((cell.source.node, cell.target.node) for cell in table.wrong):
        if one != other:
            yield Hypothesis(
                f"whatever the policies say, nothing gets from node {one} to node {other}",
                lambda cell, way=(one, other): cell.decision.allowed and (cell.source.node, cell.target.node) != way,  # type: ignore[misc]
            )
    for node in dict.fromkeys(node for cell in table.wrong for node in (cell.target.node, cell.source.node)):
        idle = _at_node(node)
        yield Hypothesis(f"policies are not enforced on node {node}", _with(subjects, subjects.policies, idle=idle))


def _at_node(node: str) -> Callable[[Object, str, int | None], bool]:
    return lambda pod, direction, family: node_of(pod) == node


def _of_directions(subjects: Subjects) -> Iterable[Hypothesis]:
    for direction in ("egress", "ingress"):
        idle = _at_direction(direction)
        yield Hypothesis(f"no {direction} policy is enforced", _with(subjects, subjects.policies, idle=idle))
    for version in (6, 4):
        yield Hypothesis(
            f"policies are not enforced over IPv{version}",
            _with(
                subjects,
                subjects.policies,
                idle=lambda pod, direction, family, version=version: family == version,
            ),
        )
    for protocol in ("UDP", "SCTP"):
        rules = Rulebook(subjects.policies, subjects.namespaces)
        yield Hypothesis(
            f"policies are not enforced over {protocol}",
            lambda cell, protocol=protocol, rules=rules: (  # type: ignore[misc]
                cell.flow.protocol == protocol or rules.decide(cell.flow).allowed
            ),
        )


def _of_one_family(table: Table, of_any_family: Sequence[Hypothesis]) -> Iterable[Hypothesis]:
    """The same ways over one family, where pods have addresses of both and the other one is as it should be."""
    wrong = {cell.flow.family for cell in table.wrong}
    if len(wrong) != 1 or len({cell.flow.family for cell in table.judged}) < 2:
        return
    (version,) = wrong
    for each in of_any_family:
        yield Hypothesis(
            f"over IPv{version}, {each.text}",
            lambda cell, each=each: (  # type: ignore[misc]
                each.predicts(cell) if cell.flow.family == version else cell.decision.allowed
            ),
        )


def _at_direction(wanted: str) -> Callable[[Object, str, int | None], bool]:
    return lambda pod, direction, family: direction == wanted


# --- readings: each changes a copy of a policy's rule in place ------------------------------------------------


def _changed(policy: Object, change: Callable[[dict[str, Any], str], None]) -> Object:
    found: dict[str, Any] = copy.deepcopy(dict(policy))
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in found["spec"].get(direction) or []:
            change(rule, side)
    return found


def _without_except(rule: dict[str, Any], side: str) -> None:
    for peer in rule.get(side) or []:
        if peer.get("ipBlock"):
            peer["ipBlock"].pop("except", None)


def _without_end_port(rule: dict[str, Any], side: str) -> None:
    for entry in rule.get("ports") or []:
        entry.pop("endPort", None)


def _without_ports(rule: dict[str, Any], side: str) -> None:
    rule.pop("ports", None)


def _names_unknown(rule: dict[str, Any], side: str) -> None:
    for entry in rule.get("ports") or []:
        if isinstance(entry.get("port"), str):
            entry["port"] = "-"


def _blocks_unknown(rule: dict[str, Any], side: str) -> None:
    for peer in rule.get(side) or []:
        if peer.get("ipBlock"):
            peer["ipBlock"] = {"cidr": "255.255.255.255/32"}


def _either_selector(rule: dict[str, Any], side: str) -> None:
    split: list[dict[str, Any]] = []
    for peer in rule.get(side) or []:
        if peer.get("namespaceSelector") is not None and peer.get("podSelector") is not None:
            split += [{"namespaceSelector": peer["namespaceSelector"]}, {"podSelector": peer["podSelector"]}]
        else:
            split.append(peer)
    if rule.get(side):
        rule[side] = split


def _without_expressions(rule: dict[str, Any], side: str) -> None:
    for peer in rule.get(side) or []:
        for selector in ("podSelector", "namespaceSelector"):
            if peer.get(selector):
                peer[selector].pop("matchExpressions", None)


def _every_namespace(rule: dict[str, Any], side: str) -> None:
    for peer in rule.get(side) or []:
        if peer.get("podSelector") is not None and peer.get("namespaceSelector") is None:
            peer["namespaceSelector"] = {}


READINGS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "the network ignores 'except' of ipBlock": _without_except,
    "the network ignores 'endPort' and uses only the first port of a range": _without_end_port,
    "the network does not resolve named ports": _names_unknown,
    "the network does not match pods with ipBlock": _blocks_unknown,
    "the network treats namespaceSelector and podSelector of one peer as alternatives": _either_selector,
    "the network ignores matchExpressions": _without_expressions,
    "the network lets a podSelector without namespaceSelector match pods in every namespace": _every_namespace,
    "the network ignores the ports of rules": _without_ports,
}


def by_hand(cell: Cell) -> str:
    """Returns a line that repeats a cell from a shell, where the pod has what it takes."""
    source, target = cell.source, cell.target
    if target.protocol != "TCP":
        return ""
    words = f"exec 3<>/dev/tcp/{target.host}/{target.port} && echo connected"
    pod = f"kubectl exec -n {source.namespace} {source.pod} -c {source.container}"
    return f"{pod} -- timeout 2 bash -c '{words}'"
