from __future__ import annotations

from NetLibrary._mechanics.cyperf import nodes

# Shape of /proc/net/stat/nf_conntrack: a header, then one line of hexadecimal numbers for each processor.
HEADER = "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error"
TEXT = f"""1700000000.500
nf_conntrack_max 262144
nf_conntrack_count 1200
nf_conntrack_tcp_timeout_time_wait 120
{HEADER}
000004b0 0 0 0 0 0 0 0 0 0000000a 00000000 00000001 0
000004b0 0 0 0 0 0 0 0 0 00000001 000000ff 00000000 0
"""


def reading(text: str = TEXT) -> nodes.NodeReading:
    return nodes.parse("node1", text, 1700000000.0, 1700000000.2)


def test_reading() -> None:
    found = reading()
    assert (found.table_size, found.entries, found.time_wait_seconds) == (262144, 1200, 120)
    assert found.losses == {"insert_failed": 11, "drop": 255, "early_drop": 1}
    assert found.clock is not None
    assert abs(found.clock - 0.4) < 1e-6


def test_shell_without_nanoseconds() -> None:
    clock = reading(TEXT.replace("1700000000.500", "1700000000.%N")).clock
    assert clock is not None
    assert abs(clock - 0.4) < 1e-6


def test_node_without_tracking() -> None:
    found = reading("1700000000.5\n")
    assert found.table_size is None
    assert found.losses == {}
    assert nodes.exhaustion([], [found]) == []


def test_drops_during_a_run_are_exhaustion() -> None:
    more = TEXT.replace("000000ff", "00000109")
    assert nodes.exhaustion([reading()], [reading()]) == []
    text = nodes.exhaustion([reading()], [reading(more)])
    assert len(text) == 1
    assert "node 'node1' is exhausted: 1200 of 262144 entries, drop +10 during the run" in text[0]


def test_failed_inserts_alone_are_no_exhaustion() -> None:
    assert nodes.exhaustion([reading()], [reading(TEXT.replace("0000000a", "000000aa"))]) == []


def test_table_that_is_nearly_full_is_exhaustion() -> None:
    text = nodes.exhaustion([reading()], [reading(TEXT.replace("count 1200", "count 262000"))])
    assert "no drops counted" in text[0]
