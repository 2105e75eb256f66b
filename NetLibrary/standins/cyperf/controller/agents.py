"""Agents that registered, what they are told to do, and what they report."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .store import now
from .tree import link

JsonObject = dict[str, Any]


@dataclass
class Agent:
    """One registered agent."""

    id: str
    identity: JsonObject
    tags: list[str]
    seen: float = field(default_factory=time.monotonic)
    updated: int = field(default_factory=now)
    report: JsonObject = field(default_factory=dict)
    generation: int = 0
    plan: JsonObject | None = None
    session_id: str = ""
    session_name: str = ""
    owner: str = ""
    status: str = "STOPPED"
    reservation: str = ""

    @property
    def ip(self) -> str:
        """Management address."""
        return str(self.identity.get("ip", ""))

    @property
    def name(self) -> str:
        """Name of its host."""
        return str(self.identity.get("hostname", self.id))

    def order(self, plan: JsonObject | None) -> None:
        """Gives the agent a new plan; it fetches it with its next report."""
        self.generation += 1
        self.plan = plan

    def has_applied(self) -> bool:
        """Says whether the agent reported that it follows the latest plan."""
        return int(self.report.get("generation", -1)) == self.generation

    def release(self) -> None:
        """Takes the agent out of its session."""
        self.session_id = self.session_name = self.owner = self.reservation = ""
        self.status = "STOPPED"
        if self.plan is not None:
            self.order(None)


class Agents:
    """The agents of one controller."""

    def __init__(self, offline_after: float) -> None:
        self.known: dict[str, Agent] = {}
        self.offline_after = offline_after

    def register(self, identifier: str, identity: JsonObject) -> Agent:
        """Adds an agent, or renews the identity of a known one."""
        tags = [str(tag) for tag in identity.get("tags", [])]
        agent = self.known.get(identifier)
        if agent is None:
            agent = self.known[identifier] = Agent(identifier, identity, tags)
        agent.identity = identity
        agent.seen, agent.updated = time.monotonic(), now()
        return agent

    def reported(self, agent: Agent, report: JsonObject) -> JsonObject:
        """Takes a report and returns the orders for the agent."""
        agent.report = report
        agent.seen, agent.updated = time.monotonic(), now()
        orders: JsonObject = {"generation": agent.generation}
        if int(report.get("generation", -1)) != agent.generation:
            orders["plan"] = agent.plan
        return orders

    def offline(self, agent: Agent) -> bool:
        """Says whether the agent has been silent for too long."""
        return time.monotonic() - agent.seen > self.offline_after

    def online(self) -> list[Agent]:
        """Returns the agents that reported lately."""
        return [agent for agent in self.known.values() if not self.offline(agent)]

    def with_tags(self, tags: Iterable[str]) -> list[Agent]:
        """Returns the online agents that carry any of the tags."""
        wanted = set(tags)
        return [agent for agent in self.online() if wanted & set(agent.tags)]

    def shown(self, agent: Agent, now_seconds: int | None = None) -> JsonObject:
        """Returns the agent as the interface shows it."""
        identity = agent.identity
        interfaces = identity.get("interfaces", [])
        href = f"/api/v2/agents/{agent.id}"
        return {
            "id": agent.id,
            "IP": agent.ip,
            "hostname": agent.name,
            "AgentTags": list(agent.tags),
            "Status": agent.status,
            "offline": self.offline(agent),
            "LastUpdate": agent.updated,
            "owner": agent.owner,
            "ownerId": agent.owner,
            "ReservationID": agent.reservation,
            "SelectionStatus": "SELECTED" if agent.session_id else "",
            "SessionName": agent.session_name,
            "Interfaces": interfaces,
            "mgmtInterface": interfaces[0] if interfaces else None,
            "SelectedEnv": {"SessionID": agent.session_id, "TestInterface": interfaces, "Token": ""}
            if agent.session_id
            else None,
            "cpuInfo": identity.get("cpu", []),
            "memoryMB": int(identity.get("memory_mb", 0)),
            "systemInfo": {
                "arch": identity.get("arch", ""),
                "kernelVersion": identity.get("kernel", ""),
                "osName": identity.get("os", ""),
                "portManagerVersion": identity.get("version", "stand-in"),
                "trafficAgentInfo": [{"type": "stand-in", "version": identity.get("version", "stand-in")}],
            },
            "features": {"debianOS": "false", "dpdkUsage": "false", "update": "false"},
            "dpdkEnabled": False,
            "ntpInfo": {"activeServer": "", "servers": [], "status": "unknown"},
            "requiresUpdating": False,
            "links": [link("self", "", href)],
        }

    def groups(self) -> list[JsonObject]:
        """Returns the tags with their agents."""
        by_tag: dict[str, list[Agent]] = {}
        for agent in self.known.values():
            for tag in agent.tags:
                by_tag.setdefault(tag, []).append(agent)
        return [
            {
                "Name": tag,
                "Agents": [agent.id for agent in agents],
                "Available": any(not agent.session_id and not self.offline(agent) for agent in agents),
                "Online": any(not self.offline(agent) for agent in agents),
            }
            for tag, agents in sorted(by_tag.items())
        ]
