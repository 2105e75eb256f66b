"""What the CyPerf keywords remember."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.judge import Totals
from NetLibrary._mechanics.cyperf.nodes import NodeReading
from NetLibrary._mechanics.cyperf.objects import Deployed
from NetLibrary._mechanics.cyperf.pause import LastRuns, Pause, Target
from NetLibrary._mechanics.cyperf.results import View
from NetLibrary._mechanics.cyperf.run import Finished
from NetLibrary._mechanics.cyperf.session import TestSession
from NetLibrary._mechanics.report import Picture
from NetLibrary.types import CyPerfRole


@dataclass(frozen=True)
class Aim:
    """Target of the clients.

    Args:
        name: Service or host in words.
        target: What is behind it, for the pause between runs.
        namespace: Namespace where the time of the run is kept.
        device: Whether it is a device under test in front of the servers.
        bypassed: Addresses of server agents beside the one pod that clients aim at.
    """

    name: str = ""
    target: Target = field(default_factory=lambda: Target("the server agents"))
    namespace: str = ""
    device: bool = False
    bypassed: frozenset[str] = frozenset()


@dataclass
class Run:
    """The latest run of a session.

    Args:
        session: Session it belongs to.
        tree: Configuration it ran with.
        aim: Where the clients aimed.
        tracking: Connection tracking of the nodes before it.
    """

    session: TestSession
    tree: dict[str, Any]
    aim: Aim
    tracking: list[NodeReading] = field(default_factory=list)
    test_id: str = ""
    begun: float = field(default_factory=time.time)
    finished: Finished | None = None
    views: dict[str, View] = field(default_factory=dict)
    totals: Totals | None = None
    window: tuple[int, int] | None = None
    pictures: list[Picture] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


@dataclass
class CyPerfState:
    """Everything the CyPerf keywords remember."""

    controllers: dict[str, Controller] = field(default_factory=dict)
    imported: list[tuple[Controller, str]] = field(default_factory=list)
    controller: Controller | None = None
    agents_address: str = ""
    deployed: dict[CyPerfRole, Deployed] = field(default_factory=dict)
    clusters: dict[CyPerfRole, str | None] = field(default_factory=dict)
    sessions: list[TestSession] = field(default_factory=list)
    current: TestSession | None = None
    aim: Aim = field(default_factory=Aim)
    run: Run | None = None
    ends: LastRuns = field(default_factory=lambda: LastRuns(""))
    pause: Pause | None = None
    device_nodes: list[str] = field(default_factory=list)
    reader_namespace: str = ""
