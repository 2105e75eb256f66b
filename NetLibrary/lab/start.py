"""Starts a lab: everything that can go side by side does, and whatever fails takes all of it down again."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

import yaml

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.polling import settle
from NetLibrary.lab import build, cgroups, components, disk, network, networks, node_files, recipes, store, tools
from NetLibrary.lab.apiserver import ApiServer, NoAnswer
from NetLibrary.lab.applying import apply_objects
from NetLibrary.lab.console import Say, Stopwatch
from NetLibrary.lab.images import assemble_all
from NetLibrary.lab.networks import programs as network_programs
from NetLibrary.lab.node import Node
from NetLibrary.lab.paths import Paths, cache
from NetLibrary.lab.processes import Component, run
from NetLibrary.lab.state import State

# Seconds for each wait. A loaded machine may need twenty times the usual, an emulated one more.
LIMIT = float(os.environ.get("NETLIBRARY_LAB_TIMEOUT", "180"))
POLL = 0.05
# A kubelet ends when containerd's socket is there but its runtime interface does not answer yet, or answers too late.
# Service managers start it again, and so does a lab, this often.
KUBELET_RESTARTS = 10
MANIFEST = Path(__file__).with_name("manifests") / "system.yaml"


class Cancelled(EnvironmentProblem):
    """Another part of the start failed, or the start was interrupted."""


class Starter:
    """One start of a lab whose state is written down already.

    Args:
        state: What is to be started.
        say: Tells how far it is.
        watch: Notes how long each phase takes.
    """

    def __init__(self, state: State, say: Say, watch: Stopwatch) -> None:
        self.state, self.plan, self.paths, self.options = state, state.plan, Paths.of(state.name), state.options
        self.say, self.watch = say, watch
        self.program = Path(state.programs) / "labnode"
        self.api = ApiServer(self.plan, self.paths)
        self.nodes = [Node(self.plan, self.paths, number) for number in range(1, self.plan.nodes + 1)]
        self.cancelled = threading.Event()
        self._restarts: Counter[Path] = Counter()
        self._system = cgroups.tracker() / self.plan.cgroup / "system"

    def run(self, archives: list[Path], extra: list[Path]) -> None:
        """Brings the lab up.

        Args:
            archives: The default images.
            extra: Images of the network and the load balancer that were chosen.
        """
        cgroups.create(self.plan.cgroup, self.plan.nodes)
        self.paths.processes.mkdir(parents=True, exist_ok=True)
        pool = ThreadPoolExecutor(max_workers=8 + 2 * self.plan.nodes, thread_name_prefix="lab")
        try:
            self._graph(pool, archives, extra)
        except BaseException:
            self.cancelled.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _graph(self, pool: ThreadPoolExecutor, archives: list[Path], extra: list[Path]) -> None:
        wires = pool.submit(
            self._phase,
            "network",
            lambda: network.create(self.plan, self.options.mtu, own=self.options.network == "bridge"),
        )
        papers = pool.submit(
            self._phase,
            "certificates",
            lambda: components.certificates(self.plan, self.paths, self.options.cluster_domain),
        )
        root = pool.submit(self._phase, "image store", lambda: self._store(archives))
        control = pool.submit(self._control_plane, [wires, papers])
        jobs = [control, *(pool.submit(self._node, node, [wires, papers, root], control) for node in self.nodes)]
        pending: set[Future] = {wires, papers, root, *jobs}
        while pending:  # short waits, so that a signal gets through to the main thread
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
            for job in done:
                job.result()
        if extra:
            with self.watch.phase("network"):
                self._install(extra)
        if self.options.network == "none":
            self.say("nodes become ready once a network is installed: --network none leaves that to you")
            return
        with self.watch.phase("nodes ready"):
            self._until("the nodes", self._nodes_ready, self._everything(), 2 * POLL)
        with self.watch.phase("DNS ready"):
            self._until("DNS", self._dns_ready, self._everything(), 2 * POLL)
        if extra:
            with self.watch.phase("network rolled out"):
                self._await_rollouts()

    def _install(self, archives: list[Path]) -> None:
        """Brings the images of a foreign network to the nodes and applies its objects."""
        store.import_on_nodes([node.containerd_socket for node in self.nodes], archives, self.state.snapshotter)
        apply_objects(self._kubectl, networks.objects(self.plan, self.options))

    def _await_rollouts(self) -> None:
        for obj in networks.objects(self.plan, self.options):
            if obj["kind"] in ("DaemonSet", "Deployment"):
                where, name = obj["metadata"]["namespace"], f"{obj['kind'].lower()}/{obj['metadata']['name']}"
                self._kubectl("-n", where, "rollout", "status", name, f"--timeout={LIMIT:g}s")

    def _kubectl(self, *words: str, stdin: str | None = None) -> str:
        kubectl = self.paths.programs / "kubectl"
        return run(kubectl, "--kubeconfig", self.paths.kubeconfig, *words, stdin=stdin, timeout=LIMIT + 30)

    def _phase(self, name: str, work: Callable[[], object]) -> object:
        with self.watch.phase(name):
            return work()

    def _await(self, jobs: list[Future]) -> None:
        for job in jobs:
            while not job.done():
                if self.cancelled.wait(POLL / 5):
                    raise Cancelled("The start was given up.")
            job.result()

    def _everything(self) -> list[Component]:
        mine = [c for name in components.CONTROL_PLANE if (c := Component(name, self.paths.processes)).command]
        return [*mine, *(node.process(name) for node in self.nodes for name in node.programs())]

    def _until(self, what: str, done: Callable[[], object], needed: list[Component], pause: float = POLL) -> None:
        """Waits until something holds; complains as soon as a program that it needs has ended."""

        def over() -> bool:
            if done():
                return True
            if self.cancelled.is_set():
                raise Cancelled("The start was given up.")
            for component in needed:
                if not component.alive() and not self._restarted(component):
                    where = component.log.parent.name
                    raise EnvironmentProblem(
                        f"{component.name} ({where}) ended during the start; "
                        f"the last lines of its log:\n{component.tail()}"
                    )
            return False

        if not settle(over, timeout=LIMIT, every=pause):
            tails = "\n".join(f"--- {c.name} ({c.log.parent.name})\n{c.tail(5)}" for c in needed)
            raise EnvironmentProblem(f"{what} did not become ready within {LIMIT:g} s.\n{tails}")

    def _restarted(self, component: Component) -> bool:
        """Starts an ended kubelet again; False when it has ended too often, or when it is another program."""
        if component.name != "kubelet" or self._restarts[component.log] >= KUBELET_RESTARTS:
            return False
        self._restarts[component.log] += 1
        time.sleep(2 * POLL)
        with contextlib.suppress(EnvironmentProblem):  # it ended at once: that was one of its tries
            component.start()
        return True

    # --- the image store ------------------------------------------------------------------------------

    def _store(self, archives: list[Path]) -> Path:
        def start(root: Path, sockets: Path) -> Component:
            config = self.paths.processes / "image-store.toml"
            config.write_text(
                f'version = 2\nroot = "{root}"\nstate = "{self.paths.base}/image-store"\n'
                f'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs"]\n'
                f'[grpc]\n  address = "{sockets}/containerd.sock"\n'
                f'[plugins."io.containerd.internal.v1.opt"]\n  path = "{self.paths.base}/opt"\n'
            )
            component = Component("image-store", self.paths.processes)
            component.define(["containerd", "--config", config], cgroup=self._system)
            component.start()
            self._until("the container runtime", lambda: (sockets / "containerd.sock").exists(), [component])
            return component

        kept, here = cache() / "stores", self.paths.base / "stores"
        # a cache in which layers cannot be stacked cannot hold unpacked images
        usable = disk.same(kept, self.paths.base) or disk.overlay_problem(kept) is None
        base = kept if usable else here
        found = store.prepared(base, recipes.digest(archives), archives, self.state.snapshotter, start, self.say)
        if disk.same(found, self.paths.base):
            return found
        store.clone(found, here)  # one real copy, which all nodes link to
        return here

    # --- control plane --------------------------------------------------------------------------------

    def _control_plane(self, before: list[Future]) -> None:
        self._await(before)
        configuration = components.admission(self.options)
        if configuration:
            (self.paths.base / "admission.yaml").write_text(configuration)
        (self.paths.base / "audit-policy.yaml").write_text(components.audit_policy())
        commands = components.control_plane(self.plan, self.paths, self.program, self.options)
        parts = {name: Component(name, self.paths.processes) for name in commands}
        for name, command in commands.items():
            parts[name].define(command, cgroup=self._system)
        self.paths.programs.mkdir(exist_ok=True)
        (self.paths.programs / "kubectl").symlink_to(self.program)
        with self.watch.phase("API server"):
            parts["etcd"].start()
            parts["kube-apiserver"].start()
            self._until("the API server", self.api.ready, [parts["etcd"], parts["kube-apiserver"]])
        with self.watch.phase("system objects"):
            for obj in self._system_objects():
                self.api.create(obj)
        for name in parts:
            if name not in ("etcd", "kube-apiserver"):
                parts[name].start()

    def _system_objects(self) -> list[dict]:
        nodes = []
        for node in self.nodes:
            ranges = self.plan.node_pods(node.number)
            labels = {"kubernetes.io/hostname": node.name, "netlibrary.io/lab": self.plan.name}
            nodes.append(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": node.name, "labels": labels},
                    "spec": {"podCIDR": ranges[0], "podCIDRs": ranges},
                }
            )
        servers = any(line.startswith("nameserver") for line in node_files.resolver().read_text().splitlines())
        values = {
            "{dns}": self.plan.dns,
            "{image}": recipes.COREDNS_IMAGE,
            "{replicas}": str(min(2, self.plan.nodes)),
            "{forward}": "forward . /etc/resolv.conf {\n            max_concurrent 1000\n        }" if servers else "",
            "{families}": "ipFamilyPolicy: PreferDualStack" if self.plan.dual else "",
            "{domain}": self.options.cluster_domain,
        }
        text = MANIFEST.read_text()
        for mark, value in values.items():
            text = text.replace(mark, value)
        return [*nodes, *yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))]

    # --- nodes ----------------------------------------------------------------------------------------

    def _node(self, node: Node, before: list[Future], control: Future) -> None:
        self._await(before)
        group = f"/{self.plan.cgroup}/{node.name}/pods"
        with self.watch.phase("node files"):
            node_files.write(self.plan, self.paths, node.number, self.options, group, self.state.snapshotter)
            store.clone(before[-1].result(), node.folder / "containerd")
        with self.watch.phase("container runtime"):
            node.hold()
            node.define(components.node_programs(self.plan, self.paths, node.number, self.program, self.options))
            runtime = node.process("containerd")
            runtime.start()
            self._until("the container runtime", node.containerd_socket.exists, [runtime])
        self._await([control])
        for name in node.programs():
            node.process(name).start()

    def _nodes_ready(self) -> bool:
        try:
            nodes = self.api.get("/api/v1/nodes")["items"]
        except NoAnswer:
            return False
        return len(nodes) == self.plan.nodes and all(
            any(c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", []))
            for node in nodes
        )

    def _dns_ready(self) -> bool:
        try:
            status = self.api.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns").get("status", {})
        except NoAnswer:
            return False
        return status.get("availableReplicas", 0) >= 1


def prepare(say: Say, watch: Stopwatch, release: str = "") -> tuple[Path, list[Path]]:
    """Returns the lab's programs and the archives of its default images, made where the cache does not have them."""
    with watch.phase("programs"):
        programs = build.programs(say, release)
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with watch.phase("images"):
        archives = assemble_all(recipes.default(programs, folder), folder)
    return programs, archives


def prepare_network(options: components.Options, say: Say, watch: Stopwatch) -> list[Path]:
    """Returns the archives of the images that a chosen network and load balancer need; none for the lab's own."""
    names = networks.programs_of(options)
    if not names:
        return []
    tools.ensure(say, ["ipset"] if "kube-router" in names else [])
    with watch.phase("programs of the network"):
        built = network_programs.programs(names, say)
    with watch.phase("images of the network"):
        return assemble_all(networks.recipes(options, built), cache() / "images")


def versions(programs: Path, release: str = "") -> dict[str, str]:
    """Returns the versions of what runs in a lab."""
    runtime = run("containerd", "--version").split()
    return {
        "kubernetes": build.kubernetes_version(release),
        "containerd": runtime[2] if len(runtime) > 2 else "unknown",
        "go": programs.name.rpartition("-go")[2],
        "coredns": recipes.COREDNS_IMAGE.rpartition(":")[2],
    }
