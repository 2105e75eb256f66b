"""Probers where they run: in a pod, or beside us on the controller's own machine ("outside the cluster")."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.exec import STDERR, STDOUT
from NetLibrary._mechanics.outages.run.archive import FOLLOWER, LOADER, archive
from NetLibrary._mechanics.outages.run.clock import CLOCK_PROGRAM, SAME_CLOCK, Offset, measure_offset
from NetLibrary._mechanics.outages.run.logs import ProberLog
from NetLibrary._mechanics.outages.run.prober_config import configuration
from NetLibrary._mechanics.outages.types import Identity, StreamSpec
from NetLibrary._mechanics.secrets import tail

KEEP_ALIVE_S = 5.0
RETRY_S = 0.5
EXEC_TIMEOUT_S = 30.0
#: Kubernetes passes a command in the query of a URL; these folders are tried in order.
FOLDER = "/netlibrary/work"


class Prober:
    """One running prober. `log` fills while it runs, from a thread that needs no care.

    Args:
        name: Where it measures from, for people.
        specs: Its streams.
        duration_s: Outer limit of the measurement.
        iperf: iperf3 clients to run beside, see `prober_config`.
    """

    def __init__(
        self, name: str, specs: Sequence[StreamSpec], *, duration_s: float, iperf: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.name = name
        self.log = ProberLog(name, specs)
        self.notes: list[str] = []
        self.failed: str | None = None
        self.first_offset: Offset | None = None
        self.last_offset: Offset | None = None
        self._config = configuration(specs, duration_s=duration_s, iperf=iperf, lease_file="lease")
        self._stop = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._pump, name=f"prober {name}", daemon=True)

    @property
    def finished(self) -> bool:
        """Tells whether nothing more will come."""
        return self._done.is_set()

    def wait(self, timeout: float) -> bool:
        """Waits for the end of the records; returns whether they ended."""
        return self._done.wait(timeout)

    def _pump(self) -> None:
        try:
            self._follow()
        except (errors.NetLibraryError, OSError, ValueError) as err:
            self.failed = self.failed or str(err)
        finally:
            self._done.set()

    def start(self) -> None:
        """Starts the prober and the thread that reads its records."""
        raise NotImplementedError

    def stop(self) -> None:
        """Asks the prober to end; it still awaits the open probes. May be called twice."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Ends the reading without waiting for anything."""
        self._stop.set()

    def _follow(self) -> None:
        raise NotImplementedError

    def offset(self) -> Offset | None:
        """Returns the best known offset of the prober's clock."""
        known = [offset for offset in (self.first_offset, self.last_offset) if offset]
        return min(known, key=lambda offset: offset.error_ns, default=None)


def pod_offset(cluster: Any, namespace: str, pod: str, container: str | None = None) -> Offset:
    """Returns how far a pod's clock is from ours; its image needs python3."""
    where = f"pod '{namespace}/{pod}'"
    running = cluster.start_exec(namespace, pod, ["python3", "-c", CLOCK_PROGRAM], container=container)
    pending = b""

    def ask() -> int:
        nonlocal pending
        running.write(b"?\n")
        deadline = time.monotonic() + EXEC_TIMEOUT_S
        while b"\n" not in pending:
            got = running.read(max(0.0, deadline - time.monotonic()))
            if got is None:
                if running.finished and running.exit_code:
                    raise errors.EnvironmentProblem(f"The clock of {where} could not be read: {pending!r}")
                raise errors.ExecLost(f"The clock of {where} could not be read.")
            if got[0] == STDOUT:
                pending += got[1]
        line, _, pending = pending.partition(b"\n")
        return int(line.split()[0])

    try:
        offset = measure_offset(ask, time.monotonic_ns)
        running.write(b"q\n")
        return offset
    finally:
        running.close()


class PodProber(Prober):
    """A prober in a pod. It survives whatever interrupts exec: records are fetched again from where they ended.

    Args:
        cluster: The pod's cluster.
        namespace: The pod's namespace.
        pod: Its name.
        container: Container with python3, the first one by default.
    """

    def __init__(
        self,
        cluster: Any,
        namespace: str,
        pod: str,
        specs: Sequence[StreamSpec],
        *,
        duration_s: float,
        iperf: Sequence[dict[str, Any]] = (),
        container: str | None = None,
        folder: str = FOLDER,
    ) -> None:
        super().__init__(f"pod '{namespace}/{pod}'", specs, duration_s=duration_s, iperf=iperf)
        self.cluster, self.namespace, self.pod, self.container = cluster, namespace, pod, container
        self.identity: Identity | None = None
        self._folder = f"{folder}/{os.urandom(4).hex()}"
        self._pid = 0

    def start(self) -> None:
        """See `Prober.start`.

        Raises:
            ToolMissing: The image has no python3.
            EnvironmentProblem: The prober did not start.
        """
        try:
            self._begin()
        except errors.ExecLost:  # with the API server or the kubelet; a prober that nobody hears ends by itself
            self._folder += "-again"
            self._begin()
        self._thread.start()

    def _begin(self) -> None:
        self.identity = self._identity()
        self.first_offset = self._take_offset()
        files = {"prober.pyz": archive(), "config.json": json.dumps(self._config).encode()}
        sizes = [f"{name}={len(data)}" for name, data in files.items()]
        result = self._exec(["python3", "-c", LOADER, self._folder, *sizes], stdin=b"".join(files.values()))
        try:
            self._pid = int(result.stdout.split()[0])
        except (ValueError, IndexError):
            raise errors.EnvironmentProblem(
                f"The prober did not start in {self.name}: {tail((result.stderr or result.stdout).strip(), 300)}"
            ) from None

    def _exec(self, command: list[str], *, stdin: bytes | None = None, timeout: float = EXEC_TIMEOUT_S) -> Any:
        return self.cluster.exec(
            self.namespace, self.pod, command, container=self.container, stdin=stdin, timeout=timeout
        )

    def _identity(self) -> Identity:
        pod = self.cluster.get("Pod", self.pod, self.namespace)
        statuses = pod.get("status", {}).get("containerStatuses", [])
        wanted = [s for s in statuses if self.container in (None, s["name"])]
        status = wanted[0] if wanted else {}
        return Identity(pod["metadata"]["uid"], status.get("containerID", ""), status.get("restartCount", 0))

    def _take_offset(self) -> Offset:
        return pod_offset(self.cluster, self.namespace, self.pod, self.container)

    def _follow(self) -> None:
        interrupted: float | None = None
        while not self._stop.is_set() and self.log.ended is None:
            try:
                # One more byte read than known would be a torn frame: the offset is what was delivered, not decoded.
                command = ["python3", "-c", FOLLOWER, self._folder, str(self.log.bytes), str(self._pid)]
                running = self.cluster.start_exec(self.namespace, self.pod, command, container=self.container)
                if interrupted is not None:
                    self.notes.append(
                        f"reading from {self.name} was interrupted for {time.monotonic() - interrupted:.1f} s; the "
                        "prober kept running and nothing is missing"
                    )
                    interrupted = None
                if self._read(running):
                    return
                if self._gone(errors.ExecLost("")):
                    return
            except (errors.ClusterError, errors.ExecLost, OSError) as err:
                if self._gone(err):
                    return
            interrupted = interrupted or time.monotonic()
            self._stop.wait(RETRY_S)
        if interrupted is not None and self.log.ended is None:
            self.failed = (
                f"reading from {self.name} was interrupted for {time.monotonic() - interrupted:.1f} s until the end; "
                "what was delivered until then is counted"
            )

    def _read(self, running: Any) -> bool:
        """Reads until the follower ends; returns whether the records are complete."""
        told, said = time.monotonic(), b""
        try:
            while not self._stop.is_set():
                got = running.read(0.25)
                if got is not None and got[0] == STDOUT:
                    self.log.feed(got[1])
                elif got is not None and got[0] == STDERR:
                    said += got[1]
                elif running.finished:
                    return self._ended(said.decode(errors="replace"))
                if time.monotonic() - told > KEEP_ALIVE_S:
                    told = time.monotonic()
                    running.write(b"\n")
            return True
        finally:
            running.close()

    def _ended(self, said: str) -> bool:
        """Judges the end of a follower; returns whether the records are complete.

        Its exit status proves nothing: runtimes report success for an exec that they cut off when they restart.
        """
        if self.log.ended is not None:
            return True
        if not said.startswith("gone"):
            return False
        if not self._gone(errors.ExecLost("")):
            why = tail(said.removeprefix("gone").strip(), 500) or "it was killed"
            self.failed = f"the prober in {self.name} ended early: {why}; what it delivered until then is counted"
        return True

    def _gone(self, err: Exception) -> bool:
        """Tells whether the pod itself is gone, and says so."""
        try:
            pod = self.cluster.get("Pod", self.pod, self.namespace)
            if pod["metadata"].get("deletionTimestamp"):
                raise errors.NotFound("it goes")
        except errors.NotFound:
            self.failed = f"{self.name} was deleted during the measurement; what it delivered until then is counted"
            return True
        except errors.ClusterError:
            return False
        status = pod.get("status", {})
        now = self._identity()
        if self.identity is not None and now.pod_uid != self.identity.pod_uid:
            self.failed = f"{self.name} was replaced during the measurement; what it delivered until then is counted"
            return True
        if status.get("phase") in ("Failed", "Succeeded"):
            why = status.get("message") or status.get("reason") or "it ended"
            self.failed = f"{self.name} ended during the measurement ({why}); what it delivered until then is counted"
            return True
        if self.identity is not None and now.container_id != self.identity.container_id and now.container_id:
            self.failed = f"the container of {self.name} restarted during the measurement, which ended the prober there"
            return True
        return False

    def stop(self) -> None:
        """See `Prober.stop`; an unreachable pod is left to its own limits."""
        if self.log.ended is not None or not self._pid:
            return
        try:
            self._exec(
                ["python3", "-c", f"import os,signal\ntry: os.kill({self._pid},signal.SIGTERM)\nexcept OSError: pass"],
                timeout=10,
            )
        except errors.NetLibraryError as err:
            self.notes.append(f"the prober in {self.name} could not be told to end: {err}")

    def identity_now(self) -> Identity | None:
        """Returns whose counters one would read now, None when nobody answers."""
        try:
            return self._identity()
        except errors.ClusterError:
            return None

    def take_last_offset(self) -> None:
        """Takes the offset once more, for the note about drift; failing is no harm."""
        try:
            self.last_offset = self._take_offset()
        except (errors.NetLibraryError, OSError, ValueError):
            self.last_offset = None

    def remove_files(self) -> None:
        """Removes the prober's folder; a pod that is gone took it along."""
        try:
            self._exec(["python3", "-c", f"import shutil\nshutil.rmtree({self._folder!r},True)"], timeout=10)
        except errors.NetLibraryError:
            return


class LocalProber(Prober):
    """A prober on this machine, or in one of its network namespaces.

    Args:
        netns: Path of a network namespace, this process's own by default.
    """

    def __init__(
        self,
        name: str,
        specs: Sequence[StreamSpec],
        *,
        duration_s: float,
        iperf: Sequence[dict[str, Any]] = (),
        netns: str | None = None,
    ) -> None:
        super().__init__(name, specs, duration_s=duration_s, iperf=iperf)
        self._netns = netns
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """See `Prober.start`."""
        self.first_offset = self.last_offset = SAME_CLOCK
        self._folder = tempfile.TemporaryDirectory(prefix="netlibrary-break-")
        folder = Path(self._folder.name)
        (folder / "prober.pyz").write_bytes(archive())
        (folder / "config.json").write_text(json.dumps(self._config))
        (folder / "lease").touch()
        enter = ["nsenter", f"--net={self._netns}"] if self._netns else []
        self._process = subprocess.Popen(
            [*enter, sys.executable, "prober.pyz", "config.json", "records"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._thread.start()

    def _follow(self) -> None:
        assert self._process is not None
        assert self._folder is not None
        folder, process = Path(self._folder.name), self._process
        touched = 0.0
        while not (folder / "records").exists() and process.poll() is None:
            time.sleep(0.05)
        if (folder / "records").exists():
            with open(folder / "records", "rb") as source:
                while True:
                    running = process.poll() is None
                    while data := source.read(262144):
                        self.log.feed(data)
                    if not running or self._stop.is_set():
                        break
                    if time.monotonic() - touched > KEEP_ALIVE_S:
                        touched = time.monotonic()
                        os.utime(folder / "lease")
                    time.sleep(0.1)
        if process.poll() and self.log.ended is None:
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
            self.failed = f"the prober on {self.name} failed: {tail(said.strip(), 500) or process.returncode}"

    def stop(self) -> None:
        """See `Prober.stop`."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def remove_files(self) -> None:
        """Removes the prober's folder and, if it still runs, the prober."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait(10)
            if self._process.stderr:
                self._process.stderr.close()
        if self._folder is not None:
            self._folder.cleanup()
