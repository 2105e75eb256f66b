"""The iperf3 of this machine over paths that drop, double and cut datagrams: what is read is what the kernel counted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess

import pytest

from NetLibrary._mechanics.throughput import Iperf3Problem, Measurement, Request, read
from NetLibrary._mechanics.throughput.objects import ATTEMPTS

pytestmark = pytest.mark.skipif(  # slow rates: a starved receiver drops on its own
    os.geteuid() != 0 or not all(map(shutil.which, ("iperf3", "ip", "nft", "unshare", "nsenter"))),
    reason="needs root, iperf3, iproute2 and nft",
)
SERVER = "192.0.2.1"
# Two network namespaces joined by a cable; datagrams are told from iperf3's handshake by their length
SCRIPT = """
set -e
ip link set lo up
unshare -n sleep 60 & far=$!
trap 'kill $far' EXIT
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link add near type veth peer name far
ip link set far netns $far
ip addr add 192.0.2.2/24 dev near; ip link set near up
nsenter -n -t $far sh -c 'ip link set lo up; ip addr add 192.0.2.1/24 dev far; ip link set far up'
nsenter -n -t $far iperf3 -s >/dev/null 2>&1 & server=$!
trap 'kill $far $server' EXIT
while ! nsenter -n -t $far grep -q ':1451 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done
{{ENTER}} nft -f - <<'RULES'
{{RULES}}
RULES
sh -c "$1" iperf3 0 3000 {{ARGUMENTS}} || true
echo; echo COUNTERS
{{ENTER}} nft list counters
"""
RULES = """
table ip path {{
  counter seen {{}}
  counter hit {{}}
  chain c {{
    type filter hook {hook} priority 0;
    udp {port} 5201 ip length gt 1000 counter name seen
    udp {port} 5201 ip length gt 1000 {rule}
  }}
}}
"""
DROP_30 = "numgen random mod 100 < 30 counter name hit drop"
CUT = "quota over 100000 bytes counter name hit drop"
DOUBLE_20 = "numgen random mod 100 < 20 counter name hit dup to 192.0.2.1 device near"


def over(rule: str, **options: object) -> tuple[Measurement | Iperf3Problem, int, int]:
    """Runs UDP over a path; returns the result, and how many datagrams the path saw and how many it treated."""
    request = Request(SERVER, seconds=1, protocol="udp", bits_per_second=2e6, block_bytes=1200, **options)  # type: ignore[arg-type]
    hook, port, enter = ("input", "sport", "") if request.reverse else ("input", "dport", "nsenter -n -t $far")
    if "dup to" in rule:
        hook, port, enter = "output", "dport", ""
    script = SCRIPT.replace("{{ENTER}}", enter).replace("{{RULES}}", RULES.format(hook=hook, port=port, rule=rule))
    script = script.replace("{{ARGUMENTS}}", shlex.join(request.arguments()))
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", script, "bash", ATTEMPTS],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    output, _, counters = done.stdout.partition("\nCOUNTERS\n")
    counted = {name: int(n) for name, n in re.findall(r"counter (\w+) \{\s*packets (\d+)", counters)}
    assert counted, done.stderr
    try:
        return read(output), counted["seen"], counted["hit"]
    except Iperf3Problem as problem:
        return problem, counted["seen"], counted["hit"]


@pytest.mark.parametrize(
    ("rule", "options"),
    [(DROP_30, {}), (DROP_30, {"reverse": True}), (CUT, {"streams": 3})],
    ids=["a third lost", "a third lost on the way back", "cut off, three streams"],
)
def test_loss_is_what_the_path_dropped(rule: str, options: dict[str, object]) -> None:
    result, seen, dropped = over(rule, **options)
    assert isinstance(result, Measurement)
    assert dropped > 20
    assert result.lost_percent == pytest.approx(100 * dropped / seen, abs=1)
    assert result.contradictions == ()


def test_omitted_second_does_not_count() -> None:
    result, seen, dropped = over(DROP_30, omit_seconds=1)
    assert isinstance(result, Measurement)
    assert seen > 1.8 * (result.packets or 0)
    assert result.lost_percent == pytest.approx(100 * dropped / seen, abs=12)  # the half that counts, by chance


def test_path_that_drops_all_is_no_result() -> None:
    result, _, dropped = over("counter name hit drop")
    assert isinstance(result, Iperf3Problem)
    assert (result.kind, result.sent and result.sent.packets) == ("nothing arrived", dropped)


def test_doubled_datagrams_are_no_loss() -> None:
    result, _, _ = over(DOUBLE_20)
    assert isinstance(result, Measurement)
    assert (result.lost_packets, result.lost_percent_at_most) == (0, 0.0)
    assert result.out_of_order == pytest.approx((result.received_packets or 0) - (result.packets or 0), abs=3)
    assert any("came twice" in note for note in result.notes)
