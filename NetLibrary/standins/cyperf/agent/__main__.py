"""Stand-in agent: `python -m ….agent`, configured by the environment variables of the real image."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import ssl
import sys
import time
import uuid
from typing import Any

from . import command, host
from .client import Clients
from .server import Servers

REPORT_SECONDS = float(os.environ.get("CYPERF_STANDIN_REPORT_SECONDS") or 0.5)
VERSION = "0.1-standin"


def say(text: str) -> None:
    """Prints one line of the agent's log."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


class Controller:
    """Connection to the stand-in controller; the real agents' protocol is not public."""

    def __init__(self, address: str, plain: bool) -> None:
        self.name, _, port = address.partition(":")
        self.port = int(port or (80 if plain else 443))
        self.plain = plain
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sends one message and returns the answer.

        Raises:
            OSError: When the controller cannot be reached.
            ValueError: When it answers something else than JSON with status 200.
        """
        if self._connection is None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if self.plain:
                self._connection = http.client.HTTPConnection(self.name, self.port, timeout=5)
            else:
                self._connection = http.client.HTTPSConnection(self.name, self.port, timeout=5, context=context)
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = None
            raise OSError(str(error) or type(error).__name__) from error
        if answer.status != 200:
            raise ValueError(f"controller answered {answer.status}")
        made = json.loads(text)
        if not isinstance(made, dict):
            raise ValueError("controller answered no object")
        return made


class Agent:
    """One agent: follows the controller's orders and reports."""

    def __init__(self, controller: Controller, tags: list[str], test_interface: str, management: str) -> None:
        self.id = str(uuid.uuid4())
        self.controller = controller
        self.tags = tags
        self.test_interface, self.management = test_interface, management
        address = host.address_of(test_interface) if test_interface else None
        self.clients, self.servers = Clients(address), Servers(address)
        self.generation = 0
        self.error = ""
        self.registered = False
        self.cpu = host.Cpu()

    def identity(self) -> dict[str, Any]:
        """Returns what the controller shows of this agent."""
        return {
            **host.describe(self.controller.name, self.controller.port, self.management),
            "tags": self.tags,
            "version": VERSION,
        }

    def report(self) -> dict[str, Any]:
        """Returns the report of this moment."""
        return {
            "generation": self.generation,
            "monotonic": time.monotonic(),
            "epoch": time.time(),
            "client_run": self.clients.run,
            "server_run": self.servers.run,
            "cannot_follow": self.error,
            "error": self.error or self.clients.error,
            "client": self.clients.report(),
            "server": self.servers.report(),
            "streams": {str(port): each.report() for port, each in self.servers.streams.items()},
            "dns": self.clients.dns.report(),
            "host": {"cpu": self.cpu.percent(), "memory": host.memory(), "network": host.network()},
        }

    async def follow(self, generation: int, plan: dict[str, Any] | None) -> None:
        """Does what the controller ordered."""
        self.error = ""
        try:
            if plan is None:
                await self.clients.stop()
                await self.servers.stop()
            elif plan["role"] == "server":
                await self.servers.start(plan)
                say(f"serving ports {sorted(self.servers.counters)}")
            else:
                await self.clients.start(plan)
                say(f"{plan['objective']} {plan['value']:.6g} towards {plan['hosts']}")
        except (OSError, ValueError, KeyError) as error:
            self.error = str(error)
            say(f"cannot follow: {error}")
        self.generation = generation

    async def talk(self) -> None:
        """Registers, then reports until it is cancelled."""
        while True:
            try:
                if not self.registered:
                    body = {"id": self.id, **self.identity()}
                    await asyncio.to_thread(self.controller.post, "/stand-in/agents", body)
                    self.registered = True
                    say(f"registered as {self.id} with tags {self.tags}")
                answer = await asyncio.to_thread(
                    self.controller.post, f"/stand-in/agents/{self.id}/report", self.report()
                )
                if answer.get("unknown"):
                    self.registered = False
                    continue
                if answer["generation"] != self.generation:
                    await self.follow(answer["generation"], answer.get("plan"))
                    continue
            except (OSError, ValueError) as error:
                self.registered = False
                say(f"controller {self.controller.name}:{self.controller.port}: {error}")
                await asyncio.sleep(1.0)
            await asyncio.sleep(REPORT_SECONDS)


def parse_tags(text: str) -> list[str]:
    """Turns `a=b,c=d` into the controller's form `a:b`, `c:d`.

    Raises:
        SystemExit: For an entry without `=`.
    """
    tags = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = entry.partition("=")
        if not equals or not key:
            raise SystemExit(f"AGENT_TAGS takes key=value entries separated by commas, got '{entry}'.")
        tags.append(f"{key}:{value}")
    return tags


def _started() -> None:
    """Leaves the file that says the agent has started, whether or not it has a controller."""
    os.makedirs("/appsec", exist_ok=True) if os.geteuid() == 0 and "KUBERNETES_SERVICE_HOST" in os.environ else None
    with contextlib.suppress(OSError), open("/appsec/startup_ready", "w", encoding="ascii") as ready:
        ready.write("ready\n")


async def _told_later() -> str:
    """Waits until the command line `cyperfagent controller set` has named a controller."""
    say("no AGENT_CONTROLLER; waiting for 'cyperfagent controller set'")
    while not (address := command.controller()):
        await asyncio.sleep(0.2)
    return address


async def main() -> None:
    """Runs the agent until SIGTERM."""
    environment = os.environ
    _started()
    address = environment.get("AGENT_CONTROLLER", "") or await _told_later()
    plain = address.startswith("http://")
    address = address.removeprefix("http://").removeprefix("https://")
    cores = environment.get("AGENT_CPU_SET")
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    agent = Agent(
        Controller(address, plain),
        parse_tags(environment.get("AGENT_TAGS", "")),
        environment.get("AGENT_TEST_INTERFACE", ""),
        environment.get("AGENT_MANAGEMENT_INTERFACE", ""),
    )
    say(f"CyPerf agent stand-in {VERSION} on Python {sys.version.split()[0]}, controller {address}")
    task = asyncio.get_running_loop().create_task(agent.talk())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await agent.clients.stop(0.2)
    await agent.servers.stop()


if __name__ == "__main__":
    asyncio.run(main())
