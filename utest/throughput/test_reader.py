"""One reader for what iperf3 has printed since 3.1."""

from __future__ import annotations

import json

import pytest

from NetLibrary._mechanics.throughput import Interval, Iperf3Problem, read

from .documents import Document, interval, part, printed, start, streamed, tcp, udp

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
    assert result.intervals[0].lost_packets == (62 if reverse else None)
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
    document["intervals"][0]["sum"]["bits_per_second"] = None
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
    with pytest.raises(Iperf3Problem, match="the result has no sums"):
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


@pytest.mark.parametrize(
    ("output", "kind", "text"),
    [
        ("", "unreadable", "it printed no JSON result"),
        ("sh: iperf3: not found\n", "unreadable", "it printed no JSON result"),
        ("[  5]   0.00-1.00   sec  1.2 MBytes  10 Mbits/sec  receiver\n", "unreadable", "it printed no JSON result"),
        ("{ not json", "unreadable", "it printed no JSON result"),
        ("[1, 2]", "unreadable", "it printed no JSON result"),
        (
            "iperf3: parameter error - you must specify either -c or -s\n",
            "failed",
            "you must specify either -c or -s",
        ),
        (
            "iperf3: error - unable to connect to server: Connection refused\n",
            "refused",
            "unable to connect to server: Connection refused",
        ),
        (printed({"start": start("3.12"), "intervals": [], "end": {}}), "failed", "the result has no sums"),
        (printed(tcp("3.12", sent=131072, received=0)), "failed", "no data was transferred"),
        (printed(udp("3.12", lost=2500)), "failed", "no data was transferred"),
        (printed(udp("3.9", lost=2500)), "failed", "no data was transferred"),
        (printed(tcp("3.12"))[:-300], "unreadable", "it printed no JSON result"),
    ],
)
def test_output_without_a_result_says_why(output: str, kind: str, text: str) -> None:
    with pytest.raises(Iperf3Problem) as caught:
        read(output)
    assert (caught.value.kind, caught.value.text) == (kind, text)
