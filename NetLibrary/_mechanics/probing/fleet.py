"""One resident prober per source: a single exec each, whole plans over its standard input."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.addresses import is_address
from NetLibrary._mechanics.kube import health
from NetLibrary._mechanics.probing.alive import UNHEARD, Kubelets
from NetLibrary._mechanics.probing.pipes import PREFER, SCRIPT_END, ExecPipe, LocalPipe, Pipe, script
from NetLibrary._mechanics.probing.plan import Reply, observe, parse_reply, plan_text
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

# A prober that did not get to run for longer than this cannot tell silence of the network from its own
STARVED_MS = 400.0
STARVED = "the source was starved of CPU time"
START_TIMEOUT = 20.0
# What a prober may need beyond the plan's own time limit, on a machine that is short of processors
GRACE = 15.0
# A prober that says nothing for so long, where it should, may be on a node that cannot be reached
SILENCE = 1.5


class Prober:
    """A resident prober of one source; starts itself at the first plan and again when it was lost.

    Args:
        source: Where it runs.
        open_pipe: Starts the process.
        unheard: Tells why nothing can be heard from there; empty when it can.
    """

    def __init__(self, source: Source, open_pipe: Callable[[], Pipe], unheard: Callable[[], str] = lambda: "") -> None:
        self.source = source
        self.flavour = ""
        self.host_name, self.search, self.mtu = "", "", 0
        self._open, self._unheard = open_pipe, unheard
        self._pipe: Pipe | None = None

    def start(self) -> None:
        """Starts the prober unless it runs.

        Raises:
            NetLibraryError: It cannot run; the text says what is missing.
        """
        if self._pipe is not None:
            return
        self._must_be_heard()
        try:
            self._begin()
        except errors.ExecLost:
            self._must_be_heard()
            self._begin()  # a busy kubelet may lose an exec at its start; once is no sign of anything

    def _must_be_heard(self) -> None:
        reason = self._unheard()
        if reason:
            raise errors.ExecLost(reason)

    def _begin(self) -> None:
        pipe = self._open()
        try:
            ready = self._expect(pipe, "READY ")
            flavour = ready.split()[1]
            pipe.write(script(flavour) + f"\n{SCRIPT_END}\n")
            hello = self._expect(pipe, "HELLO\t").split("\t")
        except BaseException:
            pipe.close()
            raise
        self.flavour = f"{hello[1]} {hello[2]}"
        told = [field.strip() for field in (*hello[3:6], "", "", "")]
        self.host_name, self.search, mtu = ("" if field == "-" else field for field in told[:3])
        self.mtu = int(mtu) if mtu.isdigit() else 0
        self._pipe = pipe

    def _expect(self, pipe: Pipe, beginning: str) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            line = pipe.line(min(SILENCE, max(0.1, deadline - time.monotonic())))
            if line is None:
                self._must_be_heard()
            elif line.startswith(beginning):
                return line
        raise errors.WaitTimeout(f"The prober of '{self.source.name}' did not start within {START_TIMEOUT:g} s.")

    def run(self, targets: Sequence[Target], limit_ms: int, idle: Callable[[], None]) -> list[Observation]:
        """Runs a plan; every target gets an observation, a probe error where nothing is known."""
        text = plan_text(targets, limit_ms)
        replies: dict[int, list[Reply]] = defaultdict(list)
        trouble, lag_ms = "", 0.0
        try:
            self.start()
            assert self._pipe is not None
            self._pipe.write(text)
            longest = max([limit_ms, *(t.limit_ms for t in targets)]) / 1000
            over = time.monotonic() + longest
            deadline, begun = over + GRACE, False
            while True:
                line = self._pipe.line(max(0.0, min(SILENCE, deadline - time.monotonic())))
                if line is None and time.monotonic() < deadline:
                    # silence is what blocked probes sound like, but each plan is acknowledged and has an end
                    if not begun or time.monotonic() > over + SILENCE:
                        self._must_be_heard()
                    continue
                begun = True
                if line is None:
                    trouble = f"the prober did not finish within {longest + GRACE:g} s"
                    self.close()
                    break
                if line.startswith("END\t"):
                    lag_ms = _lag(line)
                    break
                if line.startswith("IDLE"):
                    idle()
                reply = parse_reply(line)
                if reply is not None:
                    replies[int(reply.number.split(".")[0])].append(reply)
        except errors.NetLibraryError as error:
            trouble = why_no_prober(self.source, error)
            self.close()
        seen = [
            observe(replies[index]) if index in replies else Observation(Outcome.ERROR, trouble or "no result line")
            for index in range(len(targets))
        ]
        return [_unless_starved(_no_name(target, one), lag_ms) for target, one in zip(targets, seen, strict=True)]

    def watch_flow(self, target: Target, interval_ms: int, duration_ms: int) -> list[tuple[float, str, str, str]]:
        """Keeps one UDP socket for some time; returns (seconds, OK or FAILED, responder, detail) of every change."""
        self.start()
        assert self._pipe is not None
        self._pipe.write(f"FLOW {target.host} {target.port} {interval_ms} {duration_ms}\n")
        changes: list[tuple[float, str, str, str]] = []
        deadline = time.monotonic() + duration_ms / 1000 + GRACE
        while True:
            line = self._pipe.line(max(0.0, deadline - time.monotonic()))
            if line is None:
                self.close()
                raise errors.WaitTimeout(f"The flow from '{self.source.name}' did not end in time.")
            if line.startswith("END\t"):
                return changes
            fields = line.split("\t")
            if fields[0] == "F" and len(fields) == 5:
                changes.append((int(fields[1]) / 1e6, fields[2], fields[3].strip("-"), fields[4].strip("-")))

    def close(self) -> None:
        """Ends the prober; the next plan starts a new one."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()


def _lag(line: str) -> float:
    fields = line.split("\t")
    return int(fields[3]) / 1000 if len(fields) > 3 and fields[3].isdigit() else 0.0


def _no_name(target: Target, seen: Observation) -> Observation:
    """An address needs no resolver: Linux says EINVAL, like a resolver's failure, for a route of the type blackhole."""
    if seen.outcome is Outcome.DNS and target.probe != "dns" and is_address(target.host):
        detail = f"{seen.detail}; Linux reports that for a blackhole route"
        return dataclasses.replace(seen, outcome=Outcome.UNREACHABLE, detail=detail)
    return seen


def _unless_starved(seen: Observation, lag_ms: float) -> Observation:
    """Turns a time-out into a probe error when the prober itself stood still meanwhile."""
    if lag_ms > STARVED_MS and str(Outcome.TIMEOUT) in seen.failures:
        return Observation(Outcome.ERROR, f"{STARVED} for {lag_ms:.0f} ms; answers that it missed do not count")
    return seen


def why_no_prober(source: Source, error: Exception) -> str:
    """What is missing in a source, in words for a cell."""
    if UNHEARD in str(error):
        return str(error)
    if isinstance(error, errors.ToolMissing):
        return f"the image of '{source.name}' has no shell (sh), so it can only be a target, not a source"
    return f"no prober in '{source.name}': {error}"


class Fleet:
    """The probers of all sources.

    Args:
        cluster: Where the source pods are.
        prefer: `auto`, `python`, `bash` or `sh`.
        outside: Command prefix for the vantage point outside the cluster.
        in_flight: Connections that are worked on at once by all sources together. Probers that only wait for a time
            limit do not count, so any number of blocked cells waits in the same time limit.
    """

    def __init__(
        self, cluster: Any, *, prefer: str = "auto", outside: Sequence[str] = (), in_flight: int = 300
    ) -> None:
        if prefer not in PREFER:
            raise errors.InputError(f"The prober '{prefer}' is not one of {', '.join(PREFER)}.")
        self._cluster, self._prefer, self._outside, self._in_flight = cluster, prefer, tuple(outside), in_flight
        self._probers: dict[str, Prober] = {}
        self._kubelets = Kubelets(cluster)
        self.probes = 0

    def prober(self, source: Source) -> Prober:
        """The prober of a source."""
        if source.name not in self._probers:
            open_pipe: Callable[[], Pipe] = (
                (lambda: LocalPipe(self._outside))
                if source.outside
                else (lambda: ExecPipe(self._cluster, source, self._prefer))
            )
            unheard = (lambda: "") if source.outside else (lambda: self._kubelets.trouble(source.node))
            self._probers[source.name] = Prober(source, open_pipe, unheard)
        return self._probers[source.name]

    def run(
        self, wanted: Sequence[tuple[Source, Target]], *, limit_ms: int = 1500, gently: bool = False
    ) -> list[tuple[Source, Target, Observation]]:
        """Probes all pairs, each source its own share in one plan.

        Args:
            wanted: Pairs to probe.
            limit_ms: The one time limit of all connections that get no answer. The kernel sends a SYN again after
                1 s and 3 s, so below about 1.3 s a single lost packet looks like a block.
            gently: Only two sources work at a time; for second looks, so that no load of our own blurs them.
        """
        shares: dict[Source, list[Target]] = defaultdict(list)
        for source, target in wanted:
            shares[source].append(target)
        if not shares:
            return []
        for targets in shares.values():
            plan_text(targets, limit_ms)  # bad addresses are an error before anything is asked
        most = max(sum(t.repeat for t in targets) for targets in shares.values())
        busy = threading.BoundedSemaphore(2 if gently else max(2, min(32, self._in_flight // max(1, most))))
        results: dict[tuple[Source, Target], Observation] = {}

        def work(source: Source, targets: list[Target]) -> None:
            released = threading.Event()
            busy.acquire()

            def release() -> None:
                if not released.is_set():
                    released.set()
                    busy.release()

            try:
                for target, seen in zip(targets, self.prober(source).run(targets, limit_ms, release), strict=True):
                    results[source, target] = seen
            finally:
                release()

        with ThreadPoolExecutor(max_workers=len(shares), thread_name_prefix="prober") as pool:
            for done in [pool.submit(work, *share) for share in shares.items()]:
                done.result()
        self.probes += sum(t.repeat for targets in shares.values() for t in targets)
        return [(source, target, results[source, target]) for source, target in wanted]

    def start(self, sources: Sequence[Source]) -> dict[str, str]:
        """Starts the probers of several sources at once; returns what went wrong by source name."""
        trouble: dict[str, str] = {}

        def begin(source: Source) -> None:
            try:
                self.prober(source).start()
            except errors.NetLibraryError as error:
                trouble[source.name] = why_no_prober(source, error)

        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="prober") as pool:
            list(pool.map(begin, sources))
        return trouble

    def forget(self, source: Source) -> None:
        """Ends the prober of a source; a container of the same pod may be the next."""
        prober = self._probers.pop(source.name, None)
        if prober is not None:
            prober.close()

    @property
    def host_names(self) -> dict[str, str]:
        """What each prober takes for its host's name: that of its pod, or on the host network that of the node."""
        return {name: prober.host_name for name, prober in self._probers.items() if prober.host_name}

    @property
    def mtus(self) -> dict[str, int]:
        """Largest packet of each pod's interface, as its prober has read it."""
        return {name: prober.mtu for name, prober in self._probers.items() if prober.mtu}

    @property
    def domain(self) -> str:
        """The cluster's DNS domain, from the search lists of the pods; empty when none tells."""
        return next(filter(None, (health.domain_of(each.search.split()) for each in self._probers.values())), "")

    @property
    def flavours(self) -> dict[str, str]:
        """Which prober runs in which source."""
        return {name: prober.flavour for name, prober in self._probers.items() if prober.flavour}

    def close(self) -> None:
        """Ends all probers."""
        for prober in self._probers.values():
            prober.close()
        self._probers.clear()
