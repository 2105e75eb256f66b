"""The lab as other programs see it."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.lab import blocks, cgroups, disk, folders, network, start, stop, store, sysctls, tools
from NetLibrary.lab import state as states
from NetLibrary.lab.apiserver import ApiServer
from NetLibrary.lab.applying import apply_objects
from NetLibrary.lab.components import CONTROL_PLANE, Options
from NetLibrary.lab.console import Say, Stopwatch, say
from NetLibrary.lab.images import Recipe, assemble_all, check_archive
from NetLibrary.lab.node import Node, Vantage
from NetLibrary.lab.paths import Paths, cache, lock, root
from NetLibrary.lab.plan import AddressPlan, check_name, check_nodes
from NetLibrary.lab.processes import CommandFailed, Component, Identity, run

DEFAULT = "default"
NODES = 3


class Use:
    """One program's use of a lab; made by `Lab.use`."""

    def __init__(self, lab: Lab, mark: Path) -> None:
        self._lab, self._mark = lab, mark

    def release(self) -> None:
        """Ends the use. The last one takes down a lab that was started for tests."""
        self._mark.unlink(missing_ok=True)
        self._lab._stop_if_unused()


class Lab:
    """A Kubernetes of several nodes on this machine.

    Args:
        name: Tells several labs apart that run side by side.
        tell: Gets one line for each thing that takes time.

    Example:
        >>> from NetLibrary.lab import Lab
        >>> lab = Lab("demo").up(nodes=3)  # doctest: +SKIP
        >>> lab.kubectl("get", "nodes")  # doctest: +SKIP
        >>> lab.node("node2").process("kube-proxy").stop()  # doctest: +SKIP
        >>> lab.down()  # doctest: +SKIP
    """

    def __init__(self, name: str = DEFAULT, tell: Say = say) -> None:
        self.name = check_name(name)
        self._say = tell
        self._paths = Paths.of(name)

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    # --- what it is -----------------------------------------------------------------------------------

    @property
    def kubeconfig(self) -> Path:
        """Path of the administrator's kubeconfig; it is there while the lab is up."""
        return self._paths.kubeconfig

    @property
    def audit_log(self) -> Path:
        """Path of the API server's audit log, with the requests of service accounts other than the system's."""
        return self._paths.audit_log

    @property
    def state(self) -> states.State | None:
        """What is written down about the lab; None when it is down."""
        return states.load(self.name)

    def require_up(self) -> states.State:
        """Returns what is written down about the lab.

        Raises:
            EnvironmentProblem: It is not up; the text has the command that starts it.
        """
        known = self.state
        if known is None or known.phase != "running":
            raise EnvironmentProblem(
                f"The lab '{self.name}' is not running. Start it: python -m NetLibrary.lab up --name {self.name}"
            )
        return known

    @property
    def plan(self) -> AddressPlan:
        """Addresses and names of the lab."""
        return self.require_up().plan

    @property
    def nodes(self) -> list[Node]:
        """The nodes in the order of their names."""
        plan = self.plan
        return [Node(plan, self._paths, number) for number in range(1, plan.nodes + 1)]

    @property
    def outside(self) -> Vantage:
        """A vantage point outside the cluster, with an address of its own."""
        plan = self.plan
        group = cgroups.tracker() / plan.cgroup / "system"
        return Vantage("outside", plan.outside_netns, plan.outside_address, group)

    def node(self, name: str | int) -> Node:
        """Returns a node by its name (`node2`) or number (2)."""
        for node in self.nodes:
            if name in (node.name, node.number):
                return node
        raise InputError(f"The lab '{self.name}' has no node '{name}'; it has {', '.join(n.name for n in self.nodes)}.")

    def process(self, name: str) -> Component:
        """Returns a program of the control plane, for instance `kube-scheduler`."""
        self.require_up()
        if name not in CONTROL_PLANE:
            raise InputError(f"There is no program '{name}' in the control plane; allowed: {', '.join(CONTROL_PLANE)}.")
        return Component(name, self._paths.processes)

    def running(self) -> bool:
        """Tells whether the lab is up and its API server answers."""
        known = self.state
        return bool(
            known
            and known.phase == "running"
            and known.boot == states.boot_id()
            and Component("kube-apiserver", self._paths.processes).alive()
            and ApiServer(known.plan, self._paths).ready()
        )

    # --- up and down ----------------------------------------------------------------------------------

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        _need_root()
        return lock(
            root() / f".{self.name}.lock",
            waiting=f"another program starts or stops the lab '{self.name}'",
            tell=self._say,
        )

    def up(self, nodes: int = NODES, options: Options | None = None) -> Lab:
        """Starts the lab and waits until its nodes and its DNS are ready. A lab that is up already stays as it is.

        Args:
            nodes: Number of nodes.
            options: What else may be chosen.
        Raises:
            EnvironmentProblem: It cannot be started; nothing of it is left.
            InputError: The number of nodes is not possible, or the lab is up with another number.
        """
        check_nodes(nodes)
        with self._locked():
            self._up(nodes, options or Options(), automatic=False)
        return self

    def _up(self, nodes: int, options: Options, *, automatic: bool) -> None:
        known = self.state
        if known and self.running():
            if (known.nodes, known.options) != (nodes, options) and not automatic:
                raise InputError(
                    f"The lab '{self.name}' is up with {known.nodes} nodes and {known.options}; "
                    f"{nodes} nodes and {options} were requested. Stop it first."
                )
            if known.automatic and not automatic:
                known.automatic = False  # from now on somebody wants it beyond the tests that it was started for
                known.save()
            self._say(f"lab '{self.name}' is up already: {known.nodes} nodes, KUBECONFIG={self.kubeconfig}")
            return
        if known:
            self._say(
                f"lab '{self.name}' is left over from a start that ended early or from before a restart; removing it"
            )
            with stop.undisturbed():
                self._remove()
        watch = Stopwatch()
        tools.ensure(self._say)
        programs, archives = start.prepare(self._say, watch, options.kubernetes)
        extra = start.prepare_network(options, self._say, watch)
        network.load_modules()
        begin = time.monotonic()
        try:
            fresh = self._reserve(nodes, options, programs, automatic)
            start.Starter(fresh, self._say, watch).run(archives, extra)
        except BaseException as error:
            with stop.undisturbed():
                why = "was interrupted" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "failed"
                self._say(f"the start {why}; removing what was created so far")
                self._remove()
            raise
        seconds = time.monotonic() - begin
        with lock(root() / ".index.lock"):  # another lab may have left its settings to this one meanwhile
            fresh.sysctls = {**fresh.sysctls, **(self.state or fresh).sysctls}
            fresh.places = (self.state or fresh).places
            fresh.phase, fresh.timings = "running", {**watch.seconds, "total": round(seconds, 3)}
            fresh.save()
        size = f"{nodes} node{'' if nodes == 1 else 's'}, Kubernetes {fresh.versions['kubernetes']}"
        self._say(f"lab '{self.name}' is up after {seconds:.1f} s: {size}, KUBECONFIG={self.kubeconfig}")

    def _reserve(self, nodes: int, options: Options, programs: Path, automatic: bool) -> states.State:
        """Chooses addresses and writes down what is going to be made, before anything is."""
        if disk.prepare(self._paths.base):
            self._say("images are unpacked to memory: layers cannot be stacked on this machine's file system")
        with lock(root() / ".index.lock"):  # two starts must not choose the same addresses
            fresh = states.State(
                self.name,
                -1,
                nodes,
                options=options,
                programs=str(programs),
                automatic=automatic,
                versions=start.versions(programs, options.kubernetes),
            )
            # The lock is that of labs with the same folder of state. One that knows nothing of ours, in a container on
            # the machine's network, is told by the bridge: whoever made it has the block.
            for fresh.index in blocks.free_indexes(self.name, nodes):
                fresh.save()
                if network.claim(fresh.plan):
                    break
            else:
                self._paths.remove()
                raise EnvironmentProblem("No address block is free any more: other labs have just taken the last ones.")
            fresh.sysctls = sysctls.raise_to_needed(v6=fresh.plan.v6)
            if options.network != "bridge":
                fresh.places = folders.make_places()
            fresh.save()
        return fresh

    def _remove(self) -> bool:
        """Removes whatever is there of the lab; tells whether anything was."""
        try:
            known = self.state
        except EnvironmentProblem as error:
            self._say(str(error))
            known = None
        if known:
            stop.take_down(known)
            return True
        return stop.take_remains(self.name)

    def down(self) -> None:
        """Takes the lab down and removes all of it; does nothing when there is no such lab."""
        with self._locked(), stop.undisturbed():
            there = self._remove()
            self._say(f"lab '{self.name}' is gone" if there else f"there is no lab '{self.name}'")

    def use(self, nodes: int = NODES) -> Use:
        """Makes sure that the lab is up for as long as the returned use is not released.

        Several programs may use one lab. The last one to release it takes it down, unless somebody started it by `up`.
        """
        check_nodes(nodes)
        with self._locked():
            self._up(nodes, Options(), automatic=True)
            identity = Identity.of(os.getpid())
            assert identity, "this process is alive"
            self._paths.uses.mkdir(exist_ok=True)
            mark = self._paths.uses / f"{identity.pid}-{identity.started}-{time.monotonic_ns()}"
            mark.touch()
        return Use(self, mark)

    def _stop_if_unused(self) -> None:
        with self._locked():
            known = self.state
            if known is None or not known.automatic:
                return
            for mark in self._paths.uses.glob("*"):
                pid, started, _ = mark.name.split("-")
                if Identity(int(pid), int(started)).alive():
                    return
            with stop.undisturbed():
                self._remove()
                self._say(f"lab '{self.name}' was started for tests and is gone again")

    # --- images and stand-ins -------------------------------------------------------------------------

    def load(self, archives: Iterable[str | Path]) -> list[str]:
        """Imports image archives (docker save or OCI layout) on every node.

        Returns:
            The references in them.
        Raises:
            InputError: An archive does not exist or is none.
        """
        files = [Path(archive) for archive in archives]
        references = [reference for file in files for reference in check_archive(file)]
        snapshotter = self.require_up().snapshotter

        store.import_on_nodes([node.containerd_socket for node in self.nodes], files, snapshotter)
        return references

    def add_images(self, recipes: Sequence[Recipe]) -> list[str]:
        """Assembles images and imports them on every node; returns their references."""
        return self.load(assemble_all(recipes, cache() / "images"))

    def provide(self, name: str) -> None:
        """Loads the image of a program that measures, which is built when the cache does not have it.

        Args:
            name: Name of the program, for instance `fortio`.
        """
        from NetLibrary.lab.networks import catalogue, programs

        recipe = catalogue.tool(name, programs.programs([name], self._say)[name])
        with self._locked():
            known = self.require_up()
            keys = [f"{reference}#{recipe.key()}" for reference in recipe.references]
            if known.installed.get(name) != keys:
                self.add_images([recipe])
                known.installed[name] = keys
                known.save()

    def install(self, topic: str) -> None:
        """Loads the images of a topic's stand-ins and applies its manifests.

        Args:
            topic: Name of a package below `NetLibrary/standins`.
        """
        allowed = sorted(p.parent.name for p in (Path(__file__).parents[1] / "standins").glob("*/__init__.py"))
        if topic not in allowed:
            raise InputError(f"There are no stand-ins for '{topic}'; allowed: {', '.join(allowed) or 'none'}.")
        module = importlib.import_module(f"NetLibrary.standins.{topic}")
        with self._locked():
            known = self.require_up()
            recipes: tuple[Recipe, ...] = tuple(module.RECIPES)
            keys = [f"{reference}#{recipe.key()}" for recipe in recipes for reference in recipe.references]
            if known.installed.get(topic) == keys:
                return
            self._say(f"installing the stand-ins for {topic} in lab '{self.name}'")
            self.add_images(recipes)
            objects = module.manifests() if hasattr(module, "manifests") else []
            if objects:
                self.apply(objects)
            known.installed[topic] = keys
            known.save()

    def apply(self, objects: Sequence[dict]) -> None:
        """Applies objects by server-side apply; waits for definitions of new kinds before objects of them."""
        apply_objects(self.kubectl, objects)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Runs the lab's own kubectl as administrator and returns its output."""
        return run(self.kubectl_program, "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin, timeout=timeout)

    @property
    def kubectl_program(self) -> Path:
        """Path of the lab's kubectl; its folder may be put on PATH."""
        self.require_up()
        return self._paths.programs / "kubectl"


def _need_root() -> None:
    if os.geteuid() != 0:
        raise EnvironmentProblem(
            "The lab creates network namespaces and control groups, which needs root. Run it as root or with sudo."
        )


def all_labs() -> Iterator[Lab]:
    """Yields every lab that is written down on this machine."""
    for name in states.labs():
        yield Lab(name)


__all__ = ["DEFAULT", "NODES", "CommandFailed", "Lab", "Use", "all_labs"]
