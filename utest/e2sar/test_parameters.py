"""Parameters: the arithmetic of the protocol, and every check with the words it fails with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from NetLibrary._mechanics.e2sar import arithmetic as a
from NetLibrary._mechanics.e2sar.parameters import (
    ReceiverSettings,
    SenderSettings,
    Surroundings,
    check_receiver,
    check_run,
    check_sender,
    check_several,
)
from NetLibrary._mechanics.e2sar.uri import EjfatUri
from NetLibrary._mechanics.errors import InputError
from NetLibrary.types import E2SARRisk as Risk


@pytest.mark.parametrize(
    ("mtu", "length", "per_frame", "count", "ip_bytes"),
    [(512, 512, 448, 2, 640), (576, 512, 512, 1, 576), (1450, 512, 1386, 1, 576), (1500, 10000, 1436, 7, 10448), (1500, 1048576, 1436, 731, 1095360),
     (9000, 1000000, 8936, 112, 1007168), (9000, 2000000, 8936, 224, 2014336)],
)  # fmt: skip
def test_segmentation(mtu: int, length: int, per_frame: int, count: int, ip_bytes: int) -> None:
    assert (a.fragment_bytes(mtu), a.fragments(length, mtu), a.wire_bytes(length, mtu)) == (per_frame, count, ip_bytes)


def test_pacing() -> None:
    assert [
        a.sleep_microseconds(*pair) for pair in ((0.1, 512), (20, 2000000), (1, 1048576), (0.01, 512), (0, 512))
    ] == [40, 800, 8388, 409, 0]
    assert a.send_seconds(0.1, 512, 500) == pytest.approx(0.02)


@pytest.mark.parametrize(("size", "measured"), [(8192, 15), (32768, 62), (212992, 403), (3145728, 5957)])
def test_queue_capacity_is_what_the_kernel_showed(size: int, measured: int) -> None:
    assert a.queue_capacity(size, 512, 512) == pytest.approx(measured, rel=0.07)
    assert a.queue_capacity(a.buffer_for(measured, 512, 512), 512, 512) >= measured


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mtu": 105}, "mtu is 105; allowed: 106 to 9000"),
        ({"mtu": 9001}, "mtu is 9001"),
        ({"event_bytes": 41}, "event_bytes is 41; allowed: 42 to"),
        ({"events": 0}, "events is 0"),
        ({"sockets": 129}, "sockets is 129; allowed: 1 to 128"),
        ({"rate_gbps": -1.0}, "rate is -1 Gbit/s; allowed: 0"),
        ({"data_id": 65536}, "data_id is 65536"),
        ({"source_id": -1}, "source_id is -1"),
        ({"port": 80}, "port is 80"),
        ({"buffer_bytes": 1}, "buffer_bytes is 1"),
    ],
)
def test_sender_is_refused(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_sender(replace(SenderSettings(), **change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"port": 65535, "threads": 2}, "ports 65535 to 65536"),
        ({"period_ms": 0}, "period_ms is 0"),
        ({"duration_seconds": -1}, "duration is -1"),
        ({"buffer_bytes": 2**31}, "buffer_bytes is 2147483648"),
    ],
)
def test_receiver_is_refused(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_receiver(replace(ReceiverSettings(), **change))


PUBLISHED = SenderSettings(events=500, event_bytes=512, rate_gbps=0.1, mtu=512, buffer_bytes=8192)
PLACE = Surroundings(
    pod_mtu=1450, rmem_max=212992, wmem_max=212992, bandwidth_bits_per_second=100e6, sender_startup_seconds=10
)


@pytest.mark.parametrize(
    ("sender", "receiver", "words", "risk"),
    [
        (
            PUBLISHED,
            ReceiverSettings(buffer_bytes=8192),
            r"125 Mbit/s of IP packets, but the path carries 100 Mbit/s; allowed: up to 80 Mbit/s\.",
            Risk.OVERLOAD,
        ),
        (
            replace(PUBLISHED, rate_gbps=0.01, mtu=1500),
            ReceiverSettings(buffer_bytes=8192),
            "interfaces take 1450 bytes",
            Risk.FRAGMENTATION,
        ),
        (
            replace(PUBLISHED, rate_gbps=0.01),
            ReceiverSettings(),
            "net.core.rmem_max of the node is 212992",
            Risk.CAPPED_BUFFER,
        ),
        (
            replace(PUBLISHED, rate_gbps=0.01, buffer_bytes=10**6),
            ReceiverSettings(buffer_bytes=8192),
            "net.core.wmem_max",
            Risk.CAPPED_BUFFER,
        ),
        (
            replace(PUBLISHED, rate_gbps=0.01),
            ReceiverSettings(buffer_bytes=8192, duration_seconds=5),
            "duration is 5 s, but the sender needs 12 s",
            Risk.SHORT_RECEIVER,
        ),
    ],
)
def test_run_is_refused_unless_the_risk_is_accepted(
    sender: SenderSettings, receiver: ReceiverSettings, words: str, risk: Risk
) -> None:
    with pytest.raises(InputError, match=words) as error:
        check_run(sender, receiver, PLACE)
    assert f"accept={risk.name}" in str(error.value)
    check_run(sender, receiver, PLACE, frozenset({risk}))


def test_what_is_unknown_is_not_checked() -> None:
    check_run(PUBLISHED, ReceiverSettings(), Surroundings())


def test_senders_with_one_data_id_are_refused() -> None:
    with pytest.raises(InputError, match="data_id 4321 is used by 2 senders"):
        check_several([SenderSettings(), SenderSettings()])
    check_several([SenderSettings(), SenderSettings(data_id=1)])


def test_uri_round_trip() -> None:
    uri = EjfatUri("10.1.2.3", 20000, session="s")
    assert EjfatUri.parse(str(uri)) == uri
    assert EjfatUri.parse("ejfats://t@[fd00::1]:2000/?data=[fd00::2]:20001").data == "fd00::2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EJFAT://a@1.1.1.1:2000/?data=1.1.1.1", "in lower case"),
        ("ejfat://a@1.1.1.1/?data=1.1.1.1", "with the port of the control plane"),
        ("ejfat://a@1.1.1.1:80/?data=1.1.1.1", "port 80"),
        ("ejfat://a@1.1.1.1:2000/?sync=1.1.1.1:2000", "data= is missing"),
        ("ejfat://a@1.1.1.1:2000/?data=receiver:19522", "resolves no names"),
        ("ejfat://a@1.1.1.1:2000/?data=:19522", "must be an IP address"),
        ("ejfat://a@1.1.1.1:2000/?data=1.1.1.1:99999", "port 99999"),
        ("ejfat://a@1.1.1.1:2000/?data=1.1.1.1&sess=1", "'sess' is unknown"),
    ],
)
def test_uri_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        EjfatUri.parse(text)
