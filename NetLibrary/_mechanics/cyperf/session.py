"""A session at the controller: a working copy of a configuration, shaped for a cluster and run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from NetLibrary._mechanics.cyperf import operations
from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.errors import ControllerError, InputError, Missing
from NetLibrary._mechanics.secrets import head
from NetLibrary.types import CyPerfObjective, CyPerfRole

_PROFILE = "NetworkProfiles/1"
# Words of a password or token in a configuration: what is under them is not shown or stored.
SHORTEST, LONGEST = 1, 2_160_000


class TestSession:
    """One session of this run at the controller."""

    __test__ = False  # not a test class, whatever its name

    def __init__(self, controller: Controller, identifier: str, name: str, config_name: str) -> None:
        self.controller, self.id, self.name, self.config_name = controller, identifier, name, config_name
        self.connection = controller.connection

    @classmethod
    def create(cls, controller: Controller, config_url: str, config_name: str) -> TestSession:
        """Opens a session from a configuration."""
        made = controller.connection.call("POST", "/api/v2/sessions", body=[{"configUrl": config_url}])
        entry = made[0] if isinstance(made, list) and made else made
        if not isinstance(entry, dict) or not entry.get("id"):
            raise ControllerError(
                f"Opening a session of '{config_name}': the controller answered {head(str(made), 120)!r}."
            )
        return cls(controller, str(entry["id"]), str(entry.get("name") or config_name), config_name)

    @property
    def path(self) -> str:
        return f"/api/v2/sessions/{self.id}"

    # --- the tree -------------------------------------------------------------------------------------

    def _node(self, path: str) -> str:
        return f"{self.path}/config/config/{path}".rstrip("/")

    def read(self, path: str = "", *, inline: bool = True) -> Any:
        """Returns a node of the configuration with everything below it."""
        return self.connection.call("GET", self._node(path), query={"include": "all"} if inline else None)

    def change(self, path: str, body: dict[str, Any]) -> None:
        """Changes fields of a node; where PATCH is refused (405) the whole node is PUT."""
        try:
            self.connection.call("PATCH", self._node(path), body=body)
        except ControllerError as error:
            if error.status != 405:
                raise
            self.connection.call("PUT", self._node(path), body={**self.read(path), **body})

    def add(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Adds an item to a list and returns it as the controller completed it."""
        self.connection.call("POST", self._node(path), body=body)
        items: list[dict[str, Any]] = self.read(path)
        return items[-1]

    def remove(self, path: str) -> None:
        """Removes an item of a list."""
        self.connection.call("DELETE", self._node(path))

    # --- networks ---------------------------------------------------------------------------------------

    def segments(self, role: CyPerfRole) -> list[dict[str, Any]]:
        """Returns the IP network segments of a role.

        Raises:
            InputError: The configuration has none.
        """
        profiles = self.read("NetworkProfiles")
        found = [
            segment
            for profile in profiles[:1]
            for segment in profile.get("IPNetworkSegment") or []
            if role.value in (segment.get("networkTags") or []) and segment.get("active", True)
        ]
        if not found:
            raise InputError(
                f"The configuration '{self.config_name}' has no active IP network segment with the tag {role.value}."
            )
        return found

    def assign_tag(self, role: CyPerfRole, tag: str) -> None:
        """Lets the agents with a tag play a role; agents assigned before are taken out."""
        for segment in self.segments(role):
            assignments = {"ByTag": [tag.replace("=", ":", 1)], "ByID": [], "ByPort": []}
            self.change(f"{_PROFILE}/IPNetworkSegment/{segment['id']}/agentAssignments", assignments)

    def use_automatic_addresses(self, automatic: bool = True) -> None:
        """Lets all segments take the addresses that the agents' interfaces have."""
        for role in CyPerfRole:
            for segment in self.segments(role):
                for each in segment.get("IPRanges") or []:
                    body = {"IpAuto": automatic, "NetMaskAuto": automatic, "GwAuto": automatic}
                    self.change(f"{_PROFILE}/IPNetworkSegment/{segment['id']}/IPRanges/{each['id']}", body)

    def use_agent_addresses(self, names: list[str]) -> list[str]:
        """Writes the addresses of assigned agents into segments whose automatic addressing failed.

        Args:
            names: Names of the segments.
        Returns:
            One line for each segment; none when it cannot be done, because several agents share a segment and one
            range of addresses cannot name them, or an agent does not tell its address.
        """
        agents, planned, lines = self.controller.agents(), [], []
        for segment in (each for role in CyPerfRole for each in self.segments(role) if each.get("Name") in names):
            given = segment.get("agentAssignments") or {}
            ids = {str(entry.get("agentId")) for entry in given.get("ByID") or []}
            here = [a for a in agents if a.id in ids or any(a.has(tag) for tag in given.get("ByTag") or [])]
            ranges = segment.get("IPRanges") or []
            if len(here) != 1 or len(ranges) != 1 or not here[0].ip:
                return []
            prefix = here[0].prefix_length
            path = f"{_PROFILE}/IPNetworkSegment/{segment['id']}/IPRanges/{ranges[0]['id']}"
            body = {"IpAuto": False, "IpStart": here[0].ip, "Count": 1, "NetMaskAuto": False, "NetMask": prefix}
            planned.append((path, body))
            lines.append(
                f"segment '{segment['Name']}' takes {here[0].ip}/{prefix} of {here[0].hostname or 'its agent'}"
            )
        for path, body in planned:
            self.change(path, body)
        return lines

    def disable_role(self, role: CyPerfRole) -> None:
        """Takes the segments of a role out of the run, for servers that are no agents."""
        for segment in self.segments(role):
            self.change(f"{_PROFILE}/IPNetworkSegment/{segment['id']}", {"active": False})

    def set_name_servers(self, addresses: list[str]) -> None:
        """Sets the DNS resolver of the client segments."""
        for segment in self.segments(CyPerfRole.CLIENT):
            body = {"nameServers": [{"name": address} for address in addresses]}
            self.change(f"{_PROFILE}/IPNetworkSegment/{segment['id']}/DNSResolver", body)

    def dut(self) -> dict[str, Any]:
        """Returns the first DUT network.

        Raises:
            InputError: The configuration has none.
        """
        profiles = self.read("NetworkProfiles")
        duts = profiles[0].get("DUTNetworkSegment") if profiles else None
        if not duts:
            raise InputError(f"The configuration '{self.config_name}' has no DUT network to aim at.")
        found: dict[str, Any] = duts[0]
        return found

    def aim_at(self, host: str) -> None:
        """Sets the device under test; an empty host switches it off (clients then meet servers directly)."""
        dut = self.dut()
        active = bool(host)
        body = {"active": active, "ServerDUTActive": active, "ServerDUTHost": host, "host": host}
        self.change(f"{_PROFILE}/DUTNetworkSegment/{dut['id']}", body)
        if active:
            for segment in self.segments(CyPerfRole.CLIENT):
                connected = segment.get("DUTConnections") or []
                if connected and str(dut["id"]) not in connected:
                    body = {"DUTConnections": [*connected, str(dut["id"])]}
                    self.change(f"{_PROFILE}/IPNetworkSegment/{segment['id']}", body)

    def set_health_check(self, enabled: bool, port: int, path: str) -> None:
        """Lets the emulated servers answer an HTTP health check while a test runs."""
        dut = self.dut()
        base = f"{_PROFILE}/DUTNetworkSegment/{dut['id']}/HTTPHealthCheck"
        self.change(base, {"Enabled": enabled, "Port": port})
        if path:
            self.change(f"{base}/Params/1", {"Value": path})

    # --- traffic ------------------------------------------------------------------------------------------

    def profile(self) -> dict[str, Any]:
        """Returns the first active traffic profile; attack-only configurations have none.

        Raises:
            InputError: There is none.
        """
        for profile in self.read("TrafficProfiles") or []:
            if profile.get("Active", True):
                found: dict[str, Any] = profile
                return found
        raise InputError(f"The configuration '{self.config_name}' has no active traffic profile (attacks only?).")

    def use_applications(self, names: list[str]) -> list[str]:
        """Replaces the applications by these of the catalogue, in the order given.

        They are added one by one: a batch is refused as a whole when one of it is broken.

        Raises:
            InputError: A name is unknown or ambiguous, or its catalogue entry is broken.
        """
        wanted = [self.controller.application(name) for name in names]
        try:
            profile = self.profile()
        except InputError:
            profile = self.add("TrafficProfiles", {"Name": "Application Profile"})
        base = f"TrafficProfiles/{profile['id']}/Applications"
        for present in profile.get("Applications") or []:
            self.remove(f"{base}/{present['id']}")
        for entry in wanted:
            try:
                self.add(base, {"ExternalResourceURL": entry["id"], "ObjectiveWeight": 1})
            except Missing as error:
                raise InputError(
                    f"The catalogue lists the application '{entry.get('Name')}', but it cannot be added: {error}"
                ) from error
        return [str(entry["Name"]) for entry in wanted]

    def connections(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Yields path, application and connection of everything that sends."""
        profile = self.profile()
        for application in profile.get("Applications") or []:
            if not application.get("Active", True):
                continue
            for connection in application.get("Connections") or []:
                path = (
                    f"TrafficProfiles/{profile['id']}/Applications/{application['id']}/Connections/{connection['id']}"
                )
                yield path, application, connection

    def set_ports(self, destination: int | None, listen: int | None, *, application: str | None = None) -> None:
        """Sets where clients connect to and servers listen, of one application or of all; 0 is the default port."""
        done = False
        for path, each, connection in self.connections():
            if application in (None, each.get("Name")):
                settings = connection.get("PortSettings") or {}
                body: dict[str, Any] = {"Automatic": False, "AutomaticDestinationPort": False}
                body["DestinationPort"] = settings.get("DestinationPort", 0) if destination is None else destination
                body["ServerListenPort"] = settings.get("ServerListenPort", 0) if listen is None else listen
                self.change(f"{path}/PortSettings", body)
                done = True
        if not done:
            names = ", ".join(f"'{name}'" for name in sorted({str(a.get("Name")) for _, a, _ in self.connections()}))
            raise InputError(f"No application of the session is named '{application}'; there are {names or 'none'}.")

    def set_tls(self, enabled: bool, version: str = "1.3") -> None:
        """Switches TLS on or off for all applications that inherit it from the profile."""
        profile = self.profile()
        body = {
            "tls12Enabled": enabled and version == "1.2",
            "tls13Enabled": enabled and version == "1.3",
            "version": f"TLSv{version}" if enabled else "NONE",
        }
        base = f"TrafficProfiles/{profile['id']}/TrafficSettings/DefaultTransportProfile"
        for side in ("ClientTLSProfile", "ServerTLSProfile"):
            self.change(f"{base}/{side}", body)

    def set_objective(
        self, kind: CyPerfObjective, value: float, seconds: int, *, ramp_up: int = 0, ramp_down: int = 0
    ) -> None:
        """Sets objective and timeline.

        Args:
            kind: Objective.
            value: Bits per second for throughput, else a number.
            seconds: Length of the steady part.
            ramp_up: Seconds of the stepped increase, 0 for none.
            ramp_down: Seconds of the stepped decrease, 0 for none.
        """
        if not SHORTEST <= seconds <= LONGEST:
            raise InputError(f"duration is {seconds} s; allowed: {SHORTEST} to {LONGEST} s.")
        if value <= 0:
            raise InputError(f"The objective must be above 0, not {value:g}.")
        profile = self.profile()
        base = f"TrafficProfiles/{profile['id']}/ObjectivesAndTimeline/PrimaryObjective"
        objective = self.read(base)
        timeline = objective.get("Timeline")
        if not timeline:
            raise ControllerError(
                f"'{self.config_name}' has no PrimaryObjective.Timeline; "
                f"the controller ({self.controller.version}) is too old."
            )
        unit = "bps" if kind is CyPerfObjective.THROUGHPUT else ""
        self.change(base, {"Type": kind.value, "Unit": unit})
        for part in timeline:
            name = str(part.get("SegmentType"))
            length = {"StepUpSegment": ramp_up, "StepDownSegment": ramp_down}.get(name, seconds)
            steady = name not in ("StepUpSegment", "StepDownSegment")
            part["Enabled"] = steady or length > 0
            if part["Enabled"]:
                part["Duration"] = int(length)
            if steady:
                part["ObjectiveValue"] = int(value) if float(value).is_integer() else float(value)
                part["ObjectiveUnit"] = unit
            part.pop("links", None)
        self.change(base, {"Type": kind.value, "Unit": unit, "Timeline": timeline})

    # --- life ---------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Returns the configuration without its links, for records and for the check against a cluster."""
        tree: dict[str, Any] = _without_links(self.read())
        return tree

    def save_as(self, name: str, *, timeout: float = 60.0) -> str:
        """Saves the working copy as a new configuration and returns its id."""
        ended = operations.run(
            self.connection, f"{self.path}/config/operations/save", body={"Name": name}, timeout=timeout,
            what=f"Saving '{name}'",
        )  # fmt: skip
        return str((ended.result or {}).get("id", ""))

    def delete(self) -> None:
        """Deletes the session; one that is gone already is fine."""
        try:
            self.connection.call("DELETE", self.path)
        except Missing:
            return


def _without_links(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_links(value) for key, value in node.items() if key != "links"}
    if isinstance(node, list):
        return [_without_links(item) for item in node]
    return node


def digest(tree: dict[str, Any]) -> str:
    """Returns a text that is equal for equal configurations."""
    return json.dumps(tree, sort_keys=True)
