"""A real path for iperf3's datagrams: two network namespaces and a cable that drops, doubles, reorders or cuts.

The kernel counts what it did, so what a run reports can be held against what really happened.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass

from NetLibrary._mechanics.throughput import Request
from NetLibrary._mechanics.throughput.objects import ATTEMPTS

POSSIBLE = os.geteuid() == 0 and all(map(shutil.which, ("iperf3", "ip", "nft", "tc", "unshare", "nsenter")))
SERVER = "192.0.2.1"
# Datagrams are told from iperf3's handshake by their length
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
{{SERVER_PATH}} nsenter -n -t $far iperf3 -s >/dev/null 2>&1 & server=$!
trap 'kill $far $server' EXIT
while ! nsenter -n -t $far grep -q ':1451 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done
{{SHAPE}}
{{ENTER}} nft -f - <<'RULES'
{{RULES}}
RULES
{{CLIENT_PATH}} sh -c "$1" iperf3 0 3000 {{ARGUMENTS}} || true
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
CLEAN = "accept"
DROP_30 = "numgen random mod 100 < 30 counter name hit drop"
DROP_ALL = "counter name hit drop"
CUT = "quota over 100000 bytes counter name hit drop"
DOUBLE_20 = "numgen random mod 100 < 20 counter name hit dup to 192.0.2.1 device near"
# Some wait for tokens in a class of their own, and the others overtake them
LATE_20 = "numgen random mod 100 < 20 counter name hit meta priority set 1:20"
SLOW_CLASS = """
tc qdisc add dev near root handle 1: htb default 10
tc class add dev near parent 1: classid 1:10 htb rate 1gbit quantum 1500
tc class add dev near parent 1: classid 1:20 htb rate 600kbit burst 1300 cburst 1300 quantum 1500
"""


@dataclass(frozen=True)
class Truth:
    """What the kernel counted.

    Args:
        seen: Datagrams that came to the place of the rule.
        hit: Datagrams that the rule dropped, doubled or kept waiting.
    """

    seen: int
    hit: int


def run(rule: str, *, client: str = "", server: str = "", **options: object) -> tuple[str, Truth]:
    """Sends datagrams over the path; returns the client's output and the truth.

    Args:
        rule: What the path does, one of the rules above.
        client: Folder with another `iperf3` for the client.
        server: Folder with another `iperf3` for the server.
        options: Of the `Request`.
    """
    request = Request(
        SERVER, **{"seconds": 1, "protocol": "udp", "bits_per_second": 2e6, "block_bytes": 1200, **options}
    )  # type: ignore[arg-type]
    hook, port, enter = ("input", "sport", "") if request.reverse else ("input", "dport", "nsenter -n -t $far")
    if "dup to" in rule or "priority set" in rule:
        hook, port, enter = "output", "dport", ""
    script = SCRIPT
    for mark, value in {
        "ENTER": enter,
        "RULES": RULES.format(hook=hook, port=port, rule=rule),
        "SHAPE": SLOW_CLASS if "priority set" in rule else "",
        "SERVER_PATH": f"PATH={shlex.quote(server)}:$PATH" if server else "",
        "CLIENT_PATH": f"PATH={shlex.quote(client)}:$PATH" if client else "",
        "ARGUMENTS": shlex.join(request.arguments()),
    }.items():
        script = script.replace("{{" + mark + "}}", value)
    command = ["unshare", "-n", "bash", "-c", script, "bash", ATTEMPTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    output, _, counters = done.stdout.partition("\nCOUNTERS\n")
    counted = {name: int(n) for name, n in re.findall(r"counter (\w+) \{\s*packets (\d+)", counters)}
    assert counted, done.stderr
    return output, Truth(counted["seen"], counted["hit"])
