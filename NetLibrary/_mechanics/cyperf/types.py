"""What a controller says of agents and of a running test."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Agent:
    """An agent as the controller lists it.

    Args:
        id: Identity at the controller; a new pod is a new agent.
        ip: Management address.
        hostname: Name of its host, for pods the pod's name.
        tags: Tags in the form `key:value`.
        status: `STOPPED` when idle, `RUNNING` in a test.
        offline: Whether it was silent for too long.
        session_id: Session that owns it, or empty.
        session_name: Name of that session.
        owner: User of that session.
        interfaces: Interfaces with addresses and MTU.
        version: Version of its software.
    """

    id: str
    ip: str
    hostname: str = ""
    tags: tuple[str, ...] = ()
    status: str = ""
    offline: bool = False
    session_id: str = ""
    session_name: str = ""
    owner: str = ""
    interfaces: tuple[dict[str, Any], ...] = ()
    version: str = ""

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> Agent:
        """Returns the agent of an entry of `GET /agents`."""
        environment = entry.get("SelectedEnv") or {}
        return cls(
            id=str(entry.get("id", "")),
            ip=str(entry.get("IP") or ""),
            hostname=str(entry.get("hostname") or ""),
            tags=tuple(str(tag) for tag in entry.get("AgentTags") or ()),
            status=str(entry.get("Status") or ""),
            offline=bool(entry.get("offline")),
            session_id=str(environment.get("SessionID") or ""),
            session_name=str(entry.get("SessionName") or ""),
            owner=str(entry.get("owner") or ""),
            interfaces=tuple(entry.get("Interfaces") or ()),
            version=str((entry.get("systemInfo") or {}).get("portManagerVersion") or ""),
        )

    @property
    def prefix_length(self) -> int:
        """Length of the network prefix of its address; 32, as pods often have it, when it does not tell."""
        for interface in self.interfaces:
            for entry in interface.get("IP") or []:
                if entry.get("IP") == self.ip and entry.get("NetMask"):
                    text = str(entry["NetMask"])
                    return int(text) if text.isdigit() else ipaddress.ip_network(f"0.0.0.0/{text}").prefixlen
        return 32

    def has(self, tag: str) -> bool:
        """Tells whether the agent carries the tag, written `key:value` or `key=value`."""
        return tag.replace("=", ":", 1) in self.tags


@dataclass
class RunState:
    """One look at a running test.

    Args:
        status: `STOPPED`, `STARTING`, `CONFIGURING`, `STARTED`, `STOPPING` or `ERROR`.
        test_id: Id of the run; also of its result.
        details: The controller's words on errors.
        duration_seconds: Planned seconds of traffic.
        elapsed_seconds: Seconds so far.
    """

    status: str
    test_id: str
    details: str
    duration_seconds: int
    elapsed_seconds: int
    licences: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> RunState:
        """Returns the state of an entry of `GET /sessions/{id}/test`."""
        return cls(
            status=str(entry.get("status") or ""),
            test_id=str(entry.get("testId") or ""),
            details=str(entry.get("testDetails") or ""),
            duration_seconds=int(entry.get("testDuration") or 0),
            elapsed_seconds=int(entry.get("testElapsed") or 0),
            licences=dict(entry.get("usedLicenses") or {}),
        )
