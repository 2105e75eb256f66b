"""Shows and repairs the faults of a lab: `python -m NetLibrary.lab.faults [list|repair] [--lab NAME]`."""

from __future__ import annotations

import argparse
import sys
import time

from NetLibrary._mechanics.errors import NetLibraryError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m NetLibrary.lab.faults", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("list", "repair"), default="list")
    parser.add_argument("--lab", default="default", help="name of the lab")
    given = parser.parse_args(arguments)
    from NetLibrary.lab import Lab
    from NetLibrary.lab.faults import Faults

    try:
        faults = Faults(Lab(given.lab))
        if given.command == "repair":
            repaired = faults.repair_all()
            print("\n".join(f"repaired: {fault.text}" for fault in repaired) or "Nothing was broken.")
        else:
            rows = [f"{time.time() - f.started:6.0f} s ago, pid {f.pid}: {f.text}" for f in faults.in_place()]
            print("\n".join(rows) or "Nothing is broken.")
    except NetLibraryError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
