"""Requests: what is allowed, and the command line that comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.throughput import Request
from NetLibrary._mechanics.throughput.objects import job_manifest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server": ""}, "server is empty; give the host name or address of the iperf3 server."),
        ({"port": 0}, "port is 0; allowed: 1 to 65535."),
        ({"port": 65536}, "port is 65536; allowed: 1 to 65535."),
        ({"seconds": 0.5}, "duration is 0.5 s; iperf3 takes whole seconds from 1 to 86400."),
        ({"seconds": 1.5}, "duration is 1.5 s; iperf3 takes whole seconds from 1 to 86400."),
        ({"seconds": 86401}, "duration is 86401 s; iperf3 takes whole seconds from 1 to 86400."),
        ({"seconds": float("nan")}, "duration is nan s; iperf3 takes whole seconds from 1 to 86400."),
        ({"protocol": "sctp"}, "protocol is 'sctp'; allowed: tcp and udp."),
        ({"streams": 0}, "streams is 0; allowed: 1 to 128."),
        ({"streams": 129}, "streams is 129; allowed: 1 to 128."),
        ({"omit_seconds": 61}, "omit is 61 s; iperf3 takes whole seconds from 0 to 60."),
        ({"omit_seconds": 0.5}, "omit is 0.5 s; iperf3 takes whole seconds from 0 to 60."),
        ({"bits_per_second": -1}, "bitrate is negative; give a rate such as 10M, or 0 for no limit."),
    ],
)
def test_what_iperf3_does_not_take_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Request(**{"server": "s", **changes})
    assert str(caught.value) == words


def line(**changes: Any) -> str:
    return " ".join(Request(**{"server": "s", **changes}).arguments())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "-c s -p 5201 -t 10 -i 0.2 -J"),
        ({"seconds": 1}, "-c s -p 5201 -t 1 -i 0.1 -J"),
        ({"protocol": "udp"}, "-c s -p 5201 -t 10 -i 0.2 -J -u --get-server-output -b 0"),
        ({"protocol": "udp", "bits_per_second": 0}, "-c s -p 5201 -t 10 -i 0.2 -J -u --get-server-output -b 0"),
        ({"reverse": True, "omit_seconds": 2}, "-c s -p 5201 -t 10 -i 0.2 -J -R -O 2"),
    ],
)
def test_command_line(changes: dict[str, Any], words: str) -> None:
    assert line(**changes) == words


def test_rate_is_shared_among_streams_because_iperf3_counts_per_stream() -> None:
    assert "-b 2500000 -P 4" in line(bits_per_second=1e7, streams=4)


def test_slow_tcp_writes_small_blocks() -> None:
    """128 KiB of iperf3's default are a second of silence at 1 Mbit/s."""
    assert line(bits_per_second=1e6).endswith("-l 1953")
    assert line(bits_per_second=1e3).endswith("-l 1024")
    assert "-l" not in line(bits_per_second=1e9)
    assert "-l" not in line(bits_per_second=1e6, protocol="udp")
    assert line(bits_per_second=1e6, block_bytes=500).endswith("-l 500")


@pytest.mark.parametrize(("seconds", "interval"), [(1, 0.1), (10, 0.2), (60, 1.5), (86400, 2160.0)])
def test_intervals_are_about_forty(seconds: int, interval: float) -> None:
    assert Request("s", seconds=seconds).interval_seconds == pytest.approx(min(60.0, interval), abs=0.06)


def test_job_has_limits_and_keeps_the_users_template() -> None:
    template = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": {"a": "b"}},
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "mine", "args": ["old"], "securityContext": {"runAsUser": 1000}}],
                    "serviceAccountName": "restricted",
                }
            }
        },
    }
    job = job_manifest("j", "demo", "image:1", Request("s"), retry_seconds=5, node="node2", template=template)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert job["metadata"] == {"labels": {"a": "b"}, "name": "j", "namespace": "demo"}
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 90)
    assert (pod["nodeName"], pod["restartPolicy"], pod["serviceAccountName"]) == ("node2", "Never", "restricted")
    assert (container["name"], container["image"], container["securityContext"]) == (
        "mine",
        "image:1",
        {"runAsUser": 1000},
    )
    assert container["command"][4:8] == ["5", "3000", "-c", "s"]
    assert "args" not in container
    assert "args" in template["spec"]["template"]["spec"]["containers"][0]
    with pytest.raises(InputError, match="retry_for is negative"):
        job_manifest("j", "demo", "image:1", Request("s"), retry_seconds=-1)
