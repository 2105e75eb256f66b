"""What the agents' counters said at one moment, for the views that are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .agents import Agent

JsonObject = dict[str, Any]


@dataclass
class Measured:
    """Counters of one application or port of one agent: in total, and since the last row."""

    total: dict[str, int]
    delta: dict[str, int]
    seconds: float

    def rate(self, name: str) -> float:
        """Returns a counter's increase per second."""
        return self.delta.get(name, 0) / self.seconds if self.seconds > 0 else 0.0


@dataclass
class AgentSample:
    """One agent at one moment."""

    agent: Agent
    client: dict[str, Measured]
    server: dict[str, Measured]
    dns: dict[str, int]
    host: JsonObject
    network: dict[str, Measured]
    clock_offset: float
    streams: dict[str, Measured] = field(default_factory=dict)


@dataclass
class Sample:
    """All agents of a run at one moment."""

    milliseconds: int
    agents: list[AgentSample]
    final: bool = False

    def clients(self, application: str | None = None) -> list[Measured]:
        """Returns the client counters, of one application or of all."""
        return [
            measured
            for sample in self.agents
            for name, measured in sample.client.items()
            if application in (None, name)
        ]

    def servers(self, port: str | None = None) -> list[Measured]:
        """Returns the server counters, of one port or of all."""
        return [measured for sample in self.agents for name, measured in sample.server.items() if port in (None, name)]
