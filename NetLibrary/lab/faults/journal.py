"""The list of faults that are in place, on disk, so that any later process can repair them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from NetLibrary.lab.faults.plan import Fault


class Journal:
    """A JSON file with the faults that are in place; several processes may share it.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def faults(self) -> list[Fault]:
        """Faults in place, oldest first."""
        with self._locked():
            return self._read()

    def add(self, fault: Fault) -> None:
        """Notes a fault, before it is made."""
        with self._locked():
            self._write([*self._read(), fault])

    def remove(self, identity: str) -> None:
        """Forgets a fault, after it was repaired."""
        with self._locked():
            self._write([fault for fault in self._read() if fault.identity != identity])

    def _read(self) -> list[Fault]:
        try:
            return [Fault.from_json(item) for item in json.loads(self.path.read_text())]
        except FileNotFoundError:
            return []

    def _write(self, faults: list[Fault]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps([fault.as_json() for fault in faults], indent=1))
        os.replace(new, self.path)
