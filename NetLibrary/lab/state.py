"""What is known about a lab beyond its processes: written down before anything is made, so that all can be undone."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.components import Options
from NetLibrary.lab.paths import Paths, labs
from NetLibrary.lab.plan import IP_FAMILIES, AddressPlan
from NetLibrary.lab.processes import Identity, start_time


def boot_id() -> str:
    """Returns what tells this run of the machine from the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass
class State:
    """A lab as it is written down.

    Args:
        name: Name of the lab.
        index: Its address block.
        nodes: Number of nodes.
        phase: `starting`, `running` or `stopping`.
        options: What was chosen.
        programs: Folder of the programs it runs.
        snapshotter: Kind of snapshots its nodes use.
        automatic: Whether a test run started it, so that the last such run stops it.
        created: Seconds since the epoch.
        boot: Run of the machine in which it was started.
        versions: Versions of what runs in it.
        timings: Seconds that each phase of its start took.
        sysctls: Settings of the machine that labs changed, with the values that they had.
        places: Folders that were made on the machine for nodes' own ones to lie over.
        installed: What was installed in it: topic → names of the images.
        worker: Pid and start time of the program that starts the lab or takes it down.
    """

    name: str
    index: int
    nodes: int
    phase: str = "starting"
    options: Options = field(default_factory=Options)
    programs: str = ""
    snapshotter: str = "overlayfs"
    automatic: bool = False
    created: float = field(default_factory=time.time)
    boot: str = field(default_factory=boot_id)
    versions: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    sysctls: dict[str, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    installed: dict[str, list[str]] = field(default_factory=dict)
    worker: list[int] = field(default_factory=lambda: whoami())

    @property
    def plan(self) -> AddressPlan:
        """Addresses and names of the lab."""
        return AddressPlan(
            self.name, self.index, self.nodes, IP_FAMILIES[self.options.ip_family], self.options.host_names
        )

    def starter_alive(self) -> bool:
        """Tells whether the program that starts the lab, or takes it down, still runs."""
        return Identity(*self.worker).alive()

    def save(self) -> None:
        """Writes the state down; a reader sees the old or the new one, never half of it."""
        path = Paths.of(self.name).state
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.write_text(json.dumps(asdict(self), indent=1))
        new.replace(path)


def whoami() -> list[int]:
    """Returns the pid and the start time of this process."""
    return [os.getpid(), start_time(os.getpid()) or 0]


def load(name: str) -> State | None:
    """Returns the state of a lab; None when there is no such lab.

    Raises:
        EnvironmentProblem: The file is damaged, or of another version of this program.
    """
    path = Paths.of(name).state
    try:
        data = json.loads(path.read_text())
        # fields that another version of this program wrote and this one does not have are of no use to it
        data = {entry.name: data[entry.name] for entry in fields(State) if entry.name in data}
        known = {entry.name for entry in fields(Options)}
        options = Options(**{key: value for key, value in data["options"].items() if key in known})
        return State(**{**data, "options": options})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise EnvironmentProblem(f"The state of lab '{name}' in {path} cannot be read: {error}.") from error


def others(name: str) -> list[State]:
    """Returns the states of all other labs on this machine."""
    return [state for other in labs() if other != name and (state := load(other))]


def programs_in_use() -> set[str]:
    """Returns the folders of programs that labs of this machine run."""
    return {state.programs for name in labs() if (state := load(name))}
