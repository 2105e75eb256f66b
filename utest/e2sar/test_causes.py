"""The verdict: counted against what was sent, and each cause told from its own evidence with its own remedy."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from NetLibrary._mechanics.e2sar.causes import RULES, explain
from NetLibrary._mechanics.e2sar.endpoint import evicted_by
from NetLibrary._mechanics.e2sar.evidence import Evidence, Snapshot, Socket
from NetLibrary._mechanics.e2sar.facts import End, Facts, Judgement, Limits, ReceiverFacts, SenderFacts
from NetLibrary._mechanics.e2sar.judge import check
from NetLibrary._mechanics.e2sar.judge import judge as count
from NetLibrary._mechanics.e2sar.logs import parse
from NetLibrary._mechanics.e2sar.parameters import ReceiverSettings, SenderSettings
from NetLibrary._mechanics.held_back import Held

SENT = SenderSettings(events=500, event_bytes=512, rate_gbps=0.1, mtu=512)


def noted(before: dict[str, int] | None = None, after: dict[str, int] | None = None, **knobs: int) -> Evidence:
    evidence = Evidence()
    evidence.before = Snapshot(1.0, dict(before or dict.fromkeys(after or {}, 0)), {"rx_dropped": 0, "tx_dropped": 0})
    evidence.after = Snapshot(9.0, dict(after or {}), {"rx_dropped": knobs.pop("rx_dropped", 0), "tx_dropped": 0})
    for name, value in knobs.items():
        setattr(evidence.after, name, value)
        if name in ("cpu_periods", "cpu_throttled"):
            setattr(evidence.before, name, 0)
    return evidence


def run(
    received: int, lost: int = 0, *, read: int | None = None, reached: int | None = None, left: int | None = None, overrun: int = 0, refused: int = 0,
    errors: int = 0, last_error: str = "", mangled: int = 0, settings: SenderSettings = SENT, buffer: int = 8192, bad: int | None = None, **knobs: int,
) -> Facts:  # fmt: skip
    left = settings.frames if left is None else left
    reached = left if reached is None else reached
    read = reached - overrun - refused if read is None else read
    sender = SenderFacts("sender-0", settings, parse(f"Sending {settings.events} event buffers\nCompleted, {left} frames sent, {errors} errors\n"
                         + (f"Last error encountered: {last_error}\n" if errors else "")), noted(after={"Udp.OutDatagrams": left}))  # fmt: skip
    text = (
        f"Stats:\n\tEvents Received: {received}\n\tEvents Mangled: {mangled}\n\tEvents Lost: {lost}\n\tData Errors: 0\n"
    )
    text += (f"\tBad RE Header Discards: {bad}\n" if bad is not None else "") + "\tEvents lost so far: \n"
    text = text * 2 + "Completed\n"
    counters = {"Ip.InDelivers": reached, "Udp.InDatagrams": read, "Udp.RcvbufErrors": overrun, "Udp.NoPorts": refused}
    receiver = ReceiverFacts(
        "receiver-0", ReceiverSettings(buffer_bytes=buffer), parse(text), noted(after=counters, **knobs)
    )
    sender.node, receiver.node = "node1", "node2"
    return Facts([sender], [receiver])


def judge(facts: Facts, limits: Limits | None = None) -> Judgement:
    judgement = count(facts)
    judgement.causes = explain(facts, judgement)
    check(judgement, limits or Limits())
    return judgement


def missed(judgement: Judgement) -> list[str]:
    return [check.sentence for check in judgement.checks if not check.passed]


def kind(judgement: Judgement) -> str:
    return judgement.cause.kind if judgement.cause else ""


def test_the_published_run_delivered_17_percent() -> None:
    judgement = judge(
        run(85, 6, mangled=1, left=1000, read=180, overrun=820, cpu_periods=1257, cpu_throttled=1248, rmem_max=4194304)
    )
    assert judgement.counts == "Delivered 85 of 500 events (17 %): 6 lost in part, 409 lost silently, 1 mangled."
    assert not judgement.passed and missed(judgement)[0] == "Delivered 17 %, expected at least 100 %."
    assert kind(judgement) == "buffer and CPU throttling"
    assert (
        "8192 bytes" in judgement.sentence
        and "throttled it in 99 % of the periods" in judgement.sentence
        and "not the network" in judgement.sentence
    )
    assert judgement.cause is not None and judgement.cause.advice == {"receiver_buffer_bytes": "1048576"}


def test_everything_delivered() -> None:
    judgement = judge(run(500))
    assert judgement.passed and judgement.sentence == "Every event was delivered." and not judgement.causes


def test_9999_of_10000_is_not_100_percent() -> None:
    judgement = judge(run(9999, 1, settings=replace(SENT, events=10000)))
    assert "(99.9 %)" in judgement.counts and not judgement.passed


def test_thresholds_one_by_one() -> None:
    facts = run(490, 4, mangled=2, errors=1, last_error="Connection refused")
    loose = Limits(delivered_at_least=50, mangled_at_most=9, errors_at_most=9)
    assert judge(facts, loose).passed
    for change, words in (
        ({"delivered_at_least": 99}, "Delivered 98 %, expected at least 99 %."),
        ({"delivered_at_most": 97}, "Delivered 98 %, expected at most 97 %."),
        ({"partial_at_most": 0.1}, "4 events lost in part (0.8 %), expected at most 0.1 %."),
        ({"silent_at_most": 1}, "6 events lost silently (1.2 %), expected at most 1 %."),
        ({"mangled_at_most": 1}, "2 mangled events, expected at most 1."),
        ({"errors_at_most": 0}, "1 send errors and 0 receive errors, expected at most 0."),
        ({"expected_cause": "link cut"}, "Cause 'link cut' was expected; found: 'refused on the path', 'mangled'."),
    ):
        assert missed(judge(facts, replace(loose, **change))) == [words]


def test_buffer_without_throttling_and_with_a_kernel_limit() -> None:
    judgement = judge(run(400, overrun=200, rmem_max=212992, buffer=3145728))
    assert kind(judgement) == "receive buffer"
    assert "212992 bytes (net.core.rmem_max reduced the requested 3145728)" in judgement.sentence
    assert "lower rate to 50 Mbit/s" in judgement.sentence


def test_sustained_overload_of_a_throttled_receiver_asks_for_cpu_too() -> None:
    judgement = judge(
        run(
            4766,
            3,
            settings=replace(SENT, events=100_000),
            overrun=150_000,
            cpu_periods=100,
            cpu_throttled=99,
            buffer=32768,
        )
    )
    assert judgement.cause is not None and judgement.cause.advice == {
        "receiver_buffer_bytes": "16777216",
        "receiver_cpu_limit": "1",
    }


def test_policy() -> None:
    facts = run(0, reached=0, read=0)
    facts.blocking_policies = ["'e2sar-policy' (ingress of the receiver)"]
    judgement = judge(facts)
    assert kind(judgement) == "network policy"
    assert judgement.sentence.startswith(
        "NetworkPolicy 'e2sar-policy' (ingress of the receiver) does not allow UDP port 19522; add UDP 19522"
    )


def test_a_policy_that_a_network_keeps_by_refusing_is_the_policy_and_no_refusal_beside_it() -> None:
    """kube-router rejects; the send errors made 'refused on the path' the first cause."""
    facts = run(0, reached=0, read=0)
    facts.blocking_policies = ["'e2sar-policy' (ingress of the receiver)"]
    facts.senders[0].report.errors, facts.senders[0].report.last_error = 6, "Connection refused"
    assert kind(judge(facts)) == "network policy"


def test_a_fresh_sender_ahead_of_its_policies() -> None:
    facts = run(0, reached=0, read=0)
    facts.policies = True
    facts.senders[0].running_since, facts.senders[0].first_datagram_at = 100.0, 100.4
    judgement = judge(facts)
    assert kind(judgement) == "policy not yet in force"
    assert judgement.cause.advice == {"start_delay": "2 s"}
    facts.senders[0].first_datagram_at = 102.5
    assert kind(judge(facts)) == "link cut"


def test_a_name_that_led_elsewhere() -> None:
    facts = run(0, reached=0, read=0)
    facts.senders[0].direct, facts.receivers[0].address = True, "10.1.0.2"
    facts.senders[0].evidence.uri = "ejfat://unused@127.0.0.1:1234/lb/1?data=10.1.0.9:19522&sync=127.0.0.1:1234"
    judgement = judge(facts)
    assert kind(judgement) == "wrong address"
    assert "sent to 10.1.0.9, but the receiver has 10.1.0.2" in judgement.sentence
    facts.receivers[0].address = "10.1.0.9"
    assert kind(judge(facts)) == "link cut"


def test_link_cut_and_lossy_link() -> None:
    assert kind(judge(run(0, reached=0, read=0))) == "link cut"
    lossy = judge(run(405, 90, reached=900))
    assert (
        kind(lossy) == "lossy link" and "between node1 and node2 lost 100 of 1000 datagrams (10.0 %)" in lossy.sentence
    )


def test_interruption_in_the_middle() -> None:
    facts = run(5000, reached=10000, settings=replace(SENT, events=10000, rate_gbps=0.005))
    rates = [0, 2000, 4000, 4000, 4000, 4000, 6000, 8000]
    facts.receivers[0].evidence.samples = [Snapshot(float(i), {"Ip.InDelivers": n}) for i, n in enumerate(rates)]
    judgement = judge(facts)
    assert kind(judgement) == "link interrupted" and "nothing for about 3 s" in judgement.sentence


def test_no_listener_wrong_port_and_not_yet_bound() -> None:
    refused = run(0, reached=400, refused=400, read=0, errors=400, last_error="Connection refused")
    refused.receivers[0].evidence.samples = [Snapshot(1.0, sockets=[Socket(19522, 0, 0)])]
    assert kind(judge(refused)) == "no listener"
    wrong = run(
        0,
        reached=400,
        refused=400,
        read=0,
        errors=400,
        last_error="Connection refused",
        settings=replace(SENT, port=20000),
    )
    wrong.receivers[0].evidence.samples = [Snapshot(1.0, sockets=[Socket(19522, 0, 0)])]
    judgement = judge(wrong)
    assert (
        kind(judgement) == "wrong port"
        and judgement.cause is not None
        and judgement.cause.advice == {"send_to_port": "19522"}
    )
    early = run(300, reached=1000, refused=400, read=600, errors=4, last_error="Connection refused")
    early.senders[0].first_datagram_at, early.receivers[0].bound_at = 100.0, 101.5
    judgement = judge(early)
    assert kind(judgement) == "not yet bound" and "began 1.5 s before receiver-0 had bound" in judgement.sentence
    alone = run(0, errors=10, last_error="Connection refused")
    alone.receivers = []
    assert "start a receiver there first" in judge(alone).sentence


def test_receiver_ended_too_early_names_a_duration() -> None:
    facts = run(300, reached=1000, refused=400, read=600, errors=3, last_error="Connection refused")
    facts.receivers[0].settings = ReceiverSettings(duration_seconds=10)
    facts.receivers[0].end = End(0, "Completed", at=110.0)
    facts.senders[0].report.completed_at = 114.2
    judgement = judge(facts)
    assert (
        kind(judgement) == "receiver ended early"
        and judgement.cause is not None
        and judgement.cause.advice == {"duration": "17"}
    )


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (End(137, "OOMKilled"), "used more memory than its limit; raise its memory limit"),
        (
            End(139, "Error"),
            "segmentation fault (139) in the middle of the run; stray or reordered datagrams crash a 0.1.4 receiver",
        ),
        (End(137, "Error"), "SIGKILL (137)"),
    ],
)
def test_crashes(end: End, words: str) -> None:
    facts = run(100, reached=1000, read=300)
    facts.receivers[0].end = end
    assert words in judge(facts).sentence


def test_eviction_is_told_from_a_deleted_pod() -> None:
    facts = run(100, reached=1000, read=300)
    facts.receivers[0].trouble = "The pod of receiver 'receiver-0' was deleted while it ran"
    facts.receivers[0].evicted = "EvictionByEvictionAPI: Eviction API: evicting"
    judgement = judge(facts)
    assert kind(judgement) == "evicted"
    assert "evicted from its node node2 while it ran (EvictionByEvictionAPI" in judgement.sentence


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "},
         "Evicted: The node was low on resource: memory"),
        ({"phase": "Running", "conditions": [
            {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "Taint manager: deleting"}]},
         "DeletionByTaintManager: Taint manager: deleting"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, ""),
        ({"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "False"}]}, ""),
    ],
)  # fmt: skip
def test_who_evicted_a_pod(status: dict[str, object], words: str) -> None:
    assert evicted_by({"status": status}) == words


def test_advice_after_unlimited_sending_is_half_of_what_was_reached() -> None:
    settings = replace(SENT, rate_gbps=0.0)
    facts = run(100, overrun=800, settings=settings, buffer=4194304, rmem_max=4194304)
    facts.senders[0].report.elapsed_us = 20_480
    cause = judge(facts).cause
    assert cause is not None and cause.advice == {"rate": "50 Mbit/s"} and "lower rate to 50 Mbit/s" in cause.sentence


def test_stopped_by_us_is_no_crash() -> None:
    facts = run(500)
    facts.receivers[0].end = End(137, "Error", by_us=True)
    assert judge(facts).passed and not judge(facts).causes


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Reassembler encountered an error: Unable to open receive sockets: Address already in use",
            "choose another port or run one receiver per pod",
        ),
        (
            "Unable to create segmenter: Segmenter flags MTU override value exceeds outgoing interface MTU of eth0",
            "lower mtu to that of the pod's interface",
        ),
        (
            "Unable to parse command line: unrecognised option '--smooth'",
            "has no option --smooth; leave it out or use a newer image",
        ),
        ("/bin/sh: 1: e2sar_perf: not found", "choose an image with e2sar_perf on its PATH"),
    ],
)
def test_the_programs_own_words_come_first(said: str, words: str) -> None:
    facts = run(0, reached=0, read=0)
    facts.receivers[0].report.failures = [said]
    judgement = judge(facts)
    assert said in judgement.sentence and words in judgement.sentence


def test_scripts_words() -> None:
    facts = run(0, reached=0, read=0)
    facts.senders[0].evidence.line("@netlibrary failed - resolve 'nowhere' did not resolve to an address within 5 s")
    assert "found no receiver: 'nowhere' did not resolve to an address within 5 s" in judge(facts).sentence
    facts = run(0, reached=0, read=0)
    facts.senders[0].evidence.line("@netlibrary failed - tool 'e2sar_perf' is not in this image")
    assert "'e2sar_perf' is not in this image; choose an image" in judge(facts).sentence


def test_bandwidth_limit_names_a_rate() -> None:
    facts = run(400, reached=800)
    facts.senders[0].bandwidth = 100e6
    judgement = judge(facts)
    assert (
        kind(judgement) == "bandwidth limit"
        and judgement.cause is not None
        and judgement.cause.advice == {"rate": "76 Mbit/s"}
    )
    assert replace(SENT, rate_gbps=0.076).wire_bits_per_second < 100e6


def test_mtu() -> None:
    hole = run(0, 500, reached=500, read=500)
    judgement = judge(hole)
    assert (
        kind(judgement) == "MTU black hole" and judgement.cause is not None and judgement.cause.advice == {"mtu": "576"}
    )
    cut = run(490, reached=980, settings=replace(SENT, mtu=1500, event_bytes=1400))
    cut.senders[0].evidence.after.counters["Ip.FragCreates"] = 1000  # type: ignore[union-attr]
    cut.receivers[0].evidence.after.counters["Ip.ReasmFails"] = 10  # type: ignore[union-attr]
    cut.senders[0].evidence.before.mtu = 1450  # type: ignore[union-attr]
    assert any(each.kind == "fragmentation" and "set mtu to 1450" in each.sentence for each in judge(cut).causes)


def test_interface_drops_reordering_strays_duplicates_and_mangled() -> None:
    assert kind(judge(run(450, reached=1000, read=900, overrun=0, rx_dropped=400))) == "interface drops"
    assert kind(judge(run(0, 500, read=1000))) == "reordering"
    assert kind(judge(run(499, reached=1000, bad=3, read=1000))) == "stray datagrams"
    assert kind(judge(run(520, read=1040, reached=1040))) == "duplicates"
    assert kind(judge(run(500, mangled=3))) == "mangled"
    assert kind(judge(run(400, reached=1000, read=800))) == "unread"


def test_nothing_explains_it() -> None:
    facts = run(499)
    facts.receivers[0].end.by_us = True
    assert judge(facts).sentence.startswith("Nothing in the evidence explains the loss")


def test_every_cause_has_one_rule() -> None:
    kinds = [kind for rule in RULES for kind in rule.kinds]
    assert len(kinds) == len(set(kinds))


# --- evidence -------------------------------------------------------------------------------------------------


def test_reads_what_the_scripts_print() -> None:
    lines = """@netlibrary before 100 /proc/net/snmp Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
@netlibrary before 100 /proc/net/snmp Udp: 5 0 0 7 0
@netlibrary before 100 /proc/net/dev   eth0:    6493      55    0    1    0     0          0         0     3326      35    0    0    0     0       0          0
@netlibrary before 100 /sys/fs/cgroup/cpu.stat nr_periods 10
@netlibrary before 100 /sys/fs/cgroup/cpu.stat nr_throttled 2
@netlibrary before 100 /sys/fs/cgroup/cpu.max 20000 100000
@netlibrary before 100 /proc/sys/net/core/rmem_max 4194304
@netlibrary before 100 /sys/class/net/eth0/mtu 1450
@netlibrary command - e2sar_perf -r
@netlibrary sample 101 /proc/net/udp  2188: 0300F40A:4C42 00000000:0000 07 00000000:00000500 00:00000000 00000000     0        0 31 2 00000000e5 812
@netlibrary sample 101 end
@netlibrary exit - 139
@netlibrary after 109 /proc/net/snmp Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
@netlibrary after 109 /proc/net/snmp Udp: 105 3 812 7 812
@netlibrary after 109 /proc/net/dev   eth0:    9493     155    0    4    0     0          0         0     3326      35    0    0    0     0       0          0
@netlibrary after 109 /sys/fs/cgroup/cpu.stat nr_periods 60
@netlibrary after 109 /sys/fs/cgroup/cpu.stat nr_throttled 40
@netlibrary after 109 /proc/net/sn""".splitlines()
    evidence = Evidence().feed(lines)
    assert (evidence.grown("Udp.InDatagrams"), evidence.grown("Udp.RcvbufErrors"), evidence.grown("Udp.NoPorts")) == (
        100,
        812,
        3,
    )
    assert (evidence.held, evidence.exit_code, evidence.interface_grown("rx_dropped")) == (
        Held(38, 50, 0.2),
        139,
        3,
    )
    assert (evidence.knob("mtu"), evidence.knob("rmem_max"), evidence.drops([19522]), evidence.bound(19522)) == (
        1450,
        4194304,
        812,
        True,
    )
    assert not Evidence().line("Stats:")


def test_cgroup_v1_and_missing_files() -> None:
    evidence = Evidence().feed(["@netlibrary after 1 /sys/fs/cgroup/cpu/cpu.cfs_quota_us 10000", "@netlibrary after 1 /sys/fs/cgroup/cpu/cpu.cfs_period_us 100000",
                                "@netlibrary after 1 /sys/fs/cgroup/cpu/cpu.stat nr_periods 9", "@netlibrary after 1 /sys/fs/cgroup/cpu/cpu.stat nr_throttled 9"])  # fmt: skip
    assert (evidence.held, evidence.grown("Udp.InDatagrams"), evidence.drops([1])) == (
        Held(9, 9, 0.1),
        None,
        None,
    )
    unlimited = Evidence().feed(["@netlibrary after 1 /sys/fs/cgroup/cpu.max max 100000"])
    assert unlimited.after is not None and unlimited.after.cpus is None


# --- the advice, tried ---------------------------------------------------------------------------------------------


def _stalled_receiver(buffer: int) -> Facts:
    """A run over loopback whose receiver sleeps while the sender sends, as a throttled one does."""
    from .test_standin import free_port, perf, url, wait_bound

    port = free_port()
    listening = perf("-r", "-u", url(port), "--ip", "127.0.0.1", "--port", port, "-p", 100, "-b", buffer)
    evidence = Evidence()
    try:
        wait_bound(port)
        listening.send_signal(signal.SIGSTOP)
        text, _ = perf(
            "-s", "-u", url(port), "--ip", "127.0.0.1", "-n", 500, "-l", 512, "-m", 512, "--rate", 0.1
        ).communicate(timeout=60)
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            evidence.line(f"@netlibrary sample 1 /proc/net/udp {line}")
        evidence.line("@netlibrary sample 1 end")
        listening.send_signal(signal.SIGCONT)
        time.sleep(0.9)
        listening.send_signal(signal.SIGINT)
        heard, _ = listening.communicate(timeout=60)
    finally:
        listening.kill()
        listening.wait()
    settings = replace(SENT, port=port)
    return Facts(
        [SenderFacts("s", settings, parse(text))],
        [ReceiverFacts("r", ReceiverSettings(buffer_bytes=buffer, port=port), parse(heard), evidence)],
    )


def test_following_the_advice_mends_an_overrun() -> None:
    first = judge(_stalled_receiver(8192))
    assert first.delivered < 0.1 and kind(first) == "receive buffer"
    assert first.cause is not None
    second = judge(_stalled_receiver(int(first.cause.advice["receiver_buffer_bytes"])))
    assert second.delivered == 1.0, second.counts


def test_counters_start_with_whoever_looked_first() -> None:
    evidence = noted(before={"Udp.NoPorts": 90}, after={"Udp.NoPorts": 100})
    assert evidence.grown("Udp.NoPorts") == 10
    evidence.samples.append(Snapshot(0.5, {"Udp.NoPorts": 0}))
    assert evidence.grown("Udp.NoPorts") == 100, "the observer saw the pod before the program was there"


def test_port_that_another_container_holds() -> None:
    facts = run(0, reached=0)
    facts.receivers[0].evidence.line(
        "@netlibrary failed - port UDP port 19522 is already bound by something else in this pod"
    )
    judgement = judge(facts)
    assert kind(judgement) == "port in use"
    assert "UDP port 19522 is already bound by something else in this pod; choose another port" in judgement.sentence
