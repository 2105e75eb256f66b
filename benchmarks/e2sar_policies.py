#!/usr/bin/env python3
"""Do NetworkPolicies do what they say, and how soon? Truth tables of 81 cells, and the delay of a change.

    python3 benchmarks/e2sar_policies.py KUBECONFIG          any cluster with the stand-in's image, about a minute

Three namespaces with three pods each; every pod talks to every pod with TCP and UDP on ports 80 and 81. What must pass
is worked out by `_mechanics/e2sar/policies.py`, which knows nothing of how the cluster enforces it. Exit status 0 when
no cell differs and every change takes effect within a second. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from NetLibrary._mechanics.kube import Cluster, choose
from NetLibrary._mechanics.kube.policies import blocking
from NetLibrary._mechanics.kube.wait import pods_ready
from NetLibrary._mechanics.report import text_table

IMAGE = "ghcr.io/netlibrary/e2sar-perf-standin:1"
PORTS = (80, 81)
SERVER = """
import socket, threading
def tcp(port):
    s = socket.create_server(("", port), backlog=128)
    while True:
        c, _ = s.accept(); c.sendall(b"y"); c.close()
def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", port))
    while True:
        _, who = s.recvfrom(100); s.sendto(b"y", who)
jobs = [threading.Thread(target=f, args=(p,)) for f in (tcp, udp) for p in (80, 81)]
[j.start() for j in jobs]
"""
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def ask(cell):
    kind, address, port = cell
    for _ in range(3):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "TCP" else socket.SOCK_DGRAM)
        s.settimeout(0.7)
        try:
            s.connect((address, port))
            kind == "UDP" and s.send(b"x")
            if s.recv(1) == b"y":
                return True
        except OSError:
            pass
        finally:
            s.close()
    return False
cells = json.loads(sys.argv[1])
with ThreadPoolExecutor(40) as pool:
    print(json.dumps(list(pool.map(ask, cells))))
"""
WATCH = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 80)); s.settimeout(0.01)
state, end = True, time.time() + float(sys.argv[2])
while time.time() < end:
    try:
        s.send(b"x"); s.recv(1); now = True
        time.sleep(0.005)
    except OSError:
        now = False
    if now != state:
        state = now
        print(time.time(), "passes" if now else "stops", flush=True)
"""


def pod(namespace: str, name: str) -> dict[str, Any]:
    ports = [{"name": "web", "containerPort": 80}, {"name": "dgram", "containerPort": 80, "protocol": "UDP"}]
    container = {"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", SERVER],
                 "ports": ports, "readinessProbe": {"tcpSocket": {"port": 81}, "periodSeconds": 1}}  # fmt: skip
    labels = {"pod": name}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": spec,
    }


def policy(namespace: str, **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": "p"}
    spec = {"podSelector": {}, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def policies(x: str, y: str, block: str, except_: str) -> dict[str, dict[str, Any]]:
    """The tables: what each policy is called, and the policy."""
    a = {"podSelector": {"matchLabels": {"pod": "a"}}}
    in_y = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": y}}}
    both = {"policyTypes": ["Ingress", "Egress"]}
    dgram = [{"protocol": "UDP", "port": "dgram"}]
    return {
        "none": {},
        "default deny ingress": policy(x, policyTypes=["Ingress"]),
        "default deny egress": policy(x, policyTypes=["Egress"]),
        "deny all but own pods": policy(
            x, **both, ingress=[{"from": [{"podSelector": {}}]}], egress=[{"to": [{"podSelector": {}}]}]
        ),
        "from a namespace": policy(x, ingress=[{"from": [in_y]}]),
        "from one pod of a namespace": policy(x, ingress=[{"from": [{**in_y, **a}]}]),
        "TCP 80 only": policy(x, ingress=[{"ports": [{"protocol": "TCP", "port": 80}]}]),
        "UDP 80 to 81": policy(x, ingress=[{"ports": [{"protocol": "UDP", "port": 80, "endPort": 81}]}]),
        "named UDP port": policy(x, ingress=[{"ports": dgram}]),
        "egress to a named port": policy(x, policyTypes=["Egress"], egress=[{"ports": dgram}]),
        "block with exception": policy(x, ingress=[{"from": [{"ipBlock": {"cidr": block, "except": [except_]}}]}]),
        "one pod only": policy(x, podSelector=a["podSelector"], ingress=[{"from": [a]}]),
    }


class World:
    """The pods, and who reaches whom."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.spaces = [f"policies-{secrets.token_hex(2)}-{name}" for name in "xyz"]
        self.pods: list[dict[str, Any]] = []
        self.namespaces: list[dict[str, Any]] = []

    def make(self) -> None:
        """Makes namespaces and pods, and waits for them."""
        for space in self.spaces:
            self.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
            for name in "abc":
                self.cluster.create(pod(space, name))
        for space in self.spaces:
            self.pods += self.cluster.wait("Pod", space, pods_ready(3), timeout=120, what=f"Pods of '{space}'")
            self.namespaces.append(self.cluster.get("Namespace", space))

    def cells(self) -> list[tuple[str, str, int]]:
        """What every pod tries."""
        return [(kind, p["status"]["podIP"], port) for p in self.pods for kind in ("TCP", "UDP") for port in PORTS]

    def seen(self) -> list[list[bool]]:
        """What each pod reaches."""

        def ask(p: dict[str, Any]) -> list[bool]:
            meta = p["metadata"]
            command = ["python3", "-c", PROBE, json.dumps(self.cells())]
            ran = self.cluster.exec(meta["namespace"], meta["name"], command, timeout=90)
            answers: list[bool] = json.loads(ran.stdout)
            return answers

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(ask, self.pods))

    def wanted(self, applied: dict[str, Any]) -> list[list[bool]]:
        """What each pod should reach."""
        listed = [applied] if applied else []
        return [[p is q or not blocking(listed, self.namespaces, p, q, kind, port)
                 for q in self.pods for kind in ("TCP", "UDP") for port in PORTS] for p in self.pods]  # fmt: skip

    def delays(self, rounds: int) -> list[tuple[str, float]]:
        """Seconds from the answer of the API server to the last (first) answer of a pod."""
        client, server = self.pods[3]["metadata"], self.pods[0]
        applied = policy(self.spaces[0], policyTypes=["Ingress"])
        command = ["python3", "-c", WATCH, server["status"]["podIP"], str(3 * rounds + 2)]
        done: list[tuple[float, str]] = []
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(
                self.cluster.exec, client["namespace"], client["name"], command, timeout=3 * rounds + 30
            )
            time.sleep(1.5)
            for _ in range(rounds):
                self.cluster.create(applied)
                done.append((time.time(), "stops"))
                time.sleep(1.5)
                self.cluster.delete("NetworkPolicy", "p", self.spaces[0])
                done.append((time.time(), "passes"))
                time.sleep(1.5)
            lines = [line.split() for line in watching.result().stdout.splitlines()]
        found = []
        for at, word in done:
            later = [float(when) - at for when, what in lines if what == word and float(when) - at > -0.5]
            found.append((word, max(0.0, later[0]) if later else float("inf")))
        return found

    def remove(self) -> None:
        """Removes everything."""
        for space in self.spaces:
            self.cluster.delete("Namespace", space)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("kubeconfig")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    world = World(Cluster.connect(choose(options.kubeconfig)))
    rows, wrong = [], 0
    try:
        world.make()
        address = world.pods[3]["status"]["podIP"]
        block, inside = ".".join(address.split(".")[:2]) + ".0.0/16", f"{address}/32"
        for name, applied in policies(world.spaces[0], world.spaces[1], block, inside).items():
            if applied:
                world.cluster.create(applied)
                time.sleep(1.0)
            differ = sum(s != w for seen, wanted in zip(world.seen(), world.wanted(applied), strict=True)
                         for s, w in zip(seen, wanted, strict=True))  # fmt: skip
            if applied:
                world.cluster.delete("NetworkPolicy", "p", world.spaces[0])
                time.sleep(0.5)
            rows.append([name, 81 * 4, differ])
            wrong += differ
        print(text_table(["policy", "probes", "differ"], rows))
        delays = world.delays(options.rounds)
    finally:
        world.remove()
    for word in ("stops", "passes"):
        values = [delay for kind, delay in delays if kind == word]
        print(f"Traffic {word} after {statistics.median(values):.3f} s (median), {max(values):.3f} s at the most.")
    return 0 if not wrong and all(delay < 1 for _, delay in delays) else 1


if __name__ == "__main__":
    sys.exit(main())
