"""A command of the user's as a disturbance: in a shell, for the cluster that is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.secrets import head, tail

SHELL = ("/bin/bash", "/bin/sh")
KEPT = 500
IN_CLUSTER = "in-cluster"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        text: The command.
        status: Its exit status.
        output: What it wrote to its standard output.
        errors: What it wrote to its standard error.
        late: Seconds after which it was ended, because it had not ended by itself.
    """

    text: str
    status: int
    output: str
    errors: str
    late: float | None = None

    def require_success(self) -> str:
        """Returns the output.

        Raises:
            EnvironmentProblem: The exit status was not 0, or it did not end in time.
        """
        said = tail(self.errors.strip() or self.output.strip(), KEPT) or "it printed nothing"
        if self.late is not None:
            raise EnvironmentProblem(f"The command '{head(self.text, 200)}' did not end within {self.late:g} s: {said}")
        if self.status:
            raise EnvironmentProblem(
                f"The command '{head(self.text, 200)}' ended with exit status {self.status}: {said}"
            )
        return self.output


@contextmanager
def kubectl_environment(cluster: Any) -> Iterator[dict[str, str]]:
    """Gives the environment in which kubectl and its like talk to the cluster that is measured.

    KUBECONFIG names the kubeconfig that the library uses, and before it a file that holds the name of the context
    alone: of several files, the first one that names a context decides.
    """
    environment = dict(os.environ)
    choice = cluster.connection.choice
    if choice.source == IN_CLUSTER or not choice.kubeconfig:
        environment.pop("KUBECONFIG", None)
        yield environment
        return
    if cluster.is_lab:
        programs = str(Path(cluster.lab.kubectl_program).parent)
        environment["PATH"] = f"{programs}{os.pathsep}{environment.get('PATH', os.defpath)}"
    with tempfile.TemporaryDirectory(prefix="netlibrary-context-") as folder:
        first = Path(folder) / "context"
        first.write_text(_context_file(str(cluster.connection.context)))
        files = [first, *(Path(file).resolve() for file in choice.kubeconfig)]
        environment["KUBECONFIG"] = os.pathsep.join(map(str, files))
        yield environment


def _context_file(context: str) -> str:
    import yaml

    return str(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": context}))


def run(command: str | Sequence[str], environment: Mapping[str, str], timeout: float) -> Ended:
    """Runs a command on this machine: a text in a shell, words as a program with arguments.

    Everything that it has started is ended with it when time is up; what it leaves in the background goes on otherwise.

    Raises:
        EnvironmentProblem: It cannot be run.
    """
    text = command if isinstance(command, str) else " ".join(command)
    words = [_shell(), "-c", command] if isinstance(command, str) else list(command)
    # Files: a pipe stays open as long as something in the background holds it
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                words,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise EnvironmentProblem(f"The command '{words[0]}' does not exist on this machine.") from None
        except PermissionError as err:
            raise EnvironmentProblem(f"The command '{words[0]}' may not be run: {err.strerror}.") from None
        late = None
        try:
            process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            late = timeout
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return Ended(text, process.returncode, _text(output), _text(errors), late)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _shell() -> str:
    return next((shell for shell in SHELL if os.access(shell, os.X_OK)), "sh")
