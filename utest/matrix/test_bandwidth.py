"""Rates between pods: how iperf's words are read, and that a saved-up token bucket does not hide a limit or its lack."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from NetLibrary._mechanics.matrix.bandwidth import BUCKET_BITS, Rate, Sender, no_results, read_csv


def test_the_rate_is_the_ninth_field_of_iperfs_last_line():
    line = "20261121104500,10.0.0.1,40000,10.0.0.2,5201,3,0.0-1.0,131072000,1048576000"
    assert read_csv(f"{line}\n") == 1048576000.0
    assert read_csv("connect failed: Connection refused") is None
    assert read_csv(line.replace("1048576000", "0")) is None


class Path:
    """A path of a line rate behind a token bucket that starts full; 0.3 s of talking pass between commands."""

    def __init__(self, line, limit=None, bucket=BUCKET_BITS):
        self.line, self.limit, self.saved, self.seconds = line, limit, bucket, 0.0

    def run(self, words, timeout):
        self.save(0.3)
        rates = [self.transfer(float(seconds)) for seconds in re.findall(r"-t (\S+)", words[2])]
        return f"20261121104500,10.0.0.1,1,10.0.0.2,5201,3,0.0-1.0,1,{rates[-1]:.0f}\n", ""

    def save(self, seconds):
        if self.limit:
            self.saved = min(BUCKET_BITS, self.saved + seconds * self.limit)

    def transfer(self, seconds):
        self.seconds += seconds
        if not self.limit:
            return self.line
        sent = min(self.line * seconds, self.saved + self.limit * seconds)
        self.saved = max(0.0, self.saved + self.limit * seconds - sent)
        return sent / seconds


@pytest.mark.parametrize("line", [10e9, 1e9, 100e6])
def test_a_limit_that_is_kept_is_seen_once_the_bucket_is_empty(line):
    path = Path(line, limit=20e6)
    assert Sender(path.run, "10.0.0.2").send(1)[0] > 50e6, "the bucket does not hide the limit, so this proves nothing"
    assert Sender(path.run, "10.0.0.2").send_limited(3, 20e6) == (20e6, "")


def test_a_limit_that_nobody_keeps_is_seen_as_the_line_rate():
    assert Sender(Path(1e9).run, "10.0.0.2").send_limited(3, 20e6) == (1e9, "")


def test_a_path_without_a_bucket_costs_no_more_than_two_seconds_of_sending():
    path = Path(1e9, limit=20e6, bucket=0.0)
    assert Sender(path.run, "10.0.0.2").send_limited(3, 20e6) == (20e6, "")
    assert path.seconds == 1 + 1 + 3


def test_a_transfer_that_fails_says_why():
    sender = Sender(lambda words, timeout: ("", "connect failed: Connection refused"), "10.0.0.2")
    assert sender.send_limited(1, 20e6) == (None, "connect failed: Connection refused")


def test_a_rate_that_a_cpu_limit_decided_is_no_result():
    slow = Rate("pod-1", "pod-2", 5e6, held_back="container 'agnhost' of pod 'm/pod-1' was held back: its CPU limit …")
    assert no_results([slow], at_least=1e6) == [] == no_results([replace(slow, held_back="")], at_least=1e9)
    (text,) = no_results([slow, Rate("pod-2", "pod-1", 5e6)], at_least=1e9)
    assert text.startswith("pod-1 to pod-2: 5 Mbit/s is no result of the network: container 'agnhost' of pod 'm/pod-1'")
    assert no_results([replace(slow, bits_per_second=None)], at_least=None)
