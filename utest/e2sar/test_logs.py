"""The log parser against every style, and against what can happen to a log."""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from typing import Any

import pytest

from NetLibrary._mechanics.e2sar.logs import LogParser, Report, parse
from NetLibrary._mechanics.e2sar.numbers import readings, whole
from NetLibrary.standins.e2sar.perf.reassembly import Counters
from NetLibrary.standins.e2sar.perf.styles import SenderFacts, Style014, Style032

SENDER_014 = """E2SAR Version: 0.1.4
Control plane                OFF
Event rate reporting in Sync ON
Using usecs as event numbers ON
*** Make sure the URI reflects proper data address, other parts are ignored.
Sending bit rate is 0.1 Gbps
Event size is 512 bytes or 4096 bits
Event rate is 24414.1 Hz
Inter-event sleep time is 40 microseconds
Sending 500 event buffers
Using MTU 512
WARNING: Fewer frames than expected have been sent (978 of 1000), sender is not keeping up with the requested send rate.
Completed, 978 frames sent, 0 errors
Stopping threads
"""

SENDER_020 = """E2SAR Version:                 0.2.0
Control plane:                 OFF
Sending average bit rate is:   20 Gbps
Event size is 2,000,000 bytes or 16,000,000 bits
Event rate is 1,250 Hz
Inter-event sleep time is 800 microseconds
Sending 10,000 event buffers
Using interface eth0
Using MTU 9,000
Completed, 2,240,000 frames sent, 12 errors
Last E2SARError code: E2SARError:10
Stopping threads
"""

SENDER_032 = """E2SAR Version:                 0.3.2
E2SAR Available Optimizations: none,sendmmsg,liburing_send,liburing_recv
E2SAR Selected Optimizations:  none
Using LB Header Version:       \x02
Sending average bit rate is:   unlimited
*** Make sure the URI reflects proper data address, other parts are ignored.
Event size is 1048576 bytes or 8388608 bits
Sending 1e+06 event buffers
Using interface unknown
Using MTU 1450
WARNING: Fewer packets than expected have been sent (5 of 10).
Completed, 1.5e+06 packets sent, 3 errors
Last error encountered: Connection refused
Elapsed usecs: 654321 microseconds
Estimated effective throughput (Gbps): 1.95312e-05
Estimated goodput (Gbps): 0.0766
Stopping threads
"""


def block(received: int, lost: int = 0, listed: str = "") -> str:
    return f"Stats:\n\tEvents Received: {received}\n\tEvents Mangled: 0\n\tEvents Lost: {lost}\n\tData Errors: 0\n\tgRPC Errors: 0\n\tEvents lost so far: {listed}\n"


RECEIVER_014 = (
    "E2SAR Version: 0.1.4\nControl plane will be OFF\nUsing Unassigned Threads\nWill run for 300 sec\n"
    "Receiving on ports 19522:19525\n"
    + block(0)
    + block(80, 5, "<0:4321> <52:4321> <41:4321> <54:4321> <100:4321> ")
    + block(85, 6, "<0:4321> <52:4321> <41:4321> <54:4321> <100:4321> <497:4321> ")
    + "Completed\nStopping threads\nDeregistering worker\n"
)

RECEIVER_032 = """E2SAR Version:                 0.3.2
Control plane:                 OFF
Event reassembly timeout (ms): 500
Will run for:                  until Ctrl-C
Using IP address:              10.244.1.7
Receiving on ports:            19522:19522
Getting hostname ... done
Registering the worker pod ... done
1: [10:00:01.000000] {info} Stats:
	Total Bytes: 5840
	Total Packets: 20
	Bad RE Header Discards: 1
	Events Received: 10
	Events Mangled: 0
	Events Lost in reassembly: 1
	Events Lost in enqueue: 2
	Data Errors: 1
	Last Data Error: Connection reset by peer
	gRPC Errors: 0
	Last E2SARError code: E2SARError:10
	Events lost so far (<Evt ID:Data ID/num frags rcvd>): <7:4321/1>
Completed
Stopping threads
Deregistering worker
Port Stats:
	Port: 19522 Received: 20
Total: 20
"""


def test_reads_a_sender_of_0_1_4() -> None:
    report = parse(SENDER_014)
    assert (report.role, report.rate_gbps, report.event_bytes, report.event_hz, report.sleep_us) == (
        "sender",
        0.1,
        512,
        24414.1,
        40,
    )
    assert (report.events, report.mtu, report.frames_sent, report.frames_expected, report.errors) == (
        500,
        512,
        978,
        1000,
        0,
    )
    assert report.completed and report.stopping and not report.failures and not report.truncated


def test_reads_a_sender_of_0_2_0_with_thousands_separators() -> None:
    report = parse(SENDER_020)
    assert (report.event_bytes, report.event_hz, report.events, report.mtu, report.frames_sent) == (
        2_000_000,
        1250.0,
        10_000,
        9000,
        2_240_000,
    )
    assert (report.errors, report.last_error, report.interface) == (12, "E2SARError:10", "eth0")


def test_reads_a_sender_of_0_3_2_with_scientific_numbers() -> None:
    report = parse(SENDER_032.encode())
    assert (report.rate_gbps, report.events, report.frames_sent, report.errors) == (0.0, 1_000_000, 1_500_000, 3)
    assert (report.last_error, report.elapsed_us, report.throughput_gbps, report.goodput_gbps) == (
        "Connection refused",
        654321,
        1.95312e-05,
        0.0766,
    )


def test_reads_a_receiver_of_0_1_4() -> None:
    report = parse(RECEIVER_014)
    final = report.final
    assert final is not None
    assert (final.received, final.lost, final.mangled, len(final.lost_events)) == (85, 6, 0, 6)
    assert [event.number for event in final.lost_events] == [0, 52, 41, 54, 100, 497]
    assert (report.role, report.duration_s, report.ports, len(report.blocks)) == ("receiver", 300, (19522, 19525), 3)
    assert report.completed and report.looks_bound


def test_reads_a_receiver_of_0_3_2() -> None:
    report = parse(RECEIVER_032)
    final = report.final
    assert final is not None
    assert (final.bytes, final.packets, final.bad_headers, final.received, final.lost, final.data_errors) == (
        5840,
        20,
        1,
        10,
        3,
        1,
    )
    assert (final.last_data_error, final.last_error, final.lost_events[0].fragments) == (
        "Connection reset by peer",
        "E2SARError:10",
        1,
    )
    assert (report.total_frames, report.port_stats, report.duration_s, report.address) == (
        20,
        {19522: 20},
        0,
        "10.244.1.7",
    )


def test_ports_line_running_into_the_first_block() -> None:
    glued = RECEIVER_014.replace("19522:19525\nStats:", "19522:19525Stats:\n", 1)
    report = parse(glued)
    assert report.ports == (19522, 19525)
    assert len(report.blocks) == 3


def test_stdout_between_the_lines_of_a_block() -> None:
    mixed = RECEIVER_032.replace(
        "\tEvents Mangled: 0\n", "*** Make sure the URI\n\tEvents Mangled: 0\nRegistering the worker x ... done\n"
    )
    assert parse(mixed).final == parse(RECEIVER_032).final


def test_truncated_block_counts_as_absent() -> None:
    cut = RECEIVER_014[: RECEIVER_014.rindex("\tEvents Lost: 6") + 14]
    report = parse(cut)
    assert report.final is not None and report.final.received == 80
    assert report.broken_blocks == 1 and report.truncated and not report.completed


def test_number_cut_at_the_end_is_not_believed() -> None:
    report = parse("E2SAR Version: 0.1.4\nSending 5000 event buffers\nUsing MTU 15")
    assert report.mtu is None and report.events == 5000 and report.truncated


def test_lost_list_cut_in_the_middle_is_not_believed() -> None:
    assert parse(RECEIVER_014[: RECEIVER_014.rindex("<497")]).final.received == 80  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "line",
    [
        "Reassembler encountered an error: Unable to open receive sockets: Address already in use",
        "Unable to create segmenter: Data address not present in the URI",
        "Unable to create segmenter: Segmenter flags MTU override value exceeds outgoing interface MTU of eth0",
        "Segmenter encountered an error: MTU is too short to send needed payload",
        "Error in parsing URI from command-line, error Unknown parameter sess",
        "Error processing command-line options: Conflicting options 'send' and 'recv'.",
        "Unable to parse command line: unrecognised option '--foo'",
        "terminate called after throwing an instance of 'std::runtime_error'",
        "Segmentation fault (core dumped)",
        "bash: line 1: e2sar_perf: command not found",
        "/bin/sh: 1: e2sar_perf: not found",
        "One of --ip or --autoip must be specified.",
    ],
)
def test_recognises_words_of_failure(line: str) -> None:
    assert parse(f"E2SAR Version: 0.1.4\n{line}\n").failures == [line]


def test_second_banner_starts_over() -> None:
    parser = LogParser()
    parser.feed(SENDER_014 + SENDER_032)
    assert parser.report.frames_sent == 1_500_000
    assert [report.frames_sent for report in parser.earlier] == [978]


def test_prefixes_of_other_tools_do_not_matter() -> None:
    for prefix in ("2025-03-14T10:00:00.123456Z ", "[pod/e2sar-receiver-x/receiver] ", "e2sar-receiver  | "):
        report = parse("".join(prefix + line + "\n" for line in RECEIVER_014.splitlines()))
        assert report.final is not None and report.final.received == 85 and report.completed


def test_reading_goes_on_while_the_log_grows() -> None:
    parser, seen = LogParser(), []
    for index in range(0, len(RECEIVER_014), 7):
        parser.feed(RECEIVER_014[index : index + 7], at=float(index))
        seen.append(parser.report.final.received if parser.report.final else None)
    assert sorted({value for value in seen if value is not None}) == [0, 80, 85]
    assert seen.index(80) < len(seen) - 10


def test_numbers() -> None:
    counts = ("4,096", "1.95312e+06", "512", "1\u202f000", "1 500", "4'321", "1.572.864", "15,72,864")
    assert [whole(text) for text in counts] == [4096, 1953120, 512, 1000, 1500, 4321, 1572864, 1572864]
    values = ("24,414.1", "24.414,1", "0,2", "1,0312", "6.250", "1.95312e-05", "24 414,1", "976.562", "12")
    assert [readings(text) for text in values] == [
        (24414.1,), (24414.1,), (0.2,), (1.0312,), (6250.0,), (1.95312e-05,), (24414.1,), (976.562, 976562.0), (12.0,)
    ]  # fmt: skip


def _random_log(draw: random.Random) -> str:
    style = draw.choice([Style014, Style032])()
    lines = style.banner()
    if draw.random() < 0.4:
        facts = SenderFacts(
            draw.choice([0.1, 20, 0.013, 1e7]),
            draw.randint(42, 10**7),
            draw.randint(1, 10**7),
            draw.randint(106, 9000),
            1e5,
            40,
            4,
            "eth0",
        )
        sent = draw.randint(0, 10**9)
        lines += style.sender_head(facts) + style.sender_tail(
            sent, sent + draw.choice([0, 7]), draw.choice([0, 5]), "Connection refused", 10**6, facts
        )
    else:
        lines += style.receiver_head(draw.choice([0, 300]), "10.0.0.1", (19522, 19522), False, 500)
        counters = Counters()
        for _ in range(draw.randint(0, 6)):
            counters.received += draw.randint(0, 10**6)
            for _ in range(draw.randint(0, 4)):
                counters.lose((draw.randint(0, 10**9), 4321), 1)
            lines += style.stats(counters)
        lines += style.receiver_tail({19522: 7}, 1)
    return "\n".join(lines) + "\n"


def _facts(report: Report) -> dict[str, Any]:
    return {
        key: value
        for key, value in asdict(report).items()
        if key not in ("lines", "truncated", "broken_blocks", "role")
    }


def test_fuzz_any_way_of_cutting_gives_the_same_report() -> None:
    draw = random.Random(6)
    for _ in range(150):
        text, parser = _random_log(draw), LogParser()
        whole, rest = parse(text), text
        while rest:
            size = draw.randint(1, 60)
            parser.feed(rest[:size])
            rest = rest[size:]
        assert asdict(parser.finish()) == asdict(whole)


def test_fuzz_a_cut_log_never_says_anything_else_than_the_whole_one() -> None:
    draw = random.Random(7)
    for _ in range(300):
        text = _random_log(draw)
        whole = _facts(parse(text))
        cut = _facts(parse(text[: draw.randint(0, len(text))]))
        blocks, all_blocks = cut.pop("blocks"), whole["blocks"]
        lost = [each.pop("lost_events") for each in blocks]
        known = [event for each in all_blocks for event in each["lost_events"]]
        assert blocks == [{k: v for k, v in each.items() if k != "lost_events"} for each in all_blocks[: len(blocks)]]
        assert not lost or lost[-1] == known[: len(lost[-1])]
        for name, value in cut.items():
            assert value in (None, "", [], {}, False) or value == whole[name] or name in ("failures", "port_stats"), (
                name,
                value,
                whole[name],
            )


def test_fuzz_noise_does_not_break_the_parser() -> None:
    draw = random.Random(8)
    for _ in range(300):
        data = bytearray(_random_log(draw).encode())
        for _ in range(draw.randint(1, 40)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        parse(bytes(data))
        lines = data.decode("utf-8", "replace").splitlines()
        draw.shuffle(lines)
        parse("\n".join(lines))
    parse(bytes(draw.randrange(256) for _ in range(5000)))


def test_thousands_of_lost_events_in_hundreds_of_reports_take_no_time() -> None:
    listed, text = "", ["E2SAR Version: 0.1.4\n"]
    for received in range(300):
        listed += "".join(f"<{received * 20 + n}:4321> " for n in range(20))
        text.append(block(received, (received + 1) * 20, listed))
    start = time.process_time()
    report = parse("".join(text) + "Completed\n" + "x" * 200_000 + "\n")
    assert time.process_time() - start < 2
    assert report.final is not None
    assert (len(report.blocks), report.final.lost, len(report.final.lost_events)) == (300, 6000, 6000)


def test_words_behind_the_list_are_read() -> None:
    assert parse(block(1, 1, "<0:4321> Completed")).completed
