"""One reader for what iperf3 has printed since 3.1."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from NetLibrary._mechanics.throughput import Interval, Iperf3Problem, Sent, read

from .documents import Document, interval, part, printed, server_text, start, streamed, tcp, udp

VERSIONS = ("3.1.3", "3.7", "3.9", "3.10.1", "3.12", "3.14", "3.16", "3.21")


@pytest.mark.parametrize("version", VERSIONS)
def test_tcp_is_what_the_receiver_got(version: str) -> None:
    result = read(printed(tcp(version)))
    assert result.bits_per_second == 9_600_000
    assert result.sent_bits_per_second == 10_000_000
    assert (result.bytes, result.duration_seconds, result.retransmits, result.rtt_ms) == (2_400_000, 2.0, 3, 1.5)
    assert (result.packets, result.lost_packets, result.lost_percent, result.jitter_ms) == (None,) * 4
    assert (result.version, result.protocol, result.streams, result.reverse) == (f"iperf {version}", "tcp", 1, False)
    assert result.remote == "10.0.0.9:5201"
    assert result.intervals == (Interval(0, 1, 10_000_000, 3), Interval(1, 2, 10_000_000, 0))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("reverse", [0, 1])
def test_udp_is_what_the_receiver_got_in_both_directions(version: str, reverse: int) -> None:
    result = read(printed(udp(version, reverse=reverse)))
    assert result.bits_per_second == pytest.approx(9_500_000)  # 5 % of 10 Mbit/s never came
    assert result.bytes == 2_375_000
    assert result.sent_bits_per_second == pytest.approx(10_000_000)
    assert (result.packets, result.lost_packets, result.lost_percent, result.jitter_ms) == (2500, 125, 5.0, 0.25)
    assert (result.retransmits, result.rtt_ms, result.reverse) == (None, None, bool(reverse))
    seen = bool(reverse) or version in ("3.1.3", "3.7", "3.9", "3.10.1")
    assert result.intervals[0].lost_packets == (62 if seen else None)
    assert (result.received_packets, result.lost_percent_at_most, result.contradictions) == (2375, 5.0, ())
    assert result.target_bits_per_second == 10_000_000


def test_streams_are_added_up() -> None:
    result = read(printed(tcp("3.16", streams=4)))
    assert (result.streams, result.bits_per_second, result.retransmits, result.rtt_ms) == (4, 9_600_000, 12, 1.5)


def test_bidirectional_run_with_equal_keys_reads_client_to_server() -> None:
    """3.7 to 3.10 write both directions under one key, client to server first."""
    first = json.dumps(part(0, 2, 2_400_000))
    both = printed(tcp("3.7", received=800_000)).replace('"sum_received":', f'"sum_received": {first}, "sum_received":')
    assert json.loads(both)["end"]["sum_received"]["bytes"] == 800_000  # what an ordinary parser sees
    assert read(both).bytes == 2_400_000


def test_bidirectional_run_of_later_versions_reads_client_to_server() -> None:
    document = tcp("3.16")
    document["end"]["sum_received_bidir_reverse"] = part(0, 2, 800_000)
    assert read(printed(document)).bytes == 2_400_000


def test_omitted_start_and_last_sliver_are_no_intervals() -> None:
    document = tcp("3.12")
    document["intervals"] = [
        interval(0, 9_000_000, omitted=True), *document["intervals"], interval(2, 100, seconds=0.004),
    ]  # fmt: skip
    assert [one.start_seconds for one in read(printed(document)).intervals] == [0, 1]


def test_numbers_may_be_of_either_kind_null_or_missing() -> None:
    document = tcp("3.12")
    document["end"]["sum_received"] = {"bytes": 2_400_000.0, "seconds": 2}
    document["end"]["sum_sent"]["retransmits"] = 3.0
    document["end"]["streams"][0]["sender"]["mean_rtt"] = None
    document["intervals"][0]["sum"]["bits_per_second"] = None  # told by data and time
    del document["start"]["connected"]
    result = read(printed(document))
    assert result.bits_per_second == 9_600_000
    assert (result.retransmits, result.rtt_ms, result.remote) == (3, None, "")
    assert isinstance(result.retransmits, int)


@pytest.mark.parametrize("full", [False, True])
def test_stream_of_events_reads_like_the_document(full: bool) -> None:
    assert read(streamed(tcp("3.17"), full=full)) == read(printed(tcp("3.17")))


def test_stream_that_broke_off_in_a_line_has_no_result() -> None:
    lines = streamed(tcp("3.17")).splitlines()
    with pytest.raises(Iperf3Problem, match="its JSON output is cut off"):
        read("\n".join(lines[:2]) + "\n" + lines[2][:20])


@pytest.mark.parametrize(
    "before",
    [
        "warning: UDP block size 4000 exceeds TCP MSS 1448, may result in fragmentation / drops\n",
        "attempts: 3\n",
        "attempts: 1\nwarning: Ignoring nonsense TCP MSS {0}\n",
        "\n\n",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_around_the_document_and_terminal_newlines_are_skipped(before: str, newline: str) -> None:
    noise = "iperf3: pthread_cancel in iperf_client_end\n"
    assert read((before + printed(tcp("3.16")) + noise).replace("\n", newline)).bytes == 2_400_000


REFUSED = (
    ("3.1.3", "error - unable to connect to server: Connection refused"),
    ("3.7", "error - unable to connect to server: Connection refused"),
    ("3.12", "unable to connect to server: Connection refused"),  # ends with status 0
    (
        "3.16",
        "unable to connect to server - server may have stopped running or use a different port, firewall issue, etc.: "
        "Connection refused",
    ),
)


def nothing(version: str, error: str) -> Document:
    return {"start": start(version), "intervals": [], "end": {}, "error": error}


@pytest.mark.parametrize(("version", "error"), REFUSED)
def test_refused_is_refused_in_all_versions(version: str, error: str) -> None:
    with pytest.raises(Iperf3Problem) as caught:
        read(printed(nothing(version, error)))
    assert caught.value.kind == "refused"
    assert caught.value.text == error.removeprefix("error - ")
    assert str(caught.value) == f"refused: {caught.value.text}"


@pytest.mark.parametrize("merged", [True, False])
def test_refused_of_3_9_is_only_on_the_standard_error(merged: bool) -> None:
    document = printed({"start": start("3.9"), "intervals": [], "end": {}})
    words = "iperf3: error - unable to send control message: Bad file descriptor\n"
    with pytest.raises(Iperf3Problem) as caught:
        read(words + document) if merged else read(document, words)
    assert caught.value.kind == "closed"
    assert caught.value.text == "unable to send control message: Bad file descriptor"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("the server is busy running a test. try again later", "busy"),
        ("control socket has closed unexpectedly", "closed"),
        ("the server has terminated", "closed"),
        ("unable to receive control message - port may not be available: Connection reset by peer", "reset"),
        ("unable to write to stream socket: Broken pipe", "reset"),
        ("unable to connect to server: No route to host", "unreachable"),
        ("unable to connect to server: Network is unreachable", "unreachable"),
        ("unable to connect to server: Connection timed out", "timed out"),
        ("unable to connect to server: Operation now in progress", "timed out"),
        ("idle timeout for receiving data", "timed out"),
        ("server test duration expired", "timed out"),
        ("unable to connect to server: Name or service not known", "unresolved"),
        ("unable to connect to server: No such file or directory", "unresolved"),
        (
            "unable to connect to server - server may have stopped running or use a different port, firewall issue, etc.: "
            "No such file or directory",
            "unresolved",
        ),  # 3.16 of Ubuntu 24.04
        ("unable to connect to server: Temporary failure in name resolution", "unresolved"),
        ("unable to connect to server: Try again", "unresolved"),
        ("unable to connect to server: Resource temporarily unavailable", "unresolved"),
        (
            "unable to connect to server - server may have stopped running or use a different port, firewall issue, "
            "etc.: Resource temporarily unavailable",
            "unresolved",
        ),
        ("unable to read from stream socket: Resource temporarily unavailable", "timed out"),
        ("interrupt - the client has terminated by signal Interrupt(2)", "interrupted"),
        ("interrupt - the client has terminated", "interrupted"),
        ("test authorization failed", "failed"),
        ("unable to send cookie to server", "failed"),
    ],
)
def test_each_message_has_its_kind(error: str, kind: str) -> None:
    for text in (printed(nothing("3.16", error)), streamed(tcp("3.17"), error=error)):
        with pytest.raises(Iperf3Problem) as caught:
            read(text)
        assert (caught.value.kind, caught.value.text) == (kind, error)


def test_error_beside_sums_is_no_result() -> None:
    """An interrupted client prints its partial sums too."""
    document = {**tcp("3.16"), "error": "interrupt - the client has terminated"}
    document["end"]["sum_received"] = part(0, 0, 0)
    with pytest.raises(Iperf3Problem, match=r"^interrupted: interrupt - the client has terminated$"):
        read(printed(document))


def blocks(version: str, **figures: Any) -> dict[str, Any]:
    document = tcp(version, **figures)
    document["start"]["test_start"]["blksize"] = 131072
    return document


@pytest.mark.parametrize(
    ("output", "kind", "text"),
    [
        ("", "unreadable", "it printed nothing"),
        ("sh: iperf3: not found\n", "cannot start", "sh: iperf3: not found"),
        ("[  5]   0.00-1.00   sec  1.2 MBytes  10 Mbits/sec  receiver\n", "unreadable",
         "[  5]   0.00-1.00   sec  1.2 MBytes  10 Mbits/sec  receiver"),
        ("{ not json", "unreadable", "{ not json"),
        ("[1, 2]", "unreadable", "[1, 2]"),
        ("iperf3: parameter error - you must specify either -c or -s\n", "failed",
         "you must specify either -c or -s"),
        ("iperf3: error - unable to connect to server: Connection refused\n", "refused",
         "unable to connect to server: Connection refused"),
        (printed({"start": start("3.12"), "intervals": [], "end": {}}), "unreadable", "the result has no sums"),
        (printed(tcp("3.12", sent=131072, received=0)), "nothing arrived", "131072 bytes were sent and none arrived"),
        (printed(tcp("3.12", sent=0, received=0)), "no data", "no data was transferred"),
        (printed(blocks("3.16", sent=0, received=0)), "no data",
         "no data was transferred, or less than the 131072 bytes from which iperf3 counts since 3.16: a longer run "
         "would show"),
        (printed(blocks("3.22", sent=262144, received=0, streams=2)), "nothing arrived",
         "262144 bytes were sent and none arrived, or less than the 262144 bytes from which iperf3 counts since 3.16: "
         "a longer run would show"),
        (printed(udp("3.12", lost=2500)), "nothing arrived", "2500 datagrams were sent and none arrived"),
        (printed(udp("3.9", lost=2500)), "nothing arrived", "2500 datagrams were sent and none arrived"),
        (printed(tcp("3.12"))[:-300], "cut off", "its JSON output is cut off"),
        ('{ "start": { "connected": [{', "cut off", "its JSON output is cut off"),
        ("iperf3: unrecognized option '--connect-timeout'\nUsage: iperf3 [-s|-c host] [options]\n  -p, --port\n",
         "unsupported", "iperf3: unrecognized option '--connect-timeout'"),
        ("Segmentation fault (core dumped)\n", "crashed", "Segmentation fault (core dumped)"),
        ("Error loading shared library libm.so.6: No such file or directory (needed by /usr/bin/iperf3)\n",
         "cannot start", "Error loading shared library libm.so.6: No such file or directory (needed by /usr/bin/iperf3)"),
        ("exec /usr/bin/iperf3: exec format error\n", "cannot start", "exec /usr/bin/iperf3: exec format error"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("head", ["", "attempts: 1\n", "processors: 1.0 cpu 1 2 | 2.0 cpu 2 3\nattempts: 1\n"])
def test_output_without_a_result_says_why_in_the_programs_own_words(
    output: str, kind: str, text: str, head: str
) -> None:
    with pytest.raises(Iperf3Problem) as caught:
        read(head + output)
    assert (caught.value.kind, caught.value.text) == (kind, text)


def test_client_killed_without_a_word_is_told_by_its_status() -> None:
    with pytest.raises(Iperf3Problem) as caught:
        read("attempts: 1\nexit status: 137\n\n")
    assert (caught.value.kind, caught.value.exit_status) == ("killed", 137)
    assert "SIGKILL" in caught.value.text


# --- what the sender says is not what arrived -----------------------------------------------------------


def test_udp_client_up_to_3_10_without_the_servers_report_is_no_result() -> None:
    """It said "0 of 893 lost" where nothing arrived."""
    with pytest.raises(Iperf3Problem) as caught:
        read(printed(udp("3.9", lost=0, server=False)))
    assert caught.value.kind == "one-sided"
    assert caught.value.sent == Sent(2_500_000, 2.0, 2500)
    assert "2500 datagrams, 10 Mbit/s" in caught.value.text
    assert not caught.value.of_the_network


@pytest.mark.parametrize("version", ["3.9", "3.12", "3.20"])
def test_loss_at_the_end_of_a_run_is_seen_although_no_gap_shows_it(version: str) -> None:
    document = udp(version, lost=1500, packets=2500)
    for total in [document["end"]["sum"], document["end"].get("sum_received", {})]:
        total.update(lost_packets=0, packets=1000 if total.get("sender") is False else 2500, lost_percent=0)
    if version == "3.9":
        document["server_output_text"] = server_text([(0, 1, 0, 1000), (1, 2, 0, 0)])
    result = read(printed(document))
    assert (result.lost_packets, result.lost_percent, result.received_packets) == (1500, 60.0, 1000)
    assert any("missing at the end" in note for note in result.notes)


def test_data_and_loss_of_one_end_that_contradict_each_other_are_named() -> None:
    document = udp("3.20", lost=700)
    document["end"]["sum_received"].update(lost_packets=3, lost_percent=0.1)
    result = read(printed(document))
    assert result.lost_percent == 28.0
    assert result.contradictions == (
        "the receiver says that 3 of 2500 datagrams were lost, but the data that it got is only 1800 datagrams",
    )


def test_none_lost_as_a_new_client_shows_it_with_an_old_server_is_no_count_and_no_contradiction() -> None:
    document = udp("3.22", lost=700)
    document["end"]["sum_received"].update(lost_packets=0, lost_percent=0)
    result = read(printed(document))
    assert (result.lost_packets, result.lost_percent, result.contradictions) == (700, 28.0, ())
    assert any("not the server's count" in note for note in result.notes)


def test_tcp_receiver_with_more_than_was_sent_is_a_contradiction() -> None:
    assert read(printed(tcp("3.12", sent=2_500_000, received=9_000_000))).contradictions == (
        "the receiver counted 9000000 bytes, the sender only 2500000",
    )


@pytest.mark.parametrize("gaps", [860, 193, 2499])
def test_omitted_part_does_not_count_in_the_loss(gaps: int) -> None:
    document = udp("3.12", lost=0)
    document["start"]["test_start"]["omit"] = 2
    document["end"]["sum_received"].update(lost_packets=gaps, lost_percent=gaps / 25)
    result = read(printed(document))
    assert (result.lost_packets, result.lost_percent, result.contradictions) == (0, 0.0, ())
    assert result.notes == (f"iperf3 itself says {gaps} lost, which includes the omitted part",)


def test_interval_in_which_the_clock_was_set_back_has_its_own_rate() -> None:
    """The first counted interval of 3.12 says that it took two seconds, from 0.9999 to 1.0001."""
    document = tcp("3.12")
    document["start"]["test_start"]["omit"] = 2
    document["intervals"] = [
        interval(0, 1_250_000, omitted=True),
        interval(0.9999, 1_250_000, seconds=2),
        interval(1, 1e6),
    ]
    document["intervals"][1]["sum"].update(end=1.0001, bits_per_second=5_000_000)
    first = read(printed(document)).intervals[0]
    assert (first.start_seconds, round(first.bits_per_second)) == (0.0, 9_999_000)


def test_sender_of_3_9_goes_on_after_the_client_stopped_listening() -> None:
    """`end.sum` of a reverse run has the server's bytes and seconds, and the client's packets."""
    document = udp("3.9", lost=0, reverse=1)
    document["end"]["sum"].update(bytes=2_555_000)
    document["end"]["streams"][0]["udp"].update(bytes=2_555_000, seconds=2.044)
    result = read(printed(document))
    assert (result.lost_packets, result.bits_per_second, round(result.sent_bits_per_second)) == (0, 1e7, 10_000_000)


def test_doubled_datagrams_hide_lost_ones_and_that_is_said() -> None:
    document = udp("3.12", lost=400)
    document["server_output_text"] = server_text([(0, 1, 200, 1250), (1, 2, 200, 1250)], out_of_order=300)
    result = read(printed(document))
    assert (result.lost_packets, result.lost_percent_at_most) == (400, 28.0)
    assert any("300 datagrams arrived late or twice" in note for note in result.notes)


def test_more_than_was_sent_leaves_the_loss_open() -> None:
    document = udp("3.12", lost=0)
    document["end"]["sum_received"].update(bytes=2_900_000)
    result = read(printed(document))
    assert (result.lost_packets, result.lost_percent_at_most) == (0, None)
    assert result.notes == ("400 more datagrams arrived than were sent: some arrived twice",)


# --- nearly JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["-nan", "nan", "NaN", "inf", "-inf", "Infinity", "-nan(0x8000)"])
def test_numbers_that_are_none_lose_only_themselves(word: str) -> None:
    document = udp("3.12")
    document["intervals"][0]["sum"]["bytes"] = "WORD"
    document["end"]["sum_received"]["jitter_ms"] = "WORD"
    result = read(printed(document).replace('"WORD"', word))
    assert (result.lost_percent, result.jitter_ms, len(result.intervals)) == (5.0, None, 1)


def test_exponent_without_its_sign_is_read() -> None:
    """Some builds of 3.1 print 1.0512e 07."""
    text = printed(tcp("3.1.3")).replace('"bytes": 2400000,', '"bytes": 2.4e 06,')
    assert read(text).bytes == 2_400_000


def test_strings_keep_what_looks_like_such_a_number() -> None:
    document = tcp("3.12")
    document["start"]["version"] = "iperf -nan 5e 06"
    assert read(printed(document).replace("2500000,", "nan,", 1)).version == "iperf -nan 5e 06"


def test_one_damaged_interval_does_not_lose_the_sums() -> None:
    text = printed(tcp("3.12"))
    at = text.index('"sum"')
    result = read(text[:at] + "\x00 iperf3: junk }" + text[at:])
    assert result.bytes == 2_400_000
    assert len(result.intervals) == 1


def test_output_that_is_cut_off_keeps_the_intervals_before() -> None:
    text = printed(tcp("3.12"))
    with pytest.raises(Iperf3Problem) as caught:
        read(text[: text.index('"end": {')])
    assert (caught.value.kind, len(caught.value.intervals), caught.value.broke_after) == ("cut off", 2, 2)
    assert not caught.value.of_the_network


def test_doubled_document_is_one_result() -> None:
    assert read(printed(tcp("3.12")) * 2) == read(printed(tcp("3.12")))


def test_two_results_that_differ_are_none() -> None:
    with pytest.raises(Iperf3Problem, match="2 results that differ"):
        read(printed(tcp("3.12")) + printed(tcp("3.12", received=1_000_000)))


def test_error_behind_a_result_counts() -> None:
    with pytest.raises(Iperf3Problem, match="control socket has closed"):
        read(printed(tcp("3.12")) + printed(nothing("3.12", "control socket has closed unexpectedly")))


def test_run_that_broke_tells_how_far_it_came() -> None:
    """A client of 3.12 whose server was killed: exit status 0, an empty end, the last interval there twice."""
    document = {**tcp("3.12"), "end": {}, "error": "control socket has closed unexpectedly"}
    document["intervals"].append(document["intervals"][-1])
    with pytest.raises(Iperf3Problem) as caught:
        read(printed(document))
    assert (caught.value.kind, caught.value.broke_after, len(caught.value.intervals)) == ("closed", 2, 2)
    assert caught.value.of_the_network


# --- figures that cannot be true ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bytes": "2400000"}, "'2400000' bytes in 2 seconds"),
        ({"bytes": -100}, "-100 bytes in 2 seconds"),
        ({"bytes": None}, "None bytes in 2 seconds"),
        ({"bytes": float("inf")}, "inf bytes in 2 seconds"),
        ({"seconds": -2}, "2400000 bytes in -2 seconds"),
        ({"seconds": 0, "bits_per_second": None}, "2400000 bytes in 0 seconds"),
    ],
)
def test_count_that_cannot_be_read_is_no_zero_and_accuses_nobody(changed: dict, told: str) -> None:
    """It said "nothing arrived", or -9.6 Mbit/s."""
    for document in (tcp("3.16"), udp("3.16", sent=2_400_000, lost=0, packets=2400)):
        document["end"]["sum_received"].update(changed)
        with pytest.raises(Iperf3Problem) as caught:
            read(printed(document).replace("Infinity", "1e400"))
        assert (caught.value.kind, caught.value.of_the_network) == ("unreadable", False)
        assert told in caught.value.text


@pytest.mark.parametrize(
    "damage",
    [
        {"intervals": [None, 5, {"sum": None}, {"sum": []}, {"streams": "none"}]},
        {"start": None}, {"start": {"connected": None, "test_start": [1]}}, {"start": {"connected": [7]}},
        {"start": {"connected": [], "test_start": {"num_streams": "four", "protocol": None}}},
    ],
)  # fmt: skip
def test_value_of_another_kind_loses_only_itself(damage: dict) -> None:
    """It ended with an AttributeError."""
    assert read(printed({**tcp("3.16"), **damage})).bits_per_second == 9_600_000
    for streams in (None, [None], [{"sender": None, "receiver": 3}], "x"):
        document = tcp("3.16")
        document["end"]["streams"] = streams
        assert read(printed(document)).bits_per_second == 9_600_000


@pytest.mark.parametrize("end", ["done", {"streams": []}, {"streams": [{}]}])
def test_result_without_sums_is_a_form_that_is_not_known_and_no_broken_path(end: object) -> None:
    with pytest.raises(Iperf3Problem, match="has no sums") as caught:
        read(printed({**tcp("3.16"), "end": end}))
    assert not caught.value.of_the_network


def test_receiver_that_counted_for_a_fifth_of_the_time_contradicts_its_sender() -> None:
    """The rate was five times what was sent, and passed."""
    document = tcp("3.16")
    document["end"]["sum_received"]["seconds"] = 0.4
    assert read(printed(document)).contradictions == ("the receiver counted for 0.4 s what was sent in 2 s",)


def test_datagrams_that_nobody_sent_did_not_come_twice() -> None:
    document = udp("3.16", lost=125)
    document["end"]["sum_sent"].update(bytes=0, packets=0)
    result = read(printed(document))
    assert result.contradictions == ("the receiver got 2375 datagrams, but the sender counted none",)
    assert (result.lost_packets, result.lost_percent_at_most, result.notes) == (0, None, ())


def test_parallel_stream_that_carried_nothing_is_counted() -> None:
    document = tcp("3.16", streams=4)
    document["end"]["streams"][2]["receiver"]["bytes"] = 0
    document["end"]["sum_received"]["bytes"] = 1_800_000
    assert read(printed(document)).silent_streams == 1
    assert read(printed(tcp("3.16", streams=4))).silent_streams == 0


@pytest.mark.parametrize(("version", "missing"), [("3.15", 0), ("3.16", 4 * 131072), ("3.22", 4 * 131072)])
def test_last_block_of_each_stream_may_be_missing_where_whole_blocks_are_counted(version: str, missing: int) -> None:
    """A second over a path of 200 kbit/s was "no data was transferred" with iperf3 3.16, and 127 kbit/s with 3.12."""
    assert read(printed(blocks(version, streams=4))).uncounted_bytes == missing


def test_run_both_ways_says_that_only_one_is_read() -> None:
    document = udp("3.16", lost=0)
    document["start"]["test_start"]["bidir"] = 1
    assert any("both directions" in note for note in read(printed(document)).notes)


def test_byte_order_mark_and_documents_on_one_line_are_read() -> None:
    assert read("\ufeff" + printed(tcp("3.12"))) == read(printed(tcp("3.12")))
    with pytest.raises(Iperf3Problem, match="2 results that differ"):
        read(printed(tcp("3.12")).strip() + " " + printed(tcp("3.12", received=1_000_000)))


@pytest.mark.parametrize(
    ("text", "status", "kind", "words"),
    [
        ("Error relocating /usr/bin/iperf3: strlcpy: symbol not found", 127, "cannot start", "strlcpy"),
        ("iperf3: libc.so.6: version `GLIBC_2.38' not found (required by iperf3)", 1, "cannot start", "GLIBC_2.38"),
        ("Terminated", 143, "killed", "SIGTERM"),
        ("Killed", 137, "killed", "SIGKILL"),
        (printed(tcp("3.16"))[:900], 137, "killed", "SIGKILL"),
        (printed(tcp("3.16"))[:900], 0, "cut off", "cut off"),
        (re.sub(r'"mean_rtt": \d+', '"mean_rtt": 1.#IND', printed(tcp("3.16"))), 0, "unreadable", "whole"),
    ],
)
def test_a_signal_a_missing_symbol_and_an_odd_number_are_not_told_as_output_that_is_cut_off(
    text: str, status: int, kind: str, words: str
) -> None:
    with pytest.raises(Iperf3Problem) as caught:
        read(text, exit_status=status)
    assert (caught.value.kind, words in caught.value.text) == (kind, True), str(caught.value)


@pytest.mark.parametrize("count", [-1, 4294967295, 18446744073709551615])
def test_a_count_of_retransmits_that_went_below_zero_is_none(count: int) -> None:
    document = tcp("3.16")
    document["end"]["sum_sent"]["retransmits"] = count
    assert read(printed(document)).retransmits is None
