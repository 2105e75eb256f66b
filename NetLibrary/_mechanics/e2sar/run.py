"""A run from start to judgement: receivers bound, events sent, counters at rest, everything stopped, judged, explained.

Usable from plain Python:

    testbed = Testbed(cluster, "e2sar-demo", Files(Path("manifests/e2sar")), Path("logs"))
    testbed.prepare()
    finding = Run(testbed, RunSettings()).go()
    print(finding.judgement.counts, finding.judgement.sentence)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.e2sar import nodes, objects
from NetLibrary._mechanics.e2sar import parameters as p
from NetLibrary._mechanics.e2sar.causes import explain
from NetLibrary._mechanics.e2sar.endpoint import Endpoint
from NetLibrary._mechanics.e2sar.facts import Judgement, Limits
from NetLibrary._mechanics.e2sar.judge import check, judge
from NetLibrary._mechanics.e2sar.testbed import POLICY_DELAY, Testbed
from NetLibrary._mechanics.kube.quantities import quantity
from NetLibrary._mechanics.verdict import Check
from NetLibrary.types import E2SARPath, E2SARPlacement, E2SARRisk

SETTLE_SECONDS = 12.0
MOST_ENDPOINTS = 16
FIRST_DATA_ID = 4321


@dataclass(frozen=True)
class RunSettings:
    """Everything that a run is made of.

    Args:
        sender: What each sender sends; its data id is that of the first, the others count on from it.
        receiver: How each receiver listens.
        sender_pod: How the senders' pods run.
        receiver_pod: How the receivers' pods run.
        senders: How many; they take the receivers in turn.
        receivers: How many.
        path: How a receiver is addressed.
        placement: Where senders run, seen from their receiver.
        send_to_port: Port to send to when it shall be another one.
        start_delay: Seconds between the start of a sender's pod and its first datagram; see `Testbed.start_sender`.
        accept: What looks like a mistake and is meant.
        limits: What the run must reach.
        timeout: Seconds of each wait; sending time is added.
        keep: Whether Jobs and pods stay.
    """

    sender: p.SenderSettings = field(default_factory=p.SenderSettings)
    receiver: p.ReceiverSettings = field(default_factory=p.ReceiverSettings)
    sender_pod: p.PodSettings = field(default_factory=p.PodSettings)
    receiver_pod: p.PodSettings = field(default_factory=p.PodSettings)
    senders: int = 1
    receivers: int = 1
    path: E2SARPath = E2SARPath.POD_IP
    placement: E2SARPlacement = E2SARPlacement.OTHER_NODE
    send_to_port: int | None = None
    start_delay: int | None = None
    accept: frozenset[E2SARRisk] = frozenset()
    limits: Limits = field(default_factory=Limits)
    timeout: float = 120.0
    keep: bool = False

    def checked(self, testbed: Testbed) -> RunSettings:
        """Returns these settings if they can work in a place.

        Raises:
            errors.InputError: Names the argument and what is allowed.
        """
        for name, value in (("senders", self.senders), ("receivers", self.receivers)):
            if not 1 <= value <= MOST_ENDPOINTS:
                raise errors.InputError(f"{name} is {value}; allowed: 1 to {MOST_ENDPOINTS}.")
        limits = [self.sender_pod.egress_bandwidth, self.receiver_pod.ingress_bandwidth]
        p.check_run(self.sender, self.receiver, surroundings(testbed, limits), self.accept)
        return self


@dataclass
class Finding:
    """What a run found, and who took part. `steps` are seconds by name."""

    judgement: Judgement
    senders: list[Endpoint]
    receivers: list[Endpoint]
    limits: Limits
    steps: dict[str, float] = field(default_factory=dict)


class Run:
    """One run.

    Args:
        testbed: Where it takes place; what still runs there is removed first.
        settings: What it is made of.
    """

    def __init__(self, testbed: Testbed, settings: RunSettings) -> None:
        self.testbed, self.settings = testbed, settings
        self._steps: dict[str, float] = {}

    def go(self) -> Finding:
        """Runs and judges.

        A wait that breaks does not end the run: what was seen until then still deserves its judgement, which knows more
        about the reason than the wait does.

        Raises:
            errors.InputError: The settings cannot work.
            errors.Unavailable: The cluster lacks what they need, for instance a second node.
        """
        settings = self.settings.checked(self.testbed)
        self.testbed.clear()
        if settings.placement is E2SARPlacement.OTHER_NODE and not settings.sender_pod.node:
            nodes.require_nodes(self.testbed.cluster, 2)
        broken = ""
        try:
            self._send(settings)
        except (errors.WaitFailed, errors.WaitTimeout) as error:
            broken = str(error)
            self.testbed.say(f"The run did not complete: {error}")
        finding = finish(self.testbed, settings.limits, broken=broken, keep=settings.keep)
        finding.steps = self._steps
        return finding

    def _send(self, settings: RunSettings) -> None:
        testbed, begun = self.testbed, time.monotonic()
        receivers = [
            testbed.start_receiver(f"e2sar-receiver-{index}", settings.receiver, settings.receiver_pod)
            for index in range(settings.receivers)
        ]
        for receiver in receivers:
            testbed.wait_bound(receiver, timeout=settings.timeout, ready=settings.path is not E2SARPath.POD_IP)
        bound = time.monotonic()
        self._steps["e2sar until bound"] = round(bound - begun, 2)
        port = settings.send_to_port or settings.receiver.port
        senders = [
            testbed.start_sender(
                f"e2sar-sender-{index}", replace(settings.sender, data_id=settings.sender.data_id + index, port=port),
                settings.sender_pod, receivers[index % len(receivers)], path=settings.path,
                placement=settings.placement, start_delay=settings.start_delay,
            )
            for index in range(settings.senders)
        ]  # fmt: skip
        for sender in senders:
            testbed.wait_end(sender, timeout=settings.timeout + 3 * settings.sender.send_seconds)
        self._steps["e2sar sending"] = round(time.monotonic() - bound, 2)


def finish(testbed: Testbed, limits: Limits, *, broken: str = "", keep: bool = False) -> Finding:
    """Ends what still runs in a testbed, counts what was delivered, explains the loss, and judges.

    Args:
        testbed: Where it runs.
        limits: What it must reach.
        broken: Why the run did not come to its end.
        keep: Whether Jobs and pods stay.

    Raises:
        errors.InputError: Nothing ran.
    """
    senders = [each for each in testbed.endpoints.values() if each.role == "sender"]
    receivers = [each for each in testbed.endpoints.values() if each.role == "receiver"]
    if not senders and not receivers:
        raise errors.InputError(f"Nothing to judge has run in namespace '{testbed.namespace}'; start a sender first.")
    _look_at_policies(testbed, senders, receivers)
    testbed.settle(receivers, sum(each.settings.events for each in senders), timeout=SETTLE_SECONDS)
    for each in (*senders, *receivers):
        testbed.stop(each)
    facts = testbed.facts(senders, receivers)
    judgement = judge(facts)
    judgement.causes = explain(facts, judgement)
    if broken:
        _judge_broken(judgement, limits, broken, ran=any(each.running_since or each.outside for each in senders))
    check(judgement, limits)
    if facts.blocking_policies and not judgement.received and (judgement.frames.left or 0) > 0:
        testbed.enforces_policies = True
    if not keep:
        testbed.remove([*senders, *receivers])
    return Finding(judgement, senders, receivers, limits)


def require_policies(testbed: Testbed, settings: RunSettings) -> None:
    """Makes sure that NetworkPolicies have an effect, by a short run with all traffic to the receiver denied.

    It is tried once for each testbed. Policies of others in the namespace may let traffic through whatever ours deny;
    where there are some, nothing can be told and nothing is.

    Raises:
        errors.Unavailable: The events arrived all the same.
    """
    others = [each for each in testbed.policies() if each["metadata"]["name"] != objects.POLICY_NAME]
    if testbed.enforces_policies is None and not others:
        testbed.apply_policy(objects.DENY_ALL)
        few = replace(settings.sender, events=20, event_bytes=1024, rate_gbps=0.001)
        try:
            limits = Limits(delivered_at_least=0, errors_at_most=10**6)
            short = replace(settings, sender=few, limits=limits, start_delay=POLICY_DELAY)
            # Whoever enforces policies may not have noticed yet that the API server is back
            absences = testbed.cluster.connection.absences
            tried = absences.retried(lambda: Run(testbed, short).go(), lambda found: found.judgement.received)
        finally:
            testbed.apply_policy("none")
        arrived = tried.judgement.received
        if tried.judgement.whole and not any("Nothing was sent" in text for text in tried.judgement.errors):
            testbed.enforces_policies = arrived == 0
            testbed.policies_tried = f"{arrived} of {few.events} events arrived"
    if testbed.enforces_policies is False:
        raise errors.Unavailable(
            "NetworkPolicies are not enforced in this cluster: with all traffic to the receiver denied, "
            f"{testbed.policies_tried}. Its network plugin does not implement them."
        )


def _judge_broken(judgement: Judgement, limits: Limits, broken: str, *, ran: bool) -> None:
    """A run that broke off is what was wanted only where its cause was expected and nothing had to arrive."""
    kinds = [each.kind for each in judgement.causes]
    wanted = bool(limits.expected_cause) and limits.expected_cause in kinds and not limits.delivered_at_least
    judgement.checks.append(Check("completed", "yes", "no", "", wanted, broken))
    if not ran and not wanted:
        judgement.errors.append(f"Nothing was sent: {broken}")


def _look_at_policies(testbed: Testbed, senders: Sequence[Endpoint], receivers: Sequence[Endpoint]) -> None:
    for sender in senders:
        aimed = [each for each in receivers if sender.target.startswith((f"{each.address}:", f"{each.job}."))]
        for receiver in aimed or receivers:
            try:
                sender.blocking += testbed.blocked_by(sender, receiver)
            except errors.NetLibraryError as error:
                testbed.say(f"NetworkPolicies could not be read: {error}")


def surroundings(testbed: Testbed, bandwidths: Sequence[str]) -> p.Surroundings:
    """What is known of a place, with the narrowest of some bandwidth annotations."""
    base = testbed.inspection.around if testbed.inspection else p.Surroundings()
    known = [quantity(text, "bandwidth") for text in bandwidths if text]
    return replace(base, bandwidth_bits_per_second=min(known, default=None))
