"""iperf3 beside the probes takes no processor from them."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from NetLibrary._mechanics.outages.run.inpod import iperf

KERNEL = ["-b", "0", "--fq-rate", "10000000", "-w", "62500", "-M", "1012"]
OWN = ["-b", "10000000"]


def program(folder: Path, version: str) -> str:
    path = folder / "iperf3"
    path.write_text(f"#!/bin/sh\necho 'iperf {version} (cJSON 1.7.15)'\necho Linux\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("version", "words"),
    [("3.1.3", OWN), ("3.12", OWN), ("3.16", KERNEL), ("3.17.1", KERNEL), ("3.18", OWN), ("3.160", OWN)],
)
def test_iperf3_that_spins_while_it_paces_is_paced_by_the_kernel(
    tmp_path: Path, version: str, words: list[str]
) -> None:
    """Four clients of 3.16 took 30 to 40 % of a processor each at 10 Mbit/s, and no measurement was valid."""
    assert iperf.pace(program(tmp_path, version), "tcp", 10_000_000, 1000) == words


@pytest.mark.parametrize(("protocol", "rate"), [("udp", 10_000_000), ("tcp", 1_000_000), ("tcp", 1_000_000_000)])
def test_what_the_kernel_does_not_pace_evenly_is_left_to_iperf3(tmp_path: Path, protocol: str, rate: int) -> None:
    assert iperf.pace(program(tmp_path, "3.16"), protocol, rate, 1000) == ["-b", str(rate)]


def test_iperf3_paces_itself_where_the_kernel_would_let_it_send_without_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *_: object) -> None:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    monkeypatch.setattr(iperf.socket, "socket", Refusing)
    assert iperf.pace(program(tmp_path, "3.16"), "tcp", 10_000_000, 1000) == OWN


def test_program_that_does_not_start_is_asked_no_further(tmp_path: Path) -> None:
    assert iperf.pace(str(tmp_path / "none"), "tcp", 10_000_000, 1000) == OWN
