"""What runs in a lab."""

from __future__ import annotations

import json
import time
from typing import Any

from tabulate import tabulate

from NetLibrary.lab.apiserver import ApiServer, NoAnswer
from NetLibrary.lab.cluster import Lab
from NetLibrary.lab.components import CONTROL_PLANE
from NetLibrary.lab.node import Node
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.processes import CommandFailed, Component, run
from NetLibrary.lab.state import boot_id, labs
from NetLibrary.lab.tools import find

RUNNING, BROKEN, ABSENT = 0, 1, 3  # the last as `systemctl status` has it


def collect(lab: Lab) -> dict[str, Any]:
    """Returns what is known about a lab, as a tree of plain values."""
    known = lab.state
    facts: dict[str, Any] = {
        "name": lab.name,
        "phase": "absent",
        "others": [other for other in labs() if other != lab.name],
    }
    if known is None:
        return facts
    plan, paths = known.plan, Paths.of(lab.name)
    same_boot = known.boot == boot_id()
    api = ApiServer(plan, paths)
    answering = same_boot and Component("kube-apiserver", paths.processes).alive()
    try:
        listed = {n["metadata"]["name"]: n for n in api.get("/api/v1/nodes")["items"]} if answering else {}
    except (NoAnswer, OSError):
        listed = {}
    nodes = [Node(plan, paths, number) for number in range(1, plan.nodes + 1)]
    facts.update(
        phase=known.phase if same_boot else "left over from before a restart of the machine",
        kubeconfig=str(lab.kubeconfig),
        server=plan.api,
        created=known.created,
        versions=known.versions,
        timings=known.timings,
        proxy_mode=known.options.proxy_mode,
        api_answers=bool(listed),
        control_plane={name: Component(name, paths.processes).pid if same_boot else None for name in CONTROL_PLANE},
        nodes=[_node(node, listed.get(node.name), same_boot) for node in nodes],
        images=_images(nodes[0]) if same_boot and Component("containerd", nodes[0].folder).alive() else [],
        installed=known.installed,
        uses=len(list(paths.uses.glob("*"))),
    )
    return facts


def _node(node: Node, listed: dict | None, same_boot: bool) -> dict[str, Any]:
    conditions = (listed or {}).get("status", {}).get("conditions", [])
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "Unknown")
    programs = {name: Component(name, node.folder).pid if same_boot else None for name in node.programs()}
    return {
        "name": node.name,
        "address": node.address,
        "pods": node.pods,
        "netns": node.netns,
        "interface": node.interface,
        "ready": ready == "True",
        "programs": programs,
    }


def _images(node: Node) -> list[str]:
    try:
        ctr = find("ctr") or "ctr"
        listed = run(
            ctr, "--address", node.containerd_socket, "--namespace", "k8s.io", "images", "list", "-q", timeout=10
        )
    except CommandFailed:
        return []
    return sorted(line for line in listed.split() if not line.startswith("sha256:"))


def healthy(facts: dict[str, Any]) -> bool:
    """Tells whether everything that belongs to the lab runs."""
    return (
        facts["phase"] == "running"
        and facts["api_answers"]
        and all(facts["control_plane"].values())
        and all(node["ready"] and all(node["programs"].values()) for node in facts["nodes"])
    )


def report(lab: Lab, *, as_json: bool) -> int:
    """Prints what is known about a lab.

    Returns:
        0 when all of it runs, 1 when something does not, 3 when there is no such lab.
    """
    facts = collect(lab)
    if as_json:
        print(json.dumps(facts, indent=1))
    elif facts["phase"] == "absent":
        others = f" Others are: {', '.join(facts['others'])}." if facts["others"] else ""
        print(f"There is no lab '{lab.name}'.{others}")
    else:
        print(_text(facts))
    if facts["phase"] == "absent":
        return ABSENT
    return RUNNING if healthy(facts) else BROKEN


def _state_of(pid: int | None) -> str:
    return str(pid) if pid else "DOWN"


def _by_repository(images: list[str]) -> dict[str, list[str]]:
    repositories: dict[str, list[str]] = {}
    for image in images:
        name, _, tag = image.rpartition(":")
        repositories.setdefault(name, []).append(tag)
    return repositories


def _text(facts: dict[str, Any]) -> str:
    versions = facts["versions"]
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["created"]))
    took = f", up after {facts['timings']['total']:.1f} s" if "total" in facts["timings"] else ""
    answers = "answers" if facts["api_answers"] else "DOES NOT ANSWER"
    programs = sorted({name for node in facts["nodes"] for name in node["programs"]})
    rows = [
        [
            node["name"],
            "Ready" if node["ready"] else "NOT READY",
            node["address"],
            node["pods"],
            *(_state_of(node["programs"].get(name)) for name in programs),
        ]
        for node in facts["nodes"]
    ]
    lines = [
        f"Lab '{facts['name']}': {facts['phase']} since {since}{took}",
        f"Kubernetes {versions.get('kubernetes')}, containerd {versions.get('containerd')}, "
        f"CoreDNS {versions.get('coredns')}, kube-proxy in {facts['proxy_mode']} mode",
        f"API server {facts['server']} {answers}; KUBECONFIG={facts['kubeconfig']}",
        "Control plane (pid): " + ", ".join(f"{name} {_state_of(pid)}" for name, pid in facts["control_plane"].items()),
        "",
        tabulate(rows, ["node", "state", "address", "pods", *(f"{name} (pid)" for name in programs)]),
        "",
        f"Images ({len(facts['images'])}):",
        *(f"  {name}: {' '.join(tags)}" for name, tags in sorted(_by_repository(facts["images"]).items())),
    ]
    if facts["installed"]:
        lines.append(f"Stand-ins installed: {', '.join(sorted(facts['installed']))}")
    if facts["uses"]:
        lines.append(f"In use by {facts['uses']} test runs")
    if facts["others"]:
        lines.append(f"Other labs: {', '.join(facts['others'])}")
    return "\n".join(lines)
