"""Probes a truth table: all cells at once, and wrong ones again until the policies have taken effect."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.defaults import AGNHOST_IMAGE
from NetLibrary._mechanics.kube import wait
from NetLibrary._mechanics.policies import judge, objects, subjects
from NetLibrary._mechanics.policies.results import Cell, Found, Table
from NetLibrary._mechanics.policies.subjects import Port, Subjects
from NetLibrary._mechanics.polling import rounds
from NetLibrary._mechanics.probing.fleet import Fleet
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

Object = Mapping[str, Any]
Sender = tuple[Source, Object]
PAUSE_SECONDS = 0.5
# Probers that only wait do not count; those that work have one process each
IN_FLIGHT = 3000


@dataclass(frozen=True)
class Settings:
    """How a truth table is measured.

    Args:
        ports: Ports to ask; those that each pod declares when empty.
        family: 4 or 6; all when None.
        labels: Only pods with these labels.
        copies: Whether pods without tools get a copy that probes in their place.
        image: Image of the copies.
        limit_ms: How long silence must last. Linux sends a SYN again after 1 s, so 1.3 s survive one lost packet.
        settle_seconds: Time in which wrong cells may become right.
        timeout_seconds: Limit for the start of copies.
    """

    ports: tuple[Port, ...] = ()
    family: int | None = None
    labels: str = ""
    copies: bool = False
    image: str = AGNHOST_IMAGE
    limit_ms: int = 1500
    settle_seconds: float = 5.0
    timeout_seconds: float = 60.0


def measure(
    cluster: Cluster, namespaces: Sequence[str], settings: Settings, *, say: Callable[[str], None] = lambda text: None
) -> tuple[Table, Subjects]:
    """Measures a truth table and says of every cell what it turned out to be.

    Args:
        cluster: Where.
        namespaces: Whose pods ask and are asked.
        settings: How.
        say: Told about progress.

    Returns:
        The table, and what it is about.

    Raises:
        InputError: There is nothing to ask, or no pod can ask.
    """
    found = subjects.read(cluster, namespaces, settings.labels)
    fleet = Fleet(cluster, in_flight=IN_FLIGHT)
    with contextlib.ExitStack() as stack:
        stack.callback(fleet.close)
        senders, left_out = _senders(cluster, fleet, found, settings, stack)
        if not senders:
            reasons = "; ".join(f"{pod}: {why}" for pod, why in left_out[:3])
            hint = "" if settings.copies else " With probers=copies, pods with the same labels connect in their place."
            raise errors.InputError(f"No pod of the table can connect to others: {reasons}.{hint}")
        table = Table(
            subjects.cells(found, senders, settings.ports, settings.family, fleet.domain),
            policies=len(found.policies) + len(found.admin) + len(found.baseline), senders=len(senders),
            left_out=[*found.left_out, *left_out], notes=list(found.notes),
        )  # fmt: skip
        say(f"{len(table.cells)} connections from {len(senders)} pods, {table.policies} policies")
        _probe(fleet, table, settings)
    return table, found


def _senders(
    cluster: Cluster, fleet: Fleet, found: Subjects, settings: Settings, stack: contextlib.ExitStack
) -> tuple[list[Sender], list[tuple[str, str]]]:
    """Pods that can probe, with copies of those that cannot; and why each of the others does not."""
    able, waiting, reasons = [], [], {}
    for pod in found.pods:
        if subjects.has_proxy(pod):
            reasons[subjects.full_name(pod)] = subjects.BEHIND_PROXY
        else:
            waiting.append((pod, subjects.containers_of(pod)))
    while waiting:
        tried = [(subjects.source_of(pod, containers[0]), pod, containers[1:]) for pod, containers in waiting]
        trouble = fleet.start([source for source, _, _ in tried])
        waiting = []
        for source, pod, others in tried:
            if source.name not in trouble:
                able.append((source, pod))
                continue
            fleet.forget(source)
            reasons[source.name] = trouble[source.name]
            if others:
                waiting.append((pod, others))
    names = {source.name for source, _ in able}
    unable = [pod for pod in found.pods if subjects.full_name(pod) not in names]
    if settings.copies and unable:
        able += _copies(cluster, fleet, unable, settings, stack)
        return able, []
    return able, [(subjects.full_name(pod), reasons[subjects.full_name(pod)]) for pod in unable]


def _copies(
    cluster: Cluster, fleet: Fleet, pods: Sequence[Object], settings: Settings, stack: contextlib.ExitStack
) -> list[Sender]:
    """Starts pods with the same labels, which go when the table is measured."""
    made = objects.copies(pods, settings.image)
    for _, copy, owner in made:
        namespace, name = copy["metadata"]["namespace"], copy["metadata"]["name"]
        _must_not_be_found(cluster, copy)
        owning = cluster.create(owner)
        stack.callback(cluster.delete, "ConfigMap", name, namespace)
        cluster.create(objects.owned_by(copy, owning))
        stack.callback(cluster.delete, "Pod", name, namespace)
    senders: list[Sender] = []
    for _, copy, _ in made:
        namespace, name = copy["metadata"]["namespace"], copy["metadata"]["name"]
        cluster.wait(
            "Pod", namespace, wait.condition("ContainersReady"), name=name, timeout=settings.timeout_seconds,
            what=f"Prober '{namespace}/{name}'",
        )  # fmt: skip
        pod = cluster.get("Pod", name, namespace)
        senders.append((subjects.source_of(pod, objects.CONTAINER), pod))
    trouble = fleet.start([source for source, _ in senders])
    if trouble:
        raise errors.EnvironmentProblem(f"A copy cannot probe: {next(iter(trouble.values()))}.")
    return senders


def _must_not_be_found(cluster: Cluster, copy: Object) -> None:
    """A copy is never ready; a Service that publishes such addresses would still hand it out as one of its own."""
    namespace, labels = copy["metadata"]["namespace"], copy["metadata"]["labels"]
    for service in cluster.list("Service", namespace):
        selector = service["spec"].get("selector")
        if selector and service["spec"].get("publishNotReadyAddresses") and selector.items() <= labels.items():
            name = f"{namespace}/{service['metadata']['name']}"
            raise errors.InputError(
                f"probers=copies is not possible for the pods of Service '{name}': it publishes pods that are not "
                "ready, so clients would be sent to the copy."
            )


def _probe(fleet: Fleet, table: Table, settings: Settings) -> None:
    begun = time.monotonic()
    _ask(fleet, table.cells, settings)
    judge.find(table.cells)
    if _repeat(fleet, table, settings, begun):
        # Policies took effect meanwhile: what was right before may have been so for their want
        _ask(fleet, table.cells, settings)
        judge.find(table.cells)
        _repeat(fleet, table, settings, begun)
    table.seconds = time.monotonic() - begun


def _repeat(fleet: Fleet, table: Table, settings: Settings, begun: float) -> bool:
    """Asks wrong cells again until they are right or the time is over; tells whether any became right."""
    changed, wrong = False, table.having(Found.OPEN, Found.CLOSED, Found.ERROR)
    for turn, _ in enumerate(
        rounds(
            timeout=settings.settle_seconds,
            every=PAUSE_SECONDS,
            what="Connections as the policies say",
        )
    ):
        if not wrong:
            break
        if turn == 0:
            continue  # they were asked just now
        _ask(fleet, wrong, settings)
        judge.find(table.cells)
        before, wrong = len(wrong), table.having(Found.OPEN, Found.CLOSED, Found.ERROR)
        if len(wrong) < before:
            changed, table.settled_after = True, time.monotonic() - begun
    return changed


def _ask(fleet: Fleet, cells: Sequence[Cell], settings: Settings) -> None:
    # What is to be answered first: a prober that meets silence asks all that is left at once, a process each
    ordered = sorted(cells, key=lambda cell: not cell.decision.allowed)
    by_pair: dict[tuple[Source, Target], Cell] = {(cell.source, cell.target): cell for cell in ordered}
    for source, target, seen in fleet.run(list(by_pair), limit_ms=settings.limit_ms):
        by_pair[source, target].observed = _silence_of_dns(target, seen)


def _silence_of_dns(target: Target, seen: Observation) -> Observation:
    """A DNS server that does not answer is silent; one that says no has answered."""
    if target.probe == "dns" and seen.outcome is Outcome.DNS and "does not answer" in seen.detail:
        return dataclasses.replace(seen, outcome=Outcome.TIMEOUT)
    return seen
