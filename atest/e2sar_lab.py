"""Does to a lab what the E2SAR tests need and no keyword offers: evictions, bandwidth limits, lost fragments."""

from __future__ import annotations

import json
from typing import Any

from robot.libraries.BuiltIn import BuiltIn

TABLE = "e2sar_fragments"


def _cluster() -> Any:
    return BuiltIn().get_library_instance("NetLibrary").session.cluster()


def let_bandwidth_limit_of_node_act_at_once(node: str, rate: str) -> None:
    """Takes the burst away that a container runtime allows before a bandwidth annotation holds (256 MiB).

    Args:
        node: Node with one pod that has an ingress annotation.
        rate: Its rate, as `tc` writes it.
    """
    place = _cluster().lab.node(node)
    limited = [
        each["dev"]
        for each in json.loads(place.run(["tc", "-j", "qdisc", "show"]).stdout)
        if each["kind"] == "tbf" and each["dev"].startswith("veth")
    ]
    assert len(limited) == 1, f"{node} has {len(limited)} pods with a limit: {limited}"
    place.run(
        ["tc", "qdisc", "replace", "dev", limited[0], "root", "tbf", "rate", rate, "burst", "32kb", "latency", "25ms"]
    )


def drop_fragments_at_node(node: str) -> None:
    """Drops all but the first fragment of each IP packet that comes to a node, as some firewalls do."""
    # before connection tracking puts fragments together again (priority -400)
    lines = ["type filter hook prerouting priority -450;", "ip frag-off & 0x1fff != 0 counter drop"]
    text = "\n".join([f"table ip {TABLE} {{", "chain c {", *lines, "}", "}", ""])
    _cluster().lab.node(node).run(["nft", "-f", "-"], stdin=text)


def let_fragments_pass() -> None:
    """Undoes `Drop Fragments At Node`, wherever it was."""
    for node in _cluster().lab.nodes:
        node.run(["nft", "delete", "table", "ip", TABLE], check=False)


def add_image_with_an_older_e2sar_perf(reference: str) -> None:
    """Loads an image whose e2sar_perf knows fewer options than any supported version."""
    from NetLibrary.lab.images import Recipe

    program = b"#!/bin/sh\necho 'E2SAR Version: 0.0.9'\necho '  -s [ --send ]   send traffic'\n"
    _cluster().lab.add_images([Recipe("e2sar-too-old", (reference,), files={"/usr/local/bin/e2sar_perf": program})])
