"""Arguments of suites: what they become, and the very words that a user sees when they cannot."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from robot.api import TypeInfo

from NetLibrary import NetLibrary
from NetLibrary.keywords._base import _TYPES, type_of
from NetLibrary.types import CONVERTERS, Bitrate, Percentage, Protocol


def convert(hint: Any, value: Any) -> Any:
    return TypeInfo.from_type_hint(hint).convert(value, name="limit", custom_converters=CONVERTERS)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        ("10M", 10e6), ("2.5 Gbit/s", 2.5e9), ("800k", 800e3), ("0", 0), ("1T", 1e12), (" 5 mbps ", 5e6), ("7 b/s", 7),
        ("100 Kbits/s", 100e3), (1000, 1000), (1.5, 1.5), (Bitrate(5.0), 5),
    ],
)  # fmt: skip
def test_rates(value: Any, bits: float) -> None:
    assert convert(Bitrate, value) == Bitrate(bits)


@pytest.mark.parametrize(("value", "percent"), [("5 %", 5), ("99.5%", 99.5), ("0", 0), (12, 12), (Percentage(1.0), 1)])
def test_percentages(value: Any, percent: float) -> None:
    assert convert(Percentage, value) == Percentage(percent)
    assert convert(Percentage, value).fraction == percent / 100


RATE = "Give bits per second: 0 or more, with an optional k, M, G or T, for instance 10M or 2.5 Gbit/s."
SHARE = "Give a number of percent, for instance 5 % or 99.5."


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (Bitrate, "fast", f"Argument 'limit' got value 'fast' that cannot be converted to Bitrate: {RATE}"),
        (Bitrate, "-5M", f"Argument 'limit' got value '-5M' that cannot be converted to Bitrate: {RATE}"),
        (Bitrate, "", f"Argument 'limit' got value '' that cannot be converted to Bitrate: {RATE}"),
        (
            Bitrate,
            -5,
            f"Argument 'limit' got value '-5' (integer) that cannot be converted to Bitrate: {RATE}",
        ),
        (Bitrate, float("nan"), RATE),
        (Bitrate, float("inf"), RATE),
        (Bitrate, "1GB", f"{RATE} '1GB' looks like bytes: a byte has 8 bits."),
        (Bitrate, "20 MB/s", f"{RATE} '20 MB/s' looks like bytes: a byte has 8 bits."),
        (Bitrate, "1GiB", f"{RATE} '1GiB' looks like bytes: a byte has 8 bits."),
        (Bitrate, "1Gi", f"{RATE} '1Gi' has a binary prefix; rates have decimal ones, 1k is 1000."),
        (Percentage, "half", f"Argument 'limit' got value 'half' that cannot be converted to Percentage: {SHARE}"),
        (Percentage, "-1", "A percentage must be 0 or more."),
        (Percentage, "nan", "A percentage must be 0 or more."),
        (Percentage, "inf", "A percentage must be 0 or more."),
        (Protocol, "sctp", "Protocol does not have member 'sctp'. Available: 'TCP' and 'UDP'"),
    ],
)
def test_what_cannot_be_converted_is_told(hint: Any, value: Any, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        convert(hint, value)
    assert words in str(caught.value)


def test_none_stays_none_where_it_is_allowed() -> None:
    assert convert(Bitrate | None, None) is None
    assert convert(Bitrate | None, "none") is None
    assert convert(Percentage | None, "5 %") == Percentage(5)


def test_texts_of_types() -> None:
    assert (str(Bitrate(10e6)), Bitrate(10e6).iperf3, str(Percentage(99.5))) == ("10 Mbit/s", "10000000", "99.5 %")
    assert Bitrate(1) < Bitrate(2)
    assert Percentage(1) < Percentage(2)
    assert convert(Protocol, "udp") is Protocol.UDP


@pytest.mark.parametrize(("text", "bare"), [("1000", True), ("1000 bit/s", False), ("1k", False), (1000, False)])
def test_rate_without_a_unit_is_known_as_such(text: Any, bare: bool) -> None:
    assert Bitrate.parse(text).bare is bare
    assert Bitrate.parse(text) == Bitrate(1000.0)


def test_optional_arguments_say_what_they_take() -> None:
    """`at_least=1GB` "cannot be converted to Bitrate or None", and what is allowed was lost."""
    from NetLibrary.keywords.throughput import ThroughputKeywords

    hints = ThroughputKeywords.measure_throughput.__annotations__
    assert [hints[name].type for name in ("at_least", "lost_at_most", "node")] == [Bitrate, Percentage, str]


def test_hint_means_the_same_in_all_files_of_keywords() -> None:
    """Each is evaluated once, whichever file has it first: another class of the same name would take its place."""

    def shown(info: TypeInfo) -> list[Any]:
        return [str(info), info.type, [shown(each) for each in info.nested or ()]]

    methods = [inspect.unwrap(getattr(NetLibrary, name)) for name in NetLibrary().get_keyword_names()]
    hints = [(hint, method.__globals__) for method in methods for hint in method.__annotations__.values()]
    wrong = {hint for hint, names in hints if hint in _TYPES and shown(_TYPES[hint]) != shown(type_of(hint, names))}
    assert len(_TYPES) > 60
    assert wrong == set()
