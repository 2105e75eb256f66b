"""Makes one lab into clusters as several makers sell them, and runs suites there."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from kinds import kinds
from oddities import Relay, oddities
from path_proxy import PathProxy
from robot.api import logger
from running import ROOT, command_of, output_folder, tests_of

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.lab import Lab
from NetLibrary.lab.pki import Authority

Object = dict[str, Any]
LOCAL_DNS = "169.254.20.10"
# How the makers' own tools write kubeconfigs: names of cluster, user and context, and what gives the token.
# Sources: `aws eks update-kubeconfig`, `gcloud container clusters get-credentials`, `az aks get-credentials` with
# `kubelogin convert-kubeconfig`, `oc login`
EKS, GKE = "arn:aws:eks:eu-central-1:123456789012:cluster/prod", "gke_our-project_europe-west3_prod"
LOGINS: dict[str, tuple[tuple[str, str, str], list[str]]] = {
    "EKS": ((EKS, EKS, EKS), ["aws", "--region", "eu-central-1", "eks", "get-token", "--cluster-name", "prod",
                              "--output", "json"]),
    "GKE": ((GKE, GKE, GKE), ["gke-gcloud-auth-plugin"]),
    "AKS": (("prod", "clusterUser_group_prod", "prod"), ["kubelogin", "get-token", "--login", "azurecli",
                                                         "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630"]),
    "OpenShift": (("api-prod-example:6443", "jane/api-prod-example:6443", "shop/api-prod-example:6443/jane"), []),
}  # fmt: skip
# Like the real plugins: refuses other arguments, and says until when its token counts
PLUGIN = """#!/bin/sh
[ "$*" = '{arguments}' ] || {{ echo "usage: {name} {arguments}" >&2; exit 2; }}
echo >> '{folder}/calls'
until=$(date -u -d '+{lasts} seconds' +%Y-%m-%dT%H:%M:%SZ)
echo '{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "spec": {{}},'
echo '"status": {{"expirationTimestamp": "'$until'", "token": "'$(cat '{folder}/token')'"}}}}'
"""
CLONE_NEWNET = 0x40000000


class makers(oddities):  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about clusters of several makers, besides those about odd ones."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def __init__(self) -> None:
        super().__init__()
        self._kinds = kinds()
        self._space = ""  # namespace of an account that was made
        self._login = Path()  # where a plugin is

    @property
    def _lab(self) -> Lab:
        return Lab(self._kinds.get_lab_name())

    def start_lab(self, options: str) -> None:
        """Starts the lab of all rows, with options of `lab up`."""
        self._kinds.start_lab_of_kind(options)

    def stop_lab(self) -> None:
        """Takes the lab down."""
        self._kinds.stop_lab()

    def taint_nodes(self, taint: str, *nodes: str) -> None:
        """Taints nodes until the end of the test."""
        key = taint.partition("=")[0].partition(":")[0]
        self._lab.kubectl("taint", "nodes", *nodes, taint)
        self._undo.append(lambda: self._lab.kubectl("taint", "nodes", *nodes, f"{key}-"))

    # --- how it is reached --------------------------------------------------------------------------------

    def reach_nothing_but_the_api_server(self) -> None:
        """Runs suites where the API server is at 127.0.0.1, and what is sent elsewhere is lost without a word."""
        space = f"{self._lab.name}-desk"
        for line in (
            f"ip netns add {space}",
            f"ip -n {space} link set lo up",
            f"ip -n {space} link add lost type veth peer name nowhere",
            f"ip -n {space} link set nowhere up",
            f"ip -n {space} link set lost arp off up",
            f"ip -n {space} route add default dev lost",
        ):
            subprocess.run(line.split(), check=True, capture_output=True, text=True)
            if "netns add" in line:
                self._undo.append(lambda: subprocess.run(["ip", "netns", "delete", space], check=True))
        self.reach_server_by(Relay(self._lab.plan.api_address, 6443, door=_door_in(space)))
        self._words = ["ip", "netns", "exec", space]

    def log_in_as_on(self, maker: str, lasts: int = 3600) -> None:
        """Lets suites use a kubeconfig as a maker's tools write it, with a plugin whose tokens last some seconds."""
        (cluster, user, context), command = LOGINS[maker]
        folder, token = self._folder(), self._token()
        (folder / "token").write_text(token)
        config = json.loads(self._lab.kubeconfig.read_text())
        by_plugin = {
            "apiVersion": "client.authentication.k8s.io/v1beta1", "command": command[0], "args": command[1:],
            "env": None, "installHint": "Install it first.", "interactiveMode": "IfAvailable",
            "provideClusterInfo": maker == "GKE",
        } if command else {}  # fmt: skip
        config["clusters"][0]["name"], config["current-context"] = cluster, context
        config["users"] = [{"name": user, "user": {"exec": by_plugin} if command else {"token": token}}]
        there = {"cluster": cluster, "user": user, "namespace": "default"}
        config["contexts"] = [{"name": context, "context": there}]
        self._use_kubeconfig(folder, config, "--loglevel", "TRACE")
        if command:
            program = folder / command[0]
            arguments = " ".join(command[1:])
            program.write_text(PLUGIN.format(arguments=arguments, name=command[0], folder=folder, lasts=lasts))
            program.chmod(0o755)
            self._words = ["env", f"PATH={folder}:{os.environ['PATH']}"]
        self._login = folder

    def plugin_should_have_run(self, at_least: int) -> None:
        """Fails unless the plugin was asked for a token that often."""
        calls = len((self._login / "calls").read_text().splitlines())
        assert calls >= int(at_least), f"the plugin ran {calls} times"

    def token_should_be_nowhere(self) -> None:
        """Fails when a file that a suite of this test left has the token."""
        token = (self._login / "token").read_bytes()
        files = [path for path in output_folder("odd").rglob("*") if path.is_file()]
        seen = [str(path) for path in files if token in path.read_bytes()]
        assert files, "no suite ran"
        assert not seen, f"the token is in {seen}"

    def cloud_gives_load_balancers(self, way: str) -> None:
        """Gives Services of type LoadBalancer the addresses of all nodes (`nodes`), or a name (`hostname`).

        A port of the nodes serves one Service, as with k3s: another one with that port stays pending.
        """
        items = json.loads(self._lab.kubectl("get", "nodes", "-o", "json"))["items"]
        nodes = [{"ip": a["address"]} for node in items for a in node["status"]["addresses"]
                 if a["type"] == "InternalIP"]  # fmt: skip

        def give(over: threading.Event) -> None:
            while not over.wait(1):
                with contextlib.suppress(NetLibraryError):
                    self._give(way, nodes)

        self._meanwhile(give)

    def _give(self, way: str, nodes: list[Object]) -> None:
        services = json.loads(self._lab.kubectl("get", "services", "-A", "-o", "json"))["items"]
        balanced = [each for each in services if each["spec"]["type"] == "LoadBalancer"]
        taken: set[tuple[int, str]] = set()
        for service in sorted(balanced, key=lambda each: not each["status"].get("loadBalancer")):
            ports = {(int(port["port"]), str(port["protocol"])) for port in service["spec"]["ports"]}
            if way == "nodes" and taken & ports:
                continue
            taken |= ports
            if not service["status"].get("loadBalancer"):
                name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
                named = [{"hostname": f"{name}-{namespace}.elb.eu-central-1.example"}]
                status = {"status": {"loadBalancer": {"ingress": nodes if way == "nodes" else named}}}
                words = ["patch", "service", name, "-n", namespace, "--subresource=status", "--type=merge"]
                self._lab.kubectl(*words, "-p", json.dumps(status))

    def reach_cluster_by_path(self, path: str) -> None:
        """Lets suites talk to the API server by way of a proxy that has it below a path, as Rancher has."""
        folder = self._folder()
        authority = Authority(folder, "proxy")
        authority.issue("server", "proxy", hosts=("127.0.0.1",))
        plan, config = self._lab.plan, json.loads(self._lab.kubeconfig.read_text())
        proxy = PathProxy(folder, path, plan.api_address, 6443)
        config["clusters"][0]["cluster"] = {
            "server": f"https://127.0.0.1:{proxy.port}{path}",
            "certificate-authority": "server-ca.crt",  # beside the kubeconfig
        }
        config["users"][0]["user"] = {"token": self._token()}
        (folder / "server-ca.crt").write_bytes(authority.pem)
        self._use_kubeconfig(folder, config)
        self._undo.append(proxy.close)

    def _token(self) -> str:
        """Returns the token of an account that may do everything, until the end of the test."""
        lab = self._lab
        self._space = space = f"maker-{time.time_ns() % 10**6}"
        lab.kubectl("create", "namespace", space)
        self._undo.append(lambda: lab.kubectl("delete", "namespace", space, "--wait=false"))
        lab.kubectl("-n", space, "create", "serviceaccount", "tester")
        bind = ["--clusterrole=cluster-admin", f"--serviceaccount={space}:tester"]
        lab.kubectl("create", "clusterrolebinding", space, *bind)
        self._undo.append(lambda: lab.kubectl("delete", "clusterrolebinding", space))
        return lab.kubectl("-n", space, "create", "token", "tester", "--duration=1h").strip()

    def cache_names_on_nodes(self) -> None:
        """Has the cluster's DNS answer at one address on every node, and pods ask there."""
        lab = self._lab
        real = lab.kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
        for node in lab.nodes:
            node.run(["ip", "address", "add", f"{LOCAL_DNS}/32", "dev", "lo"])
            self._undo.append(lambda node=node: node.run(["ip", "address", "del", f"{LOCAL_DNS}/32", "dev", "lo"]))
        folder = self._folder()
        (folder / "Corefile").write_text(f".:53 {{\n  cache 30\n  forward . {real}\n}}\n")
        for node in lab.nodes:
            self._start_cache(node, folder / "Corefile")
        self.admit_pods_as("node_local_dns")

    def _start_cache(self, node: Any, corefile: Path) -> None:
        program = Path(self._lab.require_up().programs) / "coredns"
        words = [*node.enter, str(program), "-conf", str(corefile)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._undo += [process.wait, process.kill]

    def move_dns(self, name: str, namespace: str, labels: str) -> None:
        """Gives the Service of the cluster's DNS another name, namespace and label, at the address that pods know."""
        lab = self._lab
        old = json.loads(lab.kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "json"))
        for part in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "annotations"):
            old["metadata"].pop(part, None)
        old.pop("status", None)
        mine = ["-l", "kubernetes.io/service-name=kube-dns", "-o", "json"]
        endpoints = json.loads(lab.kubectl("-n", "kube-system", "get", "endpointslices", *mine))["items"]
        back = json.dumps(old)
        self._undo.append(lambda: lab.kubectl("apply", "-f", "-", stdin=back))
        if namespace != "kube-system":
            lab.kubectl("create", "namespace", namespace)
            self._undo.append(lambda: lab.kubectl("delete", "namespace", namespace))
        lab.kubectl("-n", "kube-system", "delete", "service", "kube-dns")
        key, _, value = labels.partition("=")
        spec = {part: value for part, value in old["spec"].items() if part != "selector"}
        new = {**old, "metadata": {"name": name, "namespace": namespace, "labels": {key: value}}, "spec": spec}
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(new))
        self._undo.append(lambda: lab.kubectl("-n", namespace, "delete", "service", name))
        for number, each in enumerate(endpoints):
            metadata = {"name": f"{name}-{number}", "namespace": namespace,
                        "labels": {"kubernetes.io/service-name": name}}  # fmt: skip
            lab.kubectl("apply", "-f", "-", stdin=json.dumps({**each, "metadata": metadata}))

    def suite_should_pass_in_a_pod(self, suite: str, *options: str) -> None:
        """Runs a suite in a pod whose account may do everything, without a kubeconfig; no test may fail.

        The pod sees the programs of this machine.
        """
        lab, folder = self._lab, output_folder("in-pod", suite)
        folder.mkdir(parents=True, exist_ok=True)
        self._token()
        places = [Path(each) for each in ("/usr", "/lib", "/lib64", "/bin")]
        places += [Path(sys.prefix), Path(sys.base_prefix), ROOT, folder]
        kept = [p for p in dict.fromkeys(places) if not any(p != other and p.is_relative_to(other) for other in places)]
        volumes = [{"name": f"v{n}", "hostPath": {"path": str(p)}} for n, p in enumerate(kept)]
        mounts = [{"name": f"v{n}", "mountPath": str(p)} for n, p in enumerate(kept)]
        words = [*command_of(suite, folder, "-v", "CLUSTER:kubeconfig", *options)]
        container = {
            "name": "robot", "image": "docker.io/library/busybox:1.36", "workingDir": str(ROOT), "command": words,
            "env": [{"name": "PYTHONPATH", "value": str(ROOT)}, {"name": "HOME", "value": "/tmp"}],
            "volumeMounts": mounts,
        }  # fmt: skip
        spec = {"serviceAccountName": "tester", "restartPolicy": "Never", "containers": [container], "volumes": volumes}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "robot", "namespace": self._space}, "spec": spec}
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        with contextlib.suppress(NetLibraryError):
            done = "jsonpath={.status.containerStatuses[0].state.terminated}"
            lab.kubectl("-n", self._space, "wait", "pod/robot", f"--for={done}", "--timeout=240s")
        said = lab.kubectl("-n", self._space, "logs", "robot")
        logger.info(said)
        assert "this process runs in a pod" in said, said[-2000:]
        self._judge(suite, tests_of(folder))


def _door_in(netns: str) -> socket.socket:
    """Returns a socket that listens at 127.0.0.1 of a network namespace; it stays there when its thread has ended."""
    doors: list[socket.socket] = []

    def enter() -> None:
        with open(f"/run/netns/{netns}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"network namespace {netns}")
        doors.append(socket.create_server(("127.0.0.1", 0)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return doors[0]


__all__ = ["makers"]
