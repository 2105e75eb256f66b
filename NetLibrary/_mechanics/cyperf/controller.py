"""What a controller has: version, agents, configurations, applications, notifications."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from NetLibrary._mechanics import polling
from NetLibrary._mechanics.cyperf import operations
from NetLibrary._mechanics.cyperf.rest import Connection, Progress
from NetLibrary._mechanics.cyperf.types import Agent
from NetLibrary._mechanics.errors import ControllerError, InputError, Missing, WaitTimeout
from NetLibrary._mechanics.polling import settle
from NetLibrary._mechanics.secrets import head

# PrimaryObjective.Timeline and the DUT fields used here exist since 3.0.
MINIMUM_VERSION = 3
_VERSION = re.compile(r"(\d+)\.\d+")


class Controller:
    """A CyPerf controller.

    Args:
        connection: Connection to it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.version = ""
        self.stand_in = False

    def open(self, *, accept_eula: bool = False) -> None:
        """Makes sure that a usable controller answers and that the credentials are good.

        Raises:
            ControllerError: Not reachable, credentials refused, licence agreement open, or too old.
        """
        if not self.connection.eula_accepted():
            if not accept_eula:
                raise ControllerError(
                    f"The licence agreement of the CyPerf controller {self.connection.base} is not accepted. "
                    "Accept it in the web interface, or connect with accept_eula=True."
                )
            self.connection.accept_eula()
        self.now()
        self._find_version()

    def _find_version(self) -> None:
        try:
            releases = self.connection.items("/api/v2/deployment/helm/cluster/releases")
        except ControllerError:
            self.version = "unknown"
            return
        self.stand_in = any("stand-in" in f"{each.get('name')} {each.get('chart')}".lower() for each in releases)
        product = [each for each in releases if "cyperf" in str(each.get("name", "")).lower()] or releases
        found = [str(each.get("version") or each.get("appVersion") or each.get("chart") or "") for each in product]
        self.version = next((text for text in found if _VERSION.search(text)), "unknown")
        match = _VERSION.search(self.version)
        if match and not self.stand_in and int(match[1]) < MINIMUM_VERSION:
            raise ControllerError(
                f"The CyPerf controller {self.connection.base} has version {self.version}; "
                f"{MINIMUM_VERSION}.0 or newer is needed."
            )

    def now(self) -> int:
        """Returns the controller's time as Unix seconds."""
        answer = self.connection.call("GET", "/api/v2/time")
        if not isinstance(answer, dict) or not isinstance(answer.get("now"), (int, float)):
            raise ControllerError(f"{self.connection.base} answered the query for its time with {answer!r}.")
        stamp = float(answer["now"])
        return int(stamp / 1000 if stamp > 1e11 else stamp)

    # --- agents -------------------------------------------------------------------------------------

    def agents(self, *, tag: str | None = None, offline: bool = False) -> list[Agent]:
        """Returns the agents, those that are online unless `offline` is true."""
        query = None if offline else {"excludeOffline": "true"}
        found = [Agent.parse(entry) for entry in self.connection.items("/api/v2/agents", query=query)]
        return [agent for agent in found if tag is None or agent.has(tag)]

    def wait_for_agents(
        self, addresses: dict[str, str], tag: str, *, timeout: float, progress: Progress | None = None,
        still_there: Callable[[], None] | None = None,
    ) -> dict[str, Agent]:  # fmt: skip
        """Waits until exactly the agents of some pods are listed under a tag.

        Args:
            addresses: Pod names by address.
            tag: Tag that these agents carry and no others.
            timeout: Seconds; a first registration takes from seconds to minutes.
            progress: Gets a line at each change.
            still_there: Called at each look; raises when the goal is out of reach.
        Returns:
            Agents by pod name.
        Raises:
            WaitTimeout: With the pods that have no agent, and the agents that belong to no pod.
        """
        said = ""

        def listed() -> dict[str, Agent] | None:
            nonlocal said
            agents = self.agents(tag=tag)
            by_pod = {addresses[agent.ip]: agent for agent in agents if agent.ip in addresses}
            absent = sorted(set(addresses.values()) - set(by_pod))
            foreign = sorted(
                f"{agent.hostname or agent.id} ({agent.ip})" for agent in agents if agent.ip not in addresses
            )
            if not absent and not foreign:
                return by_pod
            line = f"agents with tag '{tag}': {len(by_pod)}/{len(set(addresses.values()))} listed"
            line += f", not yet: {', '.join(absent)}" if absent else ""
            line += f", of no pod: {', '.join(foreign)}" if foreign else ""
            if progress and line != said:
                progress(line)
            said = line
            if still_there:
                still_there()
            return None

        found = settle(listed, timeout=timeout, every=0.5, what=lambda: said)
        if found is None:
            raise WaitTimeout(
                f"The CyPerf controller {self.connection.base} does not list exactly the agents of "
                f"{len(set(addresses.values()))} pods after {timeout:g} s: {said}.\n"
                "Agents reach the controller, or its Controller Proxy, on port 443 (before version 3.0 on 30422 too); "
                "check the pods' logs and AGENT_CONTROLLER."
            )
        return found

    def purge_agents(self, tags: Iterable[str]) -> list[Agent]:
        """Deletes offline agents that carry one of the tags, and no others."""
        wanted = list(tags)
        gone = [agent for agent in self.agents(offline=True) if agent.offline and any(agent.has(t) for t in wanted)]
        for agent in gone:
            try:
                self.connection.call("DELETE", f"/api/v2/agents/{agent.id}")
            except Missing:
                continue
        return gone

    def release_agents(self, session_id: str) -> None:
        """Takes the agents of a session out of it."""
        held = [{"agentId": agent.id} for agent in self.agents() if agent.session_id == session_id]
        if held:
            body = {"sessionId": session_id, "agentsData": held}
            operations.run(
                self.connection, "/api/v2/agents/operations/release", body=body, timeout=30, what="Releasing agents"
            )

    def add_proxy(self, host: str, username: str, password: str, *, timeout: float = 120.0) -> int | None:
        """Makes sure that the controller uses a Controller Proxy, which relays agents that cannot reach it.

        Returns:
            Id of the proxy when it was added here, None when the controller knew it already.
        Raises:
            ControllerError: The controller cannot connect to it, with its reason.
            WaitTimeout: It did not connect in time.
        """
        self.connection.keep_secret(password)
        known = {str(each.get("hostName")): each for each in self.connection.items("/api/v2/brokers")}
        added = None
        if host not in known:
            body = [{"hostName": host, "user": username, "password": password, "trustNew": True}]
            made = self.connection.call("POST", "/api/v2/brokers", body=body)
            added = int((made[0] if isinstance(made, list) else made)["id"])

        def connected() -> bool:
            found = {str(each.get("hostName")): each for each in self.connection.items("/api/v2/brokers")}
            entry = found.get(host) or {}
            reason = str(entry.get("failureReason") or "")
            if entry.get("connectionStatus") not in ("ESTABLISHED", "IN_PROGRESS", None) or reason:
                text = f"The Controller Proxy {host} is not connected: {reason or entry.get('connectionStatus')}."
                raise ControllerError(self.connection.redact(text))
            return entry.get("connectionStatus") == "ESTABLISHED"

        polling.until(connected, timeout=timeout, every=1.0, what=f"Connection of the Controller Proxy {host}")
        return added

    def remove_proxy(self, identifier: int) -> None:
        """Removes a Controller Proxy; one that is gone already is fine."""
        with suppress(Missing):
            self.connection.call("DELETE", f"/api/v2/brokers/{identifier}")

    # --- configurations -------------------------------------------------------------------------------

    def configuration(self, name: str) -> dict[str, Any]:
        """Returns the configuration of that name (case does not matter) or id.

        Raises:
            InputError: There is none, or several.
        """
        configs = self.connection.items("/api/v2/configs")
        exact = [each for each in configs if str(each.get("id")) == name]
        exact = exact or [each for each in configs if str(each.get("displayName")) == name]
        found = exact or [each for each in configs if str(each.get("displayName", "")).lower() == name.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(each.get("id")) for each in found)
            raise InputError(f"{len(found)} configurations are named '{name}' ({ids}); give the ID of one.")
        names = [str(each.get("displayName")) for each in configs]
        raise InputError(
            f"The CyPerf controller {self.connection.base} has no configuration named '{name}'. {_similar(name, names)}"
        )

    def import_configuration(self, file: Path, *, timeout: float = 120.0) -> dict[str, Any]:
        """Imports an exported configuration, a zip or a JSON file.

        Raises:
            InputError: The file is missing or of another kind.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise InputError(f"The configuration '{file}' cannot be read: {error.strerror}.") from error
        if data[:2] == b"PK":
            ended = operations.run(
                self.connection, "/api/v2/configs/operations/import", data=data, content_type="application/x-zip",
                timeout=timeout, what=f"Importing '{file.name}'",
            )  # fmt: skip
            made = ended.result or (self.connection.call("GET", ended.result_path) if ended.result_path else None)
        elif data.lstrip()[:1] in (b"[", b"{"):
            made = self.connection.call(
                "POST", "/api/v2/configs", data=data, content_type="application/json", timeout=timeout
            )
        else:
            raise InputError(f"The configuration '{file}' is neither a zip nor JSON.")
        if isinstance(made, list) and made and made[0].get("id"):
            entry: dict[str, Any] = made[0]
            return {"configUrl": entry["id"], **entry}
        raise ControllerError(
            f"Importing '{file.name}': the controller named no configuration but {head(str(made), 120)!r}."
        )

    def delete_configuration(self, identifier: str) -> None:
        """Deletes a configuration; one that is gone already is fine."""
        try:
            self.connection.call("DELETE", f"/api/v2/configs/{identifier}")
        except Missing:
            return

    def application(self, name: str) -> dict[str, Any]:
        """Returns the catalogue's application of that exact name.

        Raises:
            InputError: There is none of that name; says which are similar, or that several match.
        """
        found = self.connection.items("/api/v2/resources/apps", query={"searchCol": "Name", "searchVal": name})
        exact = [each for each in found if each.get("Name") == name]
        exact = exact or [each for each in found if str(each.get("Name", "")).lower() == name.lower()]
        if len(exact) == 1:
            return exact[0]
        names = sorted({str(each.get("Name")) for each in exact or found})
        if names:
            shown = ", ".join(f"'{each}'" for each in names[:10]) + (", …" if len(names) > 10 else "")
            raise InputError(f"The application name '{name}' is ambiguous; write one of these in full: {shown}.")
        every = [str(each.get("Name")) for each in self.connection.items("/api/v2/resources/apps")]
        raise InputError(f"The catalogue has no application named '{name}'. {_similar(name, every)}")

    # --- notifications ----------------------------------------------------------------------------------

    def notifications(self, session_id: str, *, severities: tuple[str, ...] = ("error", "warning")) -> list[str]:
        """Returns what the controller had to say about a session, the oldest first."""
        found: list[tuple[float, str]] = []
        for severity in severities:
            query = {"severity": severity, "sessionId": session_id, "includeSeen": "true"}
            try:
                entries = self.connection.items("/api/v2/notifications", query=query)
            except ControllerError:
                continue
            for entry in entries:
                # A filter that a version does not know must not bring in the trouble of others.
                owner = (entry.get("tags") or {}).get("SessionId")
                if owner in (None, session_id):
                    text = f"{severity}: {entry.get('message', '')}"
                    found.append((float(entry.get("timestamp") or 0), self.connection.redact(text)))
        return [text for _, text in sorted(found, key=lambda each: each[0])]


def _similar(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or sorted(names)[:8]
    return "Similar: " + ", ".join(f"'{each}'" for each in close) + "." if close else "There is none at all."
