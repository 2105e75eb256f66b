"""What iperf3's words mean, and which of its words to show."""

from __future__ import annotations

import re

# Words of iperf3's messages, in the order in which they are looked for, and what they mean to a reader
_KINDS = (
    ("busy", ("server is busy",)),
    ("refused", ("connection refused",)),
    ("unresolved", ("name or service not known", "failure in name resolution", "name does not resolve", "try again")),
    # An unknown name leaves errno as it was, and whatever that is gets printed; newer versions say more before it
    ("unresolved", ("connect to server: no such file", "connect to server: success",
                    "connect to server: resource temporarily",
                    "etc.: no such file", "etc.: success", "etc.: resource temporarily")),
    ("unreachable", ("no route to host", "network is unreachable", "host is unreachable", "host unreachable")),
    ("timed out", ("timed out", "operation now in progress", "idle timeout", "server test duration expired",
                   "resource temporarily unavailable")),
    ("reset", ("connection reset", "broken pipe")),
    ("closed", ("control socket has closed", "unable to receive", "bad file descriptor", "server has terminated")),
    ("interrupted", ("client has terminated", "interrupt -")),
    ("unsupported", ("unrecognized option", "invalid option", "unknown option", "unrecognised option")),
    ("crashed", ("segmentation fault", "core dumped", "aborted", "bus error", "illegal instruction", "stack smashing",
                 "double free", "assertion")),
    ("cannot start", ("loading shared librar", "shared object file", "exec format error", "iperf3: permission denied",
                      "iperf3: not found", "iperf3: command not found", "no such file or directory",
                      "error relocating", "' not found (required by", "symbol lookup error")),
)  # fmt: skip
# What a shell reports for a signal, less 128
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
}
_WORTH = re.compile(r"error|iperf3|fault|dumped|denied|not found|killed|abort|unable", re.IGNORECASE)
_LONGEST = 300


def kind_of(text: str) -> str | None:
    """Returns the kind of a message, None when its words are not known."""
    lowered = text.lower()
    return next((kind for kind, words in _KINDS if any(word in lowered for word in words)), None)


def error_in(text: str) -> str:
    """Returns iperf3's own error message in a text, or an empty text."""
    for line in text.splitlines():
        for mark in ("error - ", "iperf3: unrecognized option", "iperf3: invalid option"):
            if mark in line:
                return line.split(mark, 1)[1].strip() if mark == "error - " else line.strip()
    return ""


def only_a_signal(text: str) -> bool:
    """Tells whether a text is no more than what a shell says of a program that a signal ended."""
    return text.strip().lower() in ("killed", "terminated", "hangup", "quit")


def last_words(text: str) -> str:
    """Returns the lines of a text that say most about how a program ended, at most three.

    A usage that follows the message is left out.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    usage = next((i for i, line in enumerate(lines) if line.lower().startswith("usage:")), len(lines))
    lines = lines[:usage] or lines
    telling = [line for line in lines if _WORTH.search(line)] or lines
    return " / ".join(telling[-3:])[-_LONGEST:]


def signal_of(exit_status: int | None) -> str | None:
    """Returns the signal behind an exit status above 128, by name."""
    if exit_status is None or exit_status <= 128:
        return None
    return _SIGNALS.get(exit_status - 128, f"signal {exit_status - 128}")
