"""Programs of this machine, run to their end."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from NetLibrary._mechanics.errors import ToolMissing, WaitTimeout

# Longest command line that a message quotes
MOST = 120


@dataclass(frozen=True)
class Ran:
    """What a program gave.

    Args:
        stdout: Its output.
        stderr: Its error output.
        exit_code: Its status.
    """

    stdout: str
    stderr: str
    exit_code: int


def run_here(
    command: Sequence[str], *, where: str, enter: Sequence[str] = (), stdin: str | None = None, timeout: float
) -> Ran:
    r"""Runs a program of this machine to its end.

    Args:
        command: Program and arguments.
        where: Place for messages, for instance `outside` or `on node1`.
        enter: Command that enters the place; the program goes behind it.
        stdin: What it reads.
        timeout: Seconds it may take.

    Raises:
        ToolMissing: The program, or the one that enters the place, is not there.
        WaitTimeout: It did not end in time.

    Example:
        >>> run_here(["echo", "yes"], where="here", timeout=5).stdout
        'yes\n'
    """
    text = " ".join(command)
    if len(text) > MOST:  # a script, say
        text = command[0]
    try:
        done = subprocess.run(
            [*enter, *command], input=stdin, text=True, capture_output=True, timeout=timeout, errors="replace"
        )
    except FileNotFoundError as error:
        raise ToolMissing(f"'{(enter or command)[0]}' is not on this machine.") from error
    except subprocess.TimeoutExpired as error:
        raise WaitTimeout(f"'{text}' {where} did not end within {timeout:g} s.") from error
    return Ran(done.stdout, done.stderr, done.returncode)
