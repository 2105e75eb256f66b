"""Reads a session's configuration tree and decides which agent does what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .agents import Agent, Agents

JsonObject = dict[str, Any]
_UNITS = {"": 1.0, "bps": 1.0, "Kbps": 1e3, "Mbps": 1e6, "Gbps": 1e9}
_ENCRYPTED = ("https", "tls", "ssl")
_PROTOCOLS = {"tcp": "tcp", "tls": "tcp", "ssl": "tcp", "udp": "udp"}
STRIKE = "Strike: "


class PlanError(Exception):
    """The configuration cannot be run; the text goes to the operation and to `testDetails`."""


@dataclass
class Phase:
    """One part of the timeline."""

    seconds: float
    level_from: float
    level_to: float
    steps: int = 1

    def level(self, elapsed: float) -> float:
        """Returns the share of the objective `elapsed` seconds into the phase, in steps."""
        if self.level_from == self.level_to:
            return self.level_to
        step = min(self.steps, int(elapsed / self.seconds * self.steps) + 1)
        if self.level_to < self.level_from:
            step -= 1
        return self.level_from + (self.level_to - self.level_from) * step / self.steps


@dataclass
class Plan:
    """Everything a run needs."""

    client_segments: list[JsonObject]
    server_segments: list[JsonObject]
    clients: list[Agent]
    servers: list[Agent]
    applications: list[JsonObject]
    objective: str
    value: float
    phases: list[Phase]
    dut: str = ""
    health: JsonObject = field(default_factory=dict)
    name_servers: list[str] = field(default_factory=list)
    tls: JsonObject = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    strikes: int = 0  # after so many strikes the run ends; 0 means at the end of its time

    @property
    def duration(self) -> float:
        """Seconds of traffic."""
        return sum(phase.seconds for phase in self.phases)

    def level(self, elapsed: float) -> float:
        """Returns the share of the objective that is due after `elapsed` seconds."""
        for phase in self.phases:
            if elapsed < phase.seconds:
                return phase.level(elapsed)
            elapsed -= phase.seconds
        return 0.0


def _active_items(tree: JsonObject, name: str) -> list[JsonObject]:
    profiles = tree.get("NetworkProfiles") or []
    return [item for profile in profiles for item in profile.get(name, []) if item.get("active", True)]


def assigned(segment: JsonObject, agents: Agents) -> list[Agent]:
    """Returns the agents of a segment, by id and by tag, each once.

    Raises:
        PlanError: When an agent is assigned by an id that the controller does not know.
    """
    assignments = segment.get("agentAssignments") or {}
    found: dict[str, Agent] = {}
    for entry in assignments.get("ByID") or []:
        agent = agents.known.get(str(entry.get("agentId")))
        if agent is None or agents.offline(agent):
            raise PlanError(f"Agent {entry.get('agentId')} assigned to [{segment['Name']}] is not online.")
        found[agent.id] = agent
    for agent in agents.with_tags(assignments.get("ByTag") or []):
        found[agent.id] = agent
    return list(found.values())


def _role(segments: list[JsonObject], role: str) -> list[JsonObject]:
    return [segment for segment in segments if role in (segment.get("networkTags") or [])]


def _number(parameters: list[JsonObject], name: str, default: int) -> int:
    for entry in parameters:
        if entry.get("Name") == name:
            try:
                return int(entry.get("Value", default))
            except ValueError:
                raise PlanError(f"'{name}' must be a number, got '{entry.get('Value')}'.") from None
    return default


def effective_ports(connection: JsonObject, encrypted: bool) -> tuple[int, int]:
    """Returns destination and listening port; 0 stands for 80, and for 443 with TLS."""
    settings = connection.get("PortSettings") or {}
    default = 443 if encrypted else 80
    return int(settings.get("DestinationPort") or default), int(settings.get("ServerListenPort") or default)


def is_encrypted(application: JsonObject, connection: JsonObject, tls: JsonObject) -> bool:
    """Says whether the connection uses TLS, by its own type or by the profile's setting."""
    if connection.get("Type") in _ENCRYPTED:
        return not connection.get("DisableEncryption")
    enabled = tls.get("tls12Enabled") or tls.get("tls13Enabled")
    return bool(enabled and application.get("InheritTLS") and not connection.get("DisableEncryption"))


def _application(entry: JsonObject, tls: JsonObject) -> JsonObject:
    connection = (entry.get("Connections") or [{}])[0]
    encrypted = is_encrypted(entry, connection, tls)
    destination, listen = effective_ports(connection, encrypted)
    parameters = [
        parameter
        for track in entry.get("Tracks") or []
        for action in track.get("Actions") or []
        for parameter in action.get("Params") or []
    ]
    return {
        "name": entry["Name"],
        "protocol": _PROTOCOLS.get(str(connection.get("Type")), "http"),
        "encrypted": encrypted,
        "destination": destination,
        "listen": listen,
        "hostname": (connection.get("HostnameParam") or {}).get("Value", ""),
        "weight": int(entry.get("ObjectiveWeight") or 1),
        "max_transactions": int(connection.get("MaxTransactions") or 0),
        "request_bytes": _number(parameters, "Request Payload Bytes", 0),
        "response_bytes": _number(parameters, "Response Payload Bytes", 1024),
    }


def _phases(objective: JsonObject, minimum: int) -> tuple[list[Phase], float, str]:
    phases: list[Phase] = []
    value, unit = 0.0, ""
    for segment in objective.get("Timeline") or []:
        if not segment.get("Enabled"):
            continue
        duration = int(segment.get("Duration") or 0)
        if not minimum <= duration <= 2_160_000:
            raise PlanError(f"Duration {duration} s of a timeline segment is not between {minimum} and 2160000 s.")
        steps = max(2, int(segment.get("NumberOfSteps") or 2))
        kind = segment.get("SegmentType")
        if kind == "StepUpSegment":
            phases.append(Phase(duration, 0.0, 1.0, steps))
        elif kind == "StepDownSegment":
            phases.append(Phase(duration, 1.0, 0.0, steps))
        else:
            phases.append(Phase(duration, 1.0, 1.0))
            value, unit = float(segment.get("ObjectiveValue") or 0), segment.get("ObjectiveUnit") or ""
    if not phases or value <= 0:
        raise PlanError("The timeline has no enabled steady segment with an objective above 0.")
    return phases, value, unit


def make(tree: JsonObject, agents: Agents, session_id: str, minimum_duration: int, netmask_missing: bool) -> Plan:
    """Returns the plan of a run.

    Raises:
        PlanError: With the controller's sentence when the configuration cannot run.
    """
    segments = _active_items(tree, "IPNetworkSegment")
    client_segments, server_segments = _role(segments, "Client"), _role(segments, "Server")
    profiles, entries = _active_profiles(tree, "TrafficProfiles", "Applications")
    attack_profiles, attacks = _active_profiles(tree, "AttackProfiles", "Attacks")
    if not entries and not attacks:
        raise PlanError("The configuration has no active application and no active attack.")
    if not client_segments:
        raise PlanError("The configuration has no active network segment with the tag Client.")
    _check_agents(client_segments + server_segments, agents, session_id)
    if netmask_missing:
        automatic = [
            segment["Name"] for segment in segments if any(each.get("IpAuto") for each in segment.get("IPRanges") or [])
        ]
        if automatic:
            names = " ".join(f"[{name}]" for name in automatic)
            raise PlanError(f"could not find NETMASK for automatic IP of network segments {names}")
    if not entries:
        return _attack_plan(attack_profiles[0], attacks, client_segments, server_segments, agents, tree)
    objective = profiles[0]["ObjectivesAndTimeline"]["PrimaryObjective"]
    phases, value, unit = _phases(objective, minimum_duration)
    tls = profiles[0]["TrafficSettings"]["DefaultTransportProfile"]["ClientTLSProfile"]
    plan = Plan(
        client_segments=client_segments,
        server_segments=server_segments,
        clients=_unique(client_segments, agents),
        servers=_unique(server_segments, agents),
        applications=[],
        objective=str(objective.get("Type")),
        value=value * _UNITS.get(unit, 1.0),
        phases=phases,
        tls=tls,
    )
    for entry in entries:
        datagrams = (entry.get("Connections") or [{}])[0].get("Type") == "udp"
        if datagrams and (entry.get("ProtocolID") != "UDP" or plan.objective == "Throughput"):
            plan.warnings.append(f"The stand-in does not send '{entry['Name']}' with objective '{plan.objective}'.")
        else:
            plan.applications.append(_application(entry, tls))
    if not plan.applications:
        raise PlanError("The stand-in can send none of the active applications.")
    if attacks:
        plan.warnings.append("The stand-in sends attacks only where there are no applications.")
    return _aimed(plan, tree)


def _active_profiles(tree: JsonObject, kind: str, children: str) -> tuple[list[JsonObject], list[JsonObject]]:
    profiles = [profile for profile in tree.get(kind) or [] if profile.get("Active", True)]
    found = [each for profile in profiles for each in profile.get(children) or [] if each.get("Active", True)]
    return profiles, found


def _attack_plan(
    profile: JsonObject, attacks: list[JsonObject], client_segments: list[JsonObject],
    server_segments: list[JsonObject], agents: Agents, tree: JsonObject,
) -> Plan:  # fmt: skip
    """A run of strikes: each a request over a connection of its own, at the attack rate, so often as asked for."""
    segment = (profile["ObjectivesAndTimeline"].get("TimelineSegments") or [{}])[0]
    iterations = int(segment.get("IterationCount") or 0)
    plan = Plan(
        client_segments=client_segments,
        server_segments=server_segments,
        clients=_unique(client_segments, agents),
        servers=_unique(server_segments, agents),
        applications=[
            {
                "name": STRIKE + str(each.get("Name")), "protocol": "http", "encrypted": False, "destination": 80,
                "listen": 80, "hostname": "", "weight": 1, "max_transactions": 1, "request_bytes": 0,
                "response_bytes": 128, "iterations": iterations,
            }
            for each in attacks
        ],
        objective="Connections per second",
        value=float(segment.get("AttackRate") or 1) * len(attacks),
        phases=[Phase(max(1, int(segment.get("Duration") or 600)), 1.0, 1.0)],
        strikes=iterations * len(attacks),
    )  # fmt: skip
    return _aimed(plan, tree)


def _aimed(plan: Plan, tree: JsonObject) -> Plan:
    _aim(plan, tree)
    if not plan.servers and not plan.dut:
        raise PlanError("No active network segment with the tag Server and no active DUT network.")
    return plan


def _unique(segments: list[JsonObject], agents: Agents) -> list[Agent]:
    found = {agent.id: agent for segment in segments for agent in assigned(segment, agents)}
    return list(found.values())


def _check_agents(segments: list[JsonObject], agents: Agents, session_id: str) -> None:
    missing = []
    for segment in segments:
        here = assigned(segment, agents)
        required = max(1, int(segment.get("minAgents") or 1))
        if len(here) < required:
            missing.append(f"[{segment['Name']}] ({len(here)} of {required})")
        for agent in here:
            if agent.session_id and agent.session_id != session_id:
                raise PlanError(
                    f"Agent {agent.ip} assigned to [{segment['Name']}] is owned by session "
                    f"'{agent.session_name}' of {agent.owner}."
                )
    if missing:
        raise PlanError(f"Not enough agents are assigned to network segments: {', '.join(missing)}.")


def _aim(plan: Plan, tree: JsonObject) -> None:
    duts = _active_items(tree, "DUTNetworkSegment")
    wanted = {each for segment in plan.client_segments for each in segment.get("DUTConnections") or []}
    for dut in duts:
        if wanted and str(dut["id"]) not in wanted:
            continue
        host = dut.get("ServerDUTHost") if dut.get("ServerDUTActive") else dut.get("host")
        if dut.get("active") and host:
            plan.dut = str(host)
            plan.health = dict(dut.get("HTTPHealthCheck") or {})
            break
    for segment in plan.client_segments:
        for server in (segment.get("DNSResolver") or {}).get("nameServers") or []:
            if server.get("name"):
                plan.name_servers.append(str(server["name"]))


def client_orders(plan: Plan, share: float, run_id: str) -> JsonObject:
    """Returns the orders of one client agent for its share of the objective."""
    hosts = [plan.dut] if plan.dut else [agent.ip for agent in plan.servers]
    return {
        "run": run_id,
        "role": "client",
        "hosts": hosts,
        "name_servers": plan.name_servers,
        "applications": plan.applications,
        "tls": plan.tls,
        "objective": plan.objective,
        "value": plan.value * share,
    }


def server_orders(plan: Plan, run_id: str) -> JsonObject:
    """Returns the orders of a server agent: ports to listen on and the health check to answer."""
    listeners = {
        (each["listen"], each["protocol"], each["encrypted"]): {
            "port": each["listen"],
            "protocol": each["protocol"],
            "encrypted": each["encrypted"],
            "response_bytes": each["response_bytes"],
            "request_bytes": each["request_bytes"],
        }
        for each in plan.applications
    }
    health = None
    if plan.health.get("Enabled"):
        path = next((each.get("Value") for each in plan.health.get("Params") or [] if str(each.get("id")) == "1"), None)
        health = {"port": int(plan.health.get("Port") or 80), "path": path or "/CyPerfHTTPHealthCheck"}
    return {"run": run_id, "role": "server", "listeners": list(listeners.values()), "health": health}
