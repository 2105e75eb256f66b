"""Judgements that were wrong because the real e2sar_perf does not end when it prints `Completed`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from NetLibrary._mechanics.e2sar.causes import explain
from NetLibrary._mechanics.e2sar.facts import Facts, Judgement, Limits
from NetLibrary._mechanics.e2sar.judge import check, judge
from NetLibrary._mechanics.e2sar.parameters import SenderSettings

from .real_logs import Block, counters, facts, receiver_lines, sender_lines

# 4.1 s of sending, one datagram for each event
SENT = SenderSettings(events=1000, event_bytes=1024, rate_gbps=0.002, mtu=1400)


def judged(known: Facts, limits: Limits | None = None) -> Judgement:
    judgement = judge(known)
    judgement.causes = explain(known, judgement)
    check(judgement, limits or Limits(delivered_at_least=0, errors_at_most=10**6))
    return judgement


def kinds(judgement: Judgement) -> list[str]:
    return [each.kind for each in sorted(judgement.causes, key=lambda each: -each.weight)]


def test_completed_beside_an_error_is_not_the_end_of_sending() -> None:
    """0.3.2 prints it at its first error and goes on: a lossy link was blamed, or a duration advised that lost again."""
    known = facts(
        SENT,
        sender_lines("0.3.2", SENT, begun=2.0, completed=2.02, sent=5, errors=1, said="Connection refused"),
        receiver_lines("0.3.2", [Block(1.0, 0), Block(2.0, 0), Block(2.9, 180, 0, 180)], completed=3.0, total=240, duration=3),
        sender_end=8.1, receiver_end=5.0, duration=3, kernel=counters(InDatagrams=240, NoPorts=300),
        sender_kernel=counters(OutDatagrams=992),
    )  # fmt: skip
    judgement = judged(known)
    assert kinds(judgement)[0] == "receiver ended early"
    assert judgement.cause is not None and int(judgement.cause.advice["duration"]) >= 3 + 8.1 - 3.0
    assert "lossy link" not in kinds(judgement) and "no listener" not in kinds(judgement)


def test_a_receiver_reads_on_after_its_last_report() -> None:
    """All datagrams were read, not all were counted: "nothing explains the loss"."""
    known = facts(
        SENT,
        sender_lines("0.3.2", SENT, begun=1.5, completed=5.7),
        receiver_lines("0.3.2", [Block(4.0, 600, 0, 600), Block(5.0, 840, 0, 840)], completed=5.0, total=1000, duration=5),
        sender_end=7.7, receiver_end=7.0, duration=5, kernel=counters(InDatagrams=1000),
        sender_kernel=counters(OutDatagrams=1000),
    )  # fmt: skip
    judgement = judged(known, Limits(delivered_at_least=90))
    assert (judgement.received, judgement.received_at_most) == (840, 1000)
    assert kinds(judgement) == ["receiver ended early"]
    assert "its sockets read 1000 datagrams, its last report had counted 840" in judgement.cause.evidence[1]  # type: ignore[union-attr]
    assert judgement.errors and "cannot be judged" in judgement.errors[0]


def test_a_receiver_that_ended_before_the_first_datagram_names_a_duration() -> None:
    """The row "Receiver Ends Too Early" failed now and then: "no listener" has no duration to advise."""
    known = facts(
        SENT,
        sender_lines("0.1.4", SENT, begun=3.4, completed=7.6, errors=900, said="Connection refused"),
        receiver_lines("0.1.4", [Block(1.0, 0), Block(2.0, 0), Block(3.0, 0)], completed=3.0, duration=3),
        sender_end=9.6, receiver_end=5.1, duration=3, kernel=counters(NoPorts=500),
        sender_kernel=counters(OutDatagrams=1000),
    )  # fmt: skip
    judgement = judged(known)
    assert kinds(judgement) == ["receiver ended early"]
    assert judgement.cause is not None and int(judgement.cause.advice["duration"]) >= 3 + 7.6 - 3.0


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "No route to host",
            "no route",
            "could not send (No route to host), since its node has no route to the address",
        ),
        ("Network is unreachable", "no route", "check routes and neighbours of node1"),
        ("Permission denied", "send refused", "allow outgoing UDP to port 19522 there"),
        ("No buffer space available", "send queue", "lower rate"),
        (
            "Invalid argument",
            "send errors",
            "could not send (Invalid argument); check the kernel log and firewall of its node",
        ),
    ],
)
def test_send_errors_other_than_refused_have_a_cause(said: str, kind: str, words: str) -> None:
    known = facts(
        SENT,
        sender_lines("0.1.4", SENT, begun=2.0, completed=6.2, errors=1000, said=said),
        receiver_lines("0.1.4", [Block(9.0, 0), Block(10.0, 0)], completed=11.0),
        by_us=True, kernel=counters(), sender_kernel=counters(),
    )  # fmt: skip
    judgement = judged(known)
    assert kinds(judgement)[0] == kind and words in judgement.sentence


def test_the_policy_sentence_does_not_deny_send_errors() -> None:
    known = facts(
        SENT,
        sender_lines("0.1.4", SENT, begun=2.0, completed=6.2, errors=1000, said="Operation not permitted"),
        receiver_lines("0.1.4", [Block(9.0, 0), Block(10.0, 0)], completed=11.0),
        by_us=True, kernel=counters(), sender_kernel=counters(),
    )  # fmt: skip
    known.blocking_policies = ["'no-egress' (egress of the sender)"]
    judgement = judged(known)
    assert kinds(judgement)[0] == "network policy"
    assert judgement.cause is not None and "send errors: Operation not permitted" in judgement.cause.evidence


def test_a_refusal_on_the_way_is_not_the_receivers() -> None:
    """Its `NoPorts` stays 0, and only the judge ended it: "because the receiver had ended"."""
    known = facts(
        SENT,
        sender_lines("0.1.4", SENT, begun=2.0, completed=6.2, errors=1000, said="Connection refused"),
        receiver_lines("0.1.4", [Block(9.0, 0), Block(10.0, 0)], completed=11.0),
        by_us=True, receiver_end=12.0, kernel=counters(), sender_kernel=counters(OutDatagrams=1000),
    )  # fmt: skip
    judgement = judged(known)
    assert kinds(judgement)[0] == "refused on the path"
    assert "had ended" not in judgement.sentence and "a firewall that rejects" in judgement.sentence


def test_sockets_that_the_judge_closed_are_nobodys_fault() -> None:
    known = facts(
        SENT,
        sender_lines("0.1.4", SENT, begun=2.0, completed=6.2),
        receiver_lines("0.1.4", [Block(9.0, 900), Block(10.0, 900)], completed=11.0),
        by_us=True, receiver_end=12.0, kernel=counters(InDatagrams=900, NoPorts=3), sender_kernel=counters(OutDatagrams=1000),
    )  # fmt: skip
    assert "no listener" not in kinds(judged(known))


def test_a_port_behind_a_service_is_not_called_wrong() -> None:
    known = facts(
        replace(SENT, port=30522),
        sender_lines("0.1.4", SENT, begun=2.0, completed=6.2, errors=10, said="Connection refused"),
        receiver_lines("0.1.4", [Block(9.0, 900), Block(10.0, 900)], completed=11.0),
        by_us=True, receiver_end=12.0, kernel=counters(InDatagrams=900), sender_kernel=counters(OutDatagrams=1000),
    )  # fmt: skip
    known.senders[0].translated = True
    assert "wrong port" not in kinds(judged(known))


def test_an_interrupted_sender_is_named() -> None:
    """0.3.2 prints `Completed`, a shortfall and no errors: "nothing explains the loss"."""
    known = facts(
        SENT,
        sender_lines("0.3.2", SENT, begun=2.0, completed=3.0, sent=240),
        receiver_lines("0.3.2", [Block(9.0, 240, 0, 240), Block(10.0, 240, 0, 240)], completed=11.0, total=240),
        by_us=True, kernel=counters(InDatagrams=240),
    )  # fmt: skip
    judgement = judged(known)
    assert kinds(judgement) == ["sender interrupted"]
    assert "sent only 240 of 1000 datagrams and counted no errors" in judgement.sentence


def test_the_shortfall_of_0_1_4_is_no_interruption() -> None:
    """It counts before its queue is empty; the kernel knows better."""
    lines = sender_lines("0.1.4", SENT, begun=2.0, completed=6.2, sent=990)
    got = receiver_lines("0.1.4", [Block(9.0, 800), Block(10.0, 800)], completed=11.0)
    known = facts(
        SENT, lines, got, by_us=True, kernel=counters(InDatagrams=800), sender_kernel=counters(OutDatagrams=1000)
    )
    assert kinds(judged(known)) == ["lossy link"]
    alone = facts(SENT, lines, got, by_us=True, kernel=counters(InDatagrams=800))
    assert "sender interrupted" not in kinds(judged(alone))


@pytest.mark.parametrize(
    ("version", "length", "mtu", "words", "advice"),
    [
        ("0.3.2", 60_000, 1400, "timeout; raise the receiver's --timeout.", {}),
        ("0.1.4", 60_000, 1400, "timeout; use e2sar_perf 0.2.2 or newer and raise its --timeout.", {}),
        ("0.3.2", 2000, 1400, "set mtu to 2064, so that an event fits into one datagram", {"mtu": "2064"}),
    ],
)
def test_advice_against_reordering_fits_event_and_version(
    version: str, length: int, mtu: int, words: str, advice: dict[str, str]
) -> None:
    sent = SenderSettings(events=100, event_bytes=length, mtu=mtu)
    frames = sent.frames
    known = facts(
        sent,
        sender_lines(version, sent, begun=2.0, completed=3.0),
        receiver_lines(version, [Block(9.0, 0, 100, frames), Block(10.0, 0, 100, frames)], completed=11.0, total=frames),
        by_us=True, kernel=counters(InDatagrams=frames), sender_kernel=counters(OutDatagrams=frames),
    )  # fmt: skip
    judgement = judged(known)
    assert kinds(judgement) == ["reordering"] and words in judgement.sentence
    assert judgement.cause is not None and judgement.cause.advice == advice


def test_mangled_events_of_a_new_version_are_not_blamed_on_an_old_one() -> None:
    got = receiver_lines("0.3.2", [Block(9.0, 1000, 0, 1000), Block(10.0, 1000, 0, 1000)], completed=11.0, total=1000)
    got = [(at, text.replace("Mangled: 0", "Mangled: 2")) for at, text in got]
    known = facts(SENT, sender_lines("0.3.2", SENT, begun=2.0, completed=6.2), got, by_us=True)
    assert judged(known).sentence.endswith("keep other senders off the port.")


def test_clocks_of_two_nodes_may_differ() -> None:
    """The judge stopped the receiver after two equal reports: they are final, whatever the sender's node thinks."""
    known = facts(
        SENT,
        sender_lines("0.1.4", SENT, begun=62.0, completed=66.2),
        receiver_lines("0.1.4", [Block(9.0, 900), Block(10.0, 900)], completed=11.0),
        by_us=True, receiver_end=12.0, kernel=counters(InDatagrams=900), sender_kernel=counters(OutDatagrams=1000),
    )  # fmt: skip
    judgement = judged(known)
    assert judgement.whole and kinds(judgement) == ["lossy link"]
