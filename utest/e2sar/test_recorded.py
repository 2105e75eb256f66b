"""What logs of the real e2sar_perf were judged to be, against what a sniffer saw on the wire beside them.

Each case has the figures of one recorded run (0.1.4 or 0.3.2); the lines are made from them anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from NetLibrary._mechanics.e2sar.causes import explain
from NetLibrary._mechanics.e2sar.facts import Judgement, Limits
from NetLibrary._mechanics.e2sar.judge import check, judge
from NetLibrary._mechanics.e2sar.parameters import SenderSettings

from .real_logs import Block, counters, facts, receiver_lines, sender_lines

LARGE = SenderSettings(events=1000, event_bytes=4000, rate_gbps=0.05, mtu=1400)
SMALL = SenderSettings(events=300, event_bytes=1024, rate_gbps=0.01, mtu=1400)


@dataclass
class Recorded:
    """One recorded run and the truth: events that arrived whole, in part, and not at all (`silent`), and why."""

    version: str
    settings: SenderSettings
    blocks: list[Block]
    kernel: dict[str, int]
    full: int
    partial: int
    cause: str = ""
    sent: int | None = None
    errors: int = 0
    said: str = ""
    total: int | None = None
    killed: bool = False
    full_at_most: int | None = None
    port: int = 19522
    threads: int = 1
    deq: int = 1


def rest(received: int, lost: int = 0, packets: int = 0) -> list[Block]:
    return [
        Block(3.0, received // 2, 0, packets // 2),
        Block(4.0, received, lost, packets),
        Block(5.0, received, lost, packets),
    ]


CASES = {
    "0.1.4 clean": Recorded("0.1.4", LARGE, rest(1000), {"InDatagrams": 3000}, 1000, 0),
    "0.3.2 clean": Recorded("0.3.2", LARGE, rest(1000, 0, 3000), {"InDatagrams": 3000}, 1000, 0, total=3000),
    "0.3.2 four threads, two dequeue threads": Recorded(
        "0.3.2", LARGE, rest(1000, 0, 3000), {"InDatagrams": 3000}, 1000, 0, total=3000, threads=4, deq=2
    ),
    "0.1.4 20 % loss, three datagrams": Recorded("0.1.4", LARGE, rest(490, 506), {"InDatagrams": 2384}, 490, 506, "lossy link"),
    "0.3.2 20 % loss, one datagram": Recorded(
        "0.3.2", SenderSettings(events=1000, event_bytes=1024, rate_gbps=0.02, mtu=1400), rest(788, 0, 788),
        {"InDatagrams": 788}, 788, 0, "lossy link", total=788,
    ),
    "0.1.4 overrun": Recorded(
        "0.1.4", SenderSettings(events=3000, event_bytes=512, rate_gbps=0.1, mtu=512), rest(1764, 96),
        {"InDatagrams": 3624, "InErrors": 2376, "RcvbufErrors": 2376}, 1764, 96, "receive buffer", sent=5991,
    ),
    "0.1.4 not permitted to send": Recorded(
        "0.1.4", SMALL, rest(0), {}, 0, 0, "send refused", errors=300, said="Operation not permitted"
    ),
    "0.3.2 not permitted to send": Recorded(
        "0.3.2", SMALL, rest(0), {}, 0, 0, "send refused", sent=5, errors=5, said="Operation not permitted", total=0
    ),
    "0.3.2 port closed": Recorded(
        "0.3.2", SMALL, rest(0), {"NoPorts": 295}, 0, 0, "wrong port", sent=6, errors=2, said="Connection refused", total=0,
        port=21000,
    ),
    "0.3.2 interrupted in the middle": Recorded(
        "0.3.2", SenderSettings(events=4000, event_bytes=4000, rate_gbps=0.02, mtu=1400),
        [Block(4.0, 257, 0, 771), Block(5.0, 537, 0, 1611), Block(6.0, 784, 0, 2352)],
        {"InDatagrams": 3249, "NoPorts": 8686}, 784, 0, "no listener", sent=5846, errors=10, said="Connection refused",
        total=3249, full_at_most=1083,
    ),
    "0.1.4 ended by SIGTERM in the middle": Recorded(
        "0.1.4", SenderSettings(events=4000, event_bytes=4000, rate_gbps=0.02, mtu=1400),
        [Block(4.0, 765), Block(5.0, 926), Block(6.0, 1147)], {"InDatagrams": 3681, "NoPorts": 8254}, 1147, 0, "crash",
        sent=11987, errors=13, said="Connection refused", killed=True, full_at_most=1227,
    ),
}  # fmt: skip


def judged(case: Recorded, limits: Limits | None = None, *, kernel: bool = True) -> Judgement:
    got = receiver_lines(
        case.version,
        case.blocks,
        completed=None if case.killed else 7.0,
        total=case.total,
        threads=case.threads,
        deq=case.deq,
    )
    sent = sender_lines(
        case.version, case.settings, begun=2.0, completed=3.0, sent=case.sent, errors=case.errors, said=case.said
    )
    known = facts(
        case.settings, sent, got, times=False, kernel=counters(**case.kernel) if kernel else None,
        receiver_code=143 if case.killed else 0, port=case.port,
    )  # fmt: skip
    judgement = judge(known)
    judgement.causes = explain(known, judgement)
    check(judgement, limits or Limits())
    return judgement


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "logs alone"])
@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_of_the_wire(name: str, kernel: bool) -> None:
    case = CASES[name]
    judgement = judged(case, kernel=kernel)
    assert (judgement.received, judgement.partial) == (case.full, case.partial)
    if case.full_at_most is None:
        assert judgement.whole and judgement.silent == case.settings.events - case.full - case.partial
    elif kernel or case.total is not None:
        assert judgement.received_at_most == case.full_at_most
    else:
        assert judgement.received_at_most == case.settings.events, "without any counter nothing bounds it"


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_named(name: str) -> None:
    judgement, case = judged(CASES[name]), CASES[name]
    assert (judgement.cause.kind if judgement.cause else "") == case.cause, judgement.sentence
    assert "Nothing in the evidence" not in judgement.sentence


def test_send_errors_are_named_in_their_own_words() -> None:
    for name in ("0.1.4 not permitted to send", "0.3.2 not permitted to send"):
        assert "could not send (Operation not permitted), since a firewall rule" in judged(CASES[name]).sentence


def test_a_quiet_receiver_is_no_receiver_that_got_nothing() -> None:
    quiet = Recorded("0.3.2", LARGE, [], {"InDatagrams": 3000}, 0, 0, total=3000)
    judgement = judged(quiet)
    assert (judgement.received, judgement.received_at_most) == (0, 1000)
    assert "its sockets read 3000 of 3000 datagrams, enough for 1000 events" in judgement.errors[0]
    assert "leave --quiet out" in judgement.errors[0]
    # Where an event is one datagram, the datagrams are the events
    single = SenderSettings(events=1000, event_bytes=1024, mtu=1400)
    assert judged(Recorded("0.3.2", single, [], {"InDatagrams": 788}, 0, 0, total=788)).received == 788
    assert judged(Recorded("0.3.2", LARGE, [], {}, 0, 0, total=0)).whole


def test_an_old_report_decides_no_check_that_it_leaves_open() -> None:
    case = CASES["0.3.2 interrupted in the middle"]  # 784 to 1083 of 4000: 19.6 to 27 %
    assert judged(case, Limits(delivered_at_least=19, errors_at_most=99)).errors == []
    assert judged(case, Limits(delivered_at_least=28)).errors == [], "less than 28 % is certain"
    assert "'delivered at least 25 %' cannot be judged" in judged(case, Limits(delivered_at_least=25)).errors[0]
    open_most = judged(case, Limits(delivered_at_least=0, delivered_at_most=25))
    assert "'delivered at most 25 %' cannot be judged" in open_most.errors[0] and not open_most.passed
