"""The agent's command line, as far as suites use it: `cyperfagent controller set ADDRESS` and `controller show`."""

from __future__ import annotations

import os
import sys

FILE = os.environ.get("CYPERF_STANDIN_CONTROLLER_FILE", "/tmp/cyperfagent-controller")  # of its pod


def controller() -> str:
    """Returns the controller that was set, or an empty text."""
    try:
        with open(FILE, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def main(arguments: list[str]) -> int:
    """Runs a command and returns its exit status."""
    if arguments[:2] == ["controller", "show"]:
        print(controller() or "no controller is set")
        return 0
    if arguments[:2] == ["controller", "set"] and len(arguments) > 2:
        with open(FILE, "w", encoding="utf-8") as file:
            file.write(arguments[2])
        print(f"controller set to {arguments[2]}")
        return 0
    print("usage: cyperfagent controller set ADDRESS | cyperfagent controller show", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
