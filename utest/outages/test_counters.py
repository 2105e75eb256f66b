from __future__ import annotations

import pytest

from NetLibrary._mechanics.outages.results.counters import (
    Identity,
    cross_check,
    delta,
    parse_files,
    parse_groups,
    parse_snmp6,
)
from NetLibrary._mechanics.outages.results.original import from_counters
from NetLibrary._mechanics.outages.types import ProbeKind, StreamResult, StreamSpec

SNMP = """\
Ip: Forwarding DefaultTTL InReceives OutTransmits
Ip: 1 64 1000 900
Icmp: InMsgs OutEchos InEchoReps OutRateLimitGlobal
Icmp: 10 {echos} {replies} 0
IcmpMsg: InType0 InType3
IcmpMsg: 20 1
IcmpMsg: OutType8   OutType3
IcmpMsg: 30   2
Tcp: RtoAlgorithm MaxConn CurrEstab OutSegs RetransSegs EstabResets
Tcp: 1 -1 5 {out} {retrans} 0
"""


def snmp(echos=100, replies=100, out=1000, retrans=0):
    return parse_groups(SNMP.format(echos=echos, replies=replies, out=out, retrans=retrans))


def test_icmpmsg_comes_in_several_pairs_and_all_are_kept():
    found = snmp()
    assert (found["IcmpMsg.InType0"], found["IcmpMsg.OutType3"]) == (20, 2)


def test_signed_values_and_several_blanks():
    assert snmp()["Tcp.MaxConn"] == -1
    assert snmp()["IcmpMsg.OutType8"] == 30


def test_unknown_groups_and_columns_are_taken_as_they_are():
    assert parse_groups("MPTcpExt: MPCapableSYNRX\nMPTcpExt: 0\n") == {"MPTcpExt.MPCapableSYNRX": 0}


def test_missing_files_are_no_error():
    assert parse_files({"snmp6": "Icmp6OutEchos \t 4\n"}) == {"Icmp6OutEchos": 4}
    assert parse_files({}) == {}


@pytest.mark.parametrize("text", ["Tcp: A B\nTcp: 1\n", "Tcp: A\nUdp: 1\n", "Tcp: A\n", "Tcp: A\nTcp: x\n"])
def test_text_of_another_form_is_refused(text):
    with pytest.raises(ValueError):
        parse_groups(text)
    with pytest.raises(ValueError):
        parse_snmp6("three words here")


def test_settings_and_momentary_values_are_not_differences():
    before, after = snmp(), dict(snmp(), **{"Tcp.CurrEstab": 2, "Ip.Forwarding": 2})
    assert delta(before, after).changes == {}


def test_a_name_that_appears_later_was_zero():
    after = dict(snmp(), **{"IcmpMsg.OutType11": 3})
    assert delta(snmp(), after).get("IcmpMsg.OutType11") == 3


def test_a_restarted_pod_gives_no_delta_but_a_reason():
    found = delta(snmp(echos=500), snmp(echos=3))
    assert found.changes == {}
    assert "Icmp.OutEchos went from 500 to 3" in (found.invalid or "")
    again = delta(snmp(), snmp(echos=900), was=Identity("uid", "c1", 0), now=Identity("uid", "c2", 1))
    assert "before and after a restart" in (again.invalid or "")
    assert "could not be read" in (delta({}, snmp()).invalid or "")


def test_retransmit_ratio_counts_retransmits_beside_out_segs():
    """OutSegs does not hold retransmits: one SYN with three retries is OutSegs 1, RetransSegs 3."""
    assert delta(snmp(out=10), snmp(out=11, retrans=3)).retransmit_ratio == pytest.approx(0.75)
    assert delta(snmp(), snmp()).retransmit_ratio == 0.0


def test_probes_that_never_left_and_foreign_traffic_are_told():
    changes = delta(snmp(echos=0), snmp(echos=5817))
    (note,) = cross_check(changes, planned_v4=6000, planned_v6=0)
    assert note.startswith("183 of 6000 IPv4 echo requests never left")
    (foreign,) = cross_check(changes, planned_v4=2000, planned_v6=0)
    assert "3817 more IPv4 echo requests" in foreign
    assert cross_check(changes, planned_v4=5815, planned_v6=0) == []


def result(kind, **counts):
    return StreamResult(StreamSpec(1, "p", kind, "10.0.0.1"), **counts)


def test_the_figures_of_the_test_server_come_from_counters_with_their_blind_spot():
    changes = delta(snmp(0, 0, 0, 0), snmp(5817, 5817, 481, 9))
    streams = [
        result(ProbeKind.ICMP, sent=6000, answered=5817, outcomes={"OK": 5817, "UNSENT": 183}),
        result(ProbeKind.TCP_NEW, sent=1200, answered=1140),
    ]
    figures = from_counters(changes, streams)
    assert figures is not None
    assert (figures.icmp_lost, figures.total_icmp_echo) == (0, 5817)  # nothing lost, says the counter; 183 never left
    assert streams[0].lost == 183
