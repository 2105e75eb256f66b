"""A sender that is a program of a host instead of a pod."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.e2sar import outside
from NetLibrary._mechanics.e2sar.endpoint import Endpoint
from NetLibrary._mechanics.e2sar.logs import parse
from NetLibrary._mechanics.e2sar.parameters import PodSettings, SenderSettings
from NetLibrary._mechanics.e2sar.stream import LogStream
from NetLibrary._mechanics.errors import InputError, WaitTimeout
from NetLibrary._mechanics.kube import Cluster


def test_the_stand_in_sends_from_this_machine(tmp_path: Path) -> None:
    settings = SenderSettings(events=20, event_bytes=512, mtu=512, data_id=7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(10)
        target = f"127.0.0.1:{sink.getsockname()[1]}"
        command = [*outside.program("", stand_in=True), *outside.arguments(settings, target)]
        assert outside.run(command, tmp_path / "folder" / "log", timeout=60) == 0
        assert sink.recv(9000)[18:20] == b"\x00\x07"
    report = parse((tmp_path / "folder" / "log").read_bytes())
    assert (report.frames_sent, report.errors, report.mtu) == (40, 0, 512)


def test_program_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="program is 'no-such-program', which is not on this machine"):
        outside.program("no-such-program", stand_in=False)
    assert outside.program(sys.executable, stand_in=True) == [sys.executable]


def test_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(WaitTimeout, match=r"did not end within 0.2 s"):
        outside.run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", timeout=0.2)


def test_its_exit_status_is_that_of_the_program() -> None:
    endpoint = Endpoint("outside", "sender", SenderSettings(), PodSettings(), outside=True)
    endpoint.evidence.exit_code = 255
    assert endpoint.facts().end.exit_code == 255 and endpoint.terminated() == {"exitCode": 255}


def test_kept_output_shows_no_secret(tmp_path: Path) -> None:
    secrets.learn("s3cr3t-of-a-sender-Zq9x7")
    program = [sys.executable, "-c", "print('uri ejfat://s3cr3t-of-a-sender-Zq9x7@host'); print('sent 5')"]
    assert outside.run(program, tmp_path / "log", timeout=20) == 0
    assert (tmp_path / "log").read_text().endswith("<secret>@host\nsent 5\n")


def test_kept_log_of_a_pod_shows_no_secret(api: ApiServer, cluster: Cluster, tmp_path: Path) -> None:
    secrets.learn("s3cr3t-of-a-pod-Zq9x7")
    api.logs["sender"] = "2026-01-01T00:00:00Z token s3cr3t-of-a-pod-Zq9x7\n"
    lines: list[str] = []
    log = LogStream(cluster, "demo", "sender", "c", tmp_path / "log", lambda at, text: lines.append(text))
    log.finish(2)
    assert (tmp_path / "log").read_text() == "token <secret>\n"
    assert lines == ["token s3cr3t-of-a-pod-Zq9x7"], "what is read of it stays as it is"
