"""A node of a lab: namespaces of its own for network, mounts and host name, and the programs in them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError, WaitTimeout
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.programs import Ran, run_here
from NetLibrary.lab import cgroups, folders, network
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import AddressPlan
from NetLibrary.lab.processes import CommandFailed, Component

# Runs in the node's new mount namespace and then holds it. Mounts of pods stay in there: the machine never sees them,
# and they go when the node's last process goes. Named network namespaces of the machine must not be pinned by copies of
# their mounts, and those of the node's pods need a place. Containers with mount propagation need a shared root.
HOLD = """
set -e
hostname "$1"
umount -l -R /run/netns 2>/dev/null || true
mount -t tmpfs -o mode=755 lab-netns /run/netns
mount --make-rshared /
for bind in "${@:3}"; do mount --bind "${bind%%:*}" "${bind#*:}"; done
: >"$2"
exec sleep infinity
"""


class Vantage:
    """A place in the network from which programs of the machine may be run.

    Args:
        name: For messages.
        netns: Name of its network namespace.
        address: Its address.
        cgroup: Control group for what runs there, so that it ends with the lab at the latest.
    """

    def __init__(self, name: str, netns: str, address: str, cgroup: Path) -> None:
        self.name, self.netns, self.address = name, netns, address
        self._cgroup = cgroup

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.address})"

    @property
    def enter(self) -> list[str]:
        """The command that enters the place; a program and its arguments go behind it."""
        join = f'echo $$ 2>/dev/null >{self._cgroup}/cgroup.procs; exec "$@"'
        return ["sh", "-c", join, "sh", *self._nsenter()]

    def _nsenter(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.netns}", "--"]

    def run(
        self, command: Sequence[str | Path], *, stdin: str | None = None, timeout: float = 30.0, check: bool = True
    ) -> Ran:
        """Runs a program of the machine there.

        Args:
            command: The program and its arguments.
            stdin: What it reads.
            timeout: Seconds it may take.
            check: Whether a status other than 0 is an error.
        Raises:
            CommandFailed: It failed and `check` is set, or took too long.
        """
        words = [str(word) for word in command]
        try:
            done = run_here(words, where=f"on {self.name}", enter=self.enter, stdin=stdin, timeout=timeout)
        except WaitTimeout as error:
            raise CommandFailed(str(error)) from error
        if check and done.exit_code:
            said = (done.stderr or done.stdout).strip() or "nothing"
            raise CommandFailed(
                f"'{' '.join(words)}' on {self.name} ended with status {done.exit_code} and printed: {said}"
            )
        return done

    def popen(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen:
        """Starts a program there, as `subprocess.Popen` does; the caller ends it."""
        return subprocess.Popen([*self.enter, *map(str, command)], **options)


class Node(Vantage):
    """One node. Its programs are `containerd`, `kubelet`, `kube-proxy` and the lab's agents.

    Args:
        plan: Addresses and names of the lab.
        paths: Files of the lab.
        number: Which node; they count from 1.

    Example:
        >>> from NetLibrary.lab import Lab
        >>> node = Lab("default").node("node1")  # doctest: +SKIP
        >>> node.run(["ip", "route"]).stdout  # doctest: +SKIP
        >>> node.process("kube-proxy").restart()  # doctest: +SKIP
    """

    def __init__(self, plan: AddressPlan, paths: Paths, number: int) -> None:
        group = cgroups.tracker() / plan.cgroup / f"node{number}" / "system"
        super().__init__(f"node{number}", plan.netns(number), plan.node_addresses(number)[0], group)
        self.number = number
        self.interface = plan.interface(number)  # the machine's end of the node's link
        self.bridge = plan.bridge
        self.pods = plan.node_pods(number)[0]
        self.addresses, self.all_pods = plan.node_addresses(number), plan.node_pods(number)  # of all families
        self.host_name = plan.host_name(number)  # what the kernel says; Kubernetes knows the node by its name
        self.folder = paths.node(number)
        self.containerd_socket = self.folder / "containerd.sock"
        self._plan = plan
        self._holder = Component("namespaces", self.folder)

    def hold(self) -> None:
        """Makes the node's namespaces for mounts and host name, and keeps them."""
        ready = self.folder / "namespaces.ready"
        ready.unlink(missing_ok=True)
        words = [
            "unshare",
            "--mount",
            "--uts",
            "--propagation",
            "slave",
            "--",
            "bash",
            "-c",
            HOLD,
            "hold",
            self.host_name,
            str(ready),
            *(f"{source}:{target}" for source, target in folders.binds(self.folder)),
        ]
        self._holder.define(words, cgroup=self._cgroup, enter=Vantage._nsenter(self))
        self._holder.start()
        settle(lambda: ready.exists() or not self._holder.alive(), timeout=10, every=0.01)
        if not ready.exists():
            raise EnvironmentProblem(f"The namespaces of {self.name} cannot be created:\n{self._holder.tail()}")

    def _nsenter(self) -> list[str]:
        holder = self._holder.pid
        if holder is None:
            raise EnvironmentProblem(f"{self.name} does not run.")
        return [
            "nsenter",
            f"--net=/run/netns/{self.netns}",
            f"--mount=/proc/{holder}/ns/mnt",
            f"--uts=/proc/{holder}/ns/uts",
            "--",
        ]

    def process(self, name: str) -> Component:
        """Returns one of the node's programs, to stop, start, restart, pause or resume it."""
        component = Component(name, self.folder)
        if not component.command or name == "namespaces":
            raise InputError(f"There is no program '{name}' on {self.name}; allowed: {', '.join(self.programs())}.")
        return component

    def programs(self) -> list[str]:
        """Returns the names of the node's programs."""
        records = (path.stem for path in self.folder.glob("*.json"))
        return sorted(name for name in records if name != "namespaces")

    def define(self, commands: Mapping[str, Sequence[str | Path]]) -> None:
        """Notes the command lines of the node's programs."""
        for name, command in commands.items():
            Component(name, self.folder).define(command, cgroup=self._cgroup, enter=self._nsenter())

    def power_off(self) -> None:
        """Ends all of the node at once, pods and network included, as a loss of power would."""
        cgroups.kill(f"{self._plan.cgroup}/{self.name}")
        if (network.NETNS / self.netns).exists():
            network.run("ip", "netns", "del", self.netns)

    def power_on(self) -> None:
        """Starts the node again after `power_off`, with the disk that it had."""
        if self._holder.alive():
            return
        mtu = int(Path(f"/sys/class/net/{self.bridge}/mtu").read_text())
        own = not folders.binds(self.folder)
        network.create_node(self._plan, self.number, mtu, own=own)
        folders.forget_run(self.folder)
        shutil.rmtree(self.folder / "run", ignore_errors=True)  # a machine's /run does not survive
        self.containerd_socket.unlink(missing_ok=True)
        self.hold()
        self.define({name: Component(name, self.folder).command for name in self.programs()})
        for name in self.programs():
            self.process(name).start()
        self._keep_kubelet()

    def _keep_kubelet(self, patience: float = 30.0, steady: float = 2.0) -> None:
        """Starts the kubelet until it stays: it ends when its runtime is not ready yet, and no init watches it."""
        kubelet, since = self.process("kubelet"), time.monotonic()

        def stays() -> bool:
            nonlocal since
            if not kubelet.alive():
                kubelet.start()
                since = time.monotonic()
            return time.monotonic() - since >= steady

        if not settle(stays, timeout=patience + steady):
            raise EnvironmentProblem(f"The kubelet of {self.name} does not keep running:\n{kubelet.tail()}")
