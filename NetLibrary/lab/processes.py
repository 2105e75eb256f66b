"""Processes of a lab: started into a control group and a node's namespaces, found again by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.polling import settle


class CommandFailed(EnvironmentProblem):
    """A program of the machine failed; the text has the command and what it said."""


def run(*command: str | Path, stdin: str | None = None, check: bool = True, timeout: float = 60.0) -> str:
    """Runs a program and returns what it wrote to standard output.

    Raises:
        CommandFailed: The program failed and `check` is set, or it did not end in time.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, text=True, capture_output=True, timeout=timeout)
    except FileNotFoundError as error:
        raise CommandFailed(f"The program '{words[0]}' is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"'{' '.join(words)}' did not end within {timeout:g} s.") from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip() or "nothing"
        raise CommandFailed(f"'{' '.join(words)}' ended with status {done.returncode} and printed: {said}")
    return done.stdout


def start_time(pid: int) -> int | None:
    """Returns when a process started, in clock ticks since boot; None when it is gone or only a zombie is left.

    A pid may be given to another process later; together with this number it names one process for good.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _ordinary_scheduling() -> list[str]:
    """Returns what undoes a real-time policy of the caller: control groups give none, so containers could not start."""
    return ["chrt", "--other", "0"] if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else []


@dataclass(frozen=True)
class Identity:
    """One process, for good: its pid and its start time."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Returns the identity of a living process."""
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        """Tells whether the process is still there."""
        return start_time(self.pid) == self.started

    def signal(self, number: int) -> bool:
        """Sends a signal; False when the process is gone."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Waits until the process is gone; False when it is still there after the time."""
        if not settle(lambda: not self.alive(), timeout=timeout, every=0.02):
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # ours when this very program started it
        return True


class Component:
    """One long-running program of a lab, such as a node's kubelet.

    Its identity and command are kept in a file beside its log, so that any later program can stop or restart it.

    Args:
        name: Name, for instance `kubelet`.
        folder: Where `NAME.json` and `NAME.log` are kept.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._record = folder / f"{name}.json"

    def __repr__(self) -> str:
        return f"Component({self.name!r}, pid={self.pid})"

    def _read(self) -> dict:
        try:
            return json.loads(self._record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def define(self, command: Sequence[str | Path], *, cgroup: Path, enter: Sequence[str] = ()) -> None:
        """Notes how the program is started.

        Args:
            command: The program and its arguments.
            cgroup: Folder of the control group it belongs to.
            enter: Command that enters a node's namespaces; nothing for the machine's own.
        """
        record = {"command": [str(word) for word in command], "cgroup": str(cgroup), "enter": list(enter)}
        self._write({**self._read(), **record})

    def _write(self, record: dict) -> None:
        new = self._record.with_suffix(".new")
        new.write_text(json.dumps(record, indent=1))
        new.replace(self._record)

    @property
    def identity(self) -> Identity | None:
        """The process that was started last, dead or alive."""
        record = self._read()
        return Identity(record["pid"], record["started"]) if "pid" in record else None

    @property
    def pid(self) -> int | None:
        """Pid of the running process; None when it does not run."""
        identity = self.identity
        return identity.pid if identity and identity.alive() else None

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        return list(self._read().get("command", []))

    def alive(self) -> bool:
        """Tells whether the program runs (a paused one does)."""
        return self.pid is not None

    def start(self) -> None:
        """Starts the program unless it runs."""
        if self.alive():
            return
        record = self._read()
        # The shell joins the control group before anything else runs, so that no child can be missed by `down`. Pods
        # inherit the limit of open files, and the usual 1024 of a login shell is not what servers have.
        words = [
            "sh",
            "-c",
            'ulimit -Sn "$(ulimit -Hn)" 2>/dev/null; echo $$ >"$0/cgroup.procs" && exec "$@"',
            record["cgroup"],
            *_ordinary_scheduling(),
            *record["enter"],
            *record["command"],
        ]
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        identity = Identity.of(process.pid)
        if identity is None:
            raise EnvironmentProblem(f"{self.name} ended at once.\n{self.tail()}")
        self._write({**record, "pid": identity.pid, "started": identity.started})

    def stop(self, timeout: float = 5.0, *, kill: bool = False) -> None:
        """Ends the program and waits until it is gone.

        Args:
            timeout: Seconds it gets to end by itself.
            kill: Do not ask, kill.
        """
        identity = self.identity
        if identity is None or not identity.alive():
            return
        if not kill:
            identity.signal(signal.SIGTERM)
            identity.signal(signal.SIGCONT)  # a paused one would not see the request
        if kill or not identity.wait(timeout):
            identity.signal(signal.SIGKILL)
            identity.wait(5.0)

    def restart(self, *, kill: bool = False) -> None:
        """Stops the program, as `stop` does, and starts it again."""
        self.stop(kill=kill)
        self.start()

    def pause(self) -> None:
        """Freezes the program: its sockets stay open, it answers nothing."""
        if not (self.identity and self.identity.signal(signal.SIGSTOP)):
            raise EnvironmentProblem(f"{self.name} is not running, so it cannot be paused.")
        # The signal takes a moment to reach all threads
        settle(lambda: not self._running(), timeout=1.0, every=0.001)

    def _running(self) -> bool:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return any(task.read_text().rpartition(")")[2].split()[0] != "T" for task in tasks)

    def resume(self) -> None:
        """Lets a paused program go on."""
        if not (self.identity and self.identity.signal(signal.SIGCONT)):
            raise EnvironmentProblem(f"{self.name} is not running, so it cannot be resumed.")

    def tail(self, lines: int = 15) -> str:
        """Returns the last lines of the program's log."""
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
