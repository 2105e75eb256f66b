"""Logs of one run, printed in several locales, must read the same: a German one turned 1500 events into 1."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from NetLibrary._mechanics.e2sar.logs import Report, parse

# What digits are grouped with, and the decimal mark, as libstdc++ prints them
LOCALES = {
    "C": ("", "."),
    "en_US": (",", "."),
    "de_DE": (".", ","),
    "de_CH": ("'", "."),
    "de_CH (newer)": ("\u2019", "."),
    "fr_FR": (" ", ","),
    "fr_FR (no-break)": ("\u202f", ","),
}


def count(value: int, locale: str) -> str:
    return f"{value:,}".replace(",", LOCALES[locale][0])


def value(number: float, locale: str) -> str:
    group, mark = LOCALES[locale]
    whole, _, rest = f"{number:,g}".partition(".")
    if not group:
        whole = whole.replace(",", "")
    return whole.replace(",", group) + (mark + rest if rest else "")


def sender(locale: str, *, version: str, events: int = 5000, length: int = 4000, rate: float = 1.25) -> str:
    frames, sleep, elapsed = 3 * events, int(length * 8 / (rate * 1000)), 2_345_678
    number, decimal = (lambda n: count(n, locale)), (lambda n: value(n, locale))
    if version == "0.1.4":
        return (
            f"E2SAR Version: 0.1.4\nSending bit rate is {decimal(rate)} Gbps\n"
            f"Event size is {number(length)} bytes or {number(8 * length)} bits\n"
            f"Event rate is {decimal(rate * 1e9 / 8 / length)} Hz\n"
            f"Inter-event sleep time is {number(sleep)} microseconds\n"
            f"Sending {number(events)} event buffers\nUsing MTU {number(1400)}\n"
            "WARNING: Fewer frames than expected have been sent "
            f"({number(frames - 1)} of {number(frames)}), sender is not keeping up with the requested send rate.\n"
            f"Completed, {number(frames - 1)} frames sent, 0 errors\nStopping threads\n"
        )
    # Until it prints the event size, 0.3.2 has not chosen the locale yet
    return (
        f"E2SAR Version:                 0.3.2\nSending average bit rate is:   {rate:g} Gbps (with {length} B bursts)\n"
        f"Inter-event sleep (usec) is:   {sleep}\n"
        f"Event size is {number(length)} bytes or {number(8 * length)} bits\n"
        f"Sending {number(events)} event buffers\nUsing interface eth0\nUsing MTU {number(1400)}\n"
        f"Completed, {number(frames)} packets sent, 0 errors\nElapsed usecs: {number(elapsed)} microseconds\n"
        f"Estimated effective throughput (Gbps): {decimal(frames * 1400 * 8 / elapsed / 1000)}\n"
        f"Estimated goodput (Gbps): {decimal(events * length * 8 / elapsed / 1000)}\nStopping threads\n"
    )


def receiver(locale: str) -> str:
    def number(n: int) -> str:
        return count(n, locale)

    listed = "".join(f"<{number(n)}:{number(4321)}/{number(2)}> " for n in (0, 7, 1234, 4999))
    return (
        "E2SAR Version:                 0.3.2\nWill run for:                  30 sec\n"
        f"Receiving on ports:            {number(19522)}:{number(19525)}\nStats:\n"
        f"\tTotal Bytes: {number(20_529_000)}\n\tTotal Packets: {number(14_992)}\n\tBad RE Header Discards: 0\n"
        f"\tEvents Received: {number(4996)}\n\tEvents Mangled: 0\n\tEvents Lost in reassembly: {number(4)}\n"
        "\tEvents Lost in enqueue: 0\n\tData Errors: 0\n\tgRPC Errors: 0\n"
        f"\tEvents lost so far (<Evt ID:Data ID/num frags rcvd>): {listed}\nCompleted\nPort Stats: \n"
        f"\tPort: {number(19522)} Received: {number(14_992)}\nTotal: {number(14_992)}\n"
    )


def facts(report: Report) -> dict[str, object]:
    return {name: fact for name, fact in asdict(report).items() if name != "failures"}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("version", ["0.1.4", "0.3.2"])
def test_a_sender_reads_the_same_in_every_locale(locale: str, version: str) -> None:
    report = parse(sender(locale, version=version))
    assert facts(report) == facts(parse(sender("C", version=version)))
    assert (report.events, report.event_bytes, report.mtu, report.rate_gbps) == (5000, 4000, 1400, 1.25)
    assert report.frames_sent == (14_999 if version == "0.1.4" else 15_000)
    if version == "0.3.2":
        assert report.goodput_gbps == pytest.approx(5000 * 32000 / 2_345_678 / 1000, rel=1e-4)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_receiver_reads_the_same_in_every_locale(locale: str) -> None:
    report = parse(receiver(locale))
    assert facts(report) == facts(parse(receiver("C")))
    assert report.final is not None and (report.final.received, report.final.packets) == (4996, 14_992)
    assert [(each.number, each.data_id, each.fragments) for each in report.final.lost_events][2] == (1234, 4321, 2)
    assert report.port_stats == {19522: 14_992} and report.total_frames == 14_992


def test_a_value_that_nothing_explains_is_not_read() -> None:
    assert parse("Sending bit rate is 1,031 Gbps\nUsing MTU 1400\n").rate_gbps is None
    told = (
        "Sending bit rate is 1,031 Gbps\nEvent size is 1000000 bytes or 8000000 bits\nInter-event sleep time is {} m\n"
    )
    assert parse(told.format(7759)).rate_gbps == 1.031
    assert parse(told.format(7)).rate_gbps == 1031


@pytest.mark.parametrize("text", ["1_500", "1٬500", "1*500"])
def test_digits_behind_a_mark_that_is_not_known_are_not_left_out(text: str) -> None:
    """A receiver that had got 1 500 events in Persian digits' marks was told to have got one."""
    report = parse(f"Sending {text} event buffers\nUsing MTU {text}\n")
    known = {None} if "٬" not in text else {1500}
    assert {report.events, report.mtu} == known


def test_marks_of_persian_and_pashto_are_read() -> None:
    report = parse("Elapsed usecs: 12٬582٬912 microseconds\nEstimated goodput (Gbps): 0٫9998\n")
    assert (report.elapsed_us, report.goodput_gbps) == (12582912, 0.9998)


@pytest.mark.parametrize("count", ["-1", "18446744073709551615"])
def test_a_report_whose_count_went_below_zero_is_none(count: str) -> None:
    lines = ["Stats:", f"\tEvents Received: {count}", "\tEvents Lost: 0", "\tEvents lost so far: "]
    report = parse("\n".join(["E2SAR Version: 0.1.4", *lines, ""]))
    assert (report.final, report.broken_blocks) == (None, 1)
