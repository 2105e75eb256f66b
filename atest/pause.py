"""Times of runs of CyPerf in processes of their own, from what each has left: its log, and its note in the cluster."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from datetime import datetime, timezone
from pathlib import Path

from running import lab_of_run

from NetLibrary._mechanics.cyperf.pause import NAME
from NetLibrary.lab import Lab

SETTING = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"


class pause:  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about the pause between runs."""

    @property
    def _lab(self) -> Lab:
        return lab_of_run("Settings of nodes are changed; that is for a lab.")

    def nodes_keep_closed_connections(self, seconds: str) -> None:
        """Sets how long the nodes' connection tracking keeps closed connections."""
        for node in self._lab.nodes:
            node.run(["sysctl", "-q", "-w", f"{SETTING}={seconds}"])

    def stand_ins_are_installed(self) -> None:
        """Loads the images of the CyPerf stand-in."""
        self._lab.install("cyperf")

    def end_of_the_last_run(self, namespace: str) -> float:
        """Returns the time of the last run's end as it is kept in the cluster."""
        found = json.loads(self._lab.kubectl("-n", namespace, "get", "configmap", NAME, "-o", "json"))
        return max(datetime.fromisoformat(json.loads(each)["ended"]).timestamp() for each in found["data"].values())

    def begin_of_the_traffic(self, log: str) -> float:
        """Returns when a run has started its test."""
        for keyword in ET.parse(Path(log)).iter("kw"):
            status = keyword.find("status")
            if keyword.get("name") == "Measure CyPerf Traffic" and status is not None:
                # Robot writes local time
                return datetime.fromisoformat(status.get("start", "")).astimezone(timezone.utc).timestamp()
        raise AssertionError(f"No traffic in {log}.")

    def seconds_waited(self, log: str) -> float:
        """Returns how long a run has waited for the pause, and fails where the pause was not the nodes' own."""
        found = re.search(
            r"[(]nf_conntrack_tcp_timeout_time_wait of node '\w+'[)]; waited ([0-9.]+) s", Path(log).read_text()
        )
        if not found:
            raise AssertionError(f"{log} does not tell of a pause that a node has set.")
        return float(found[1])
