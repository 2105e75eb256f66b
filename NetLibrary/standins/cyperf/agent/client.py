"""The emulated clients of an agent: keeps connections busy as the objective of a run asks."""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
import time
from typing import Any

from .counters import ClientCounters, DnsCounters
from .names import Names, ResolutionError
from .streams import ClientStream
from .wire import ClientConnection, http_request, tcp_request

THROUGHPUT, CONNECTION_RATE = "Throughput", "Connections per second"
USERS, CONCURRENT = "Simulated users", "Concurrent connections"
FLOW_RATE = "Flow rate"
OBJECTIVES = (THROUGHPUT, CONNECTION_RATE, USERS, CONCURRENT, FLOW_RATE)

_THROUGHPUT_CONNECTIONS = 8
_MAX_CONNECTING = 2000
_CONNECT_SECONDS = 5.0
_ACTION_SECONDS = 10.0
_RETRY_SECONDS = 0.2
_TICK = 0.005


def client_context(tls: dict[str, Any]) -> ssl.SSLContext:
    """Returns a TLS context; a load generator does not judge certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.get("tls12Enabled") and not tls.get("tls13Enabled"):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    elif tls.get("tls13Enabled") and not tls.get("tls12Enabled"):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class _Application:
    """One application of the run, ready to be sent."""

    def __init__(self, entry: dict[str, Any], host: str, tls: dict[str, Any], one_shot: bool) -> None:
        self.name = entry["name"]
        self.port = entry["destination"]
        self.http = entry["protocol"] == "http"
        self.udp = entry["protocol"] == "udp"
        self.context = client_context(tls) if entry["encrypted"] else None
        self.hostname = entry["hostname"] or host
        self.response_bytes = entry["response_bytes"]
        self.max_transactions = entry["max_transactions"] or (1 if one_shot else 0)
        if self.http:
            self.request = http_request(
                self.hostname, entry["request_bytes"], self.response_bytes, self.max_transactions == 1
            )
        else:
            self.request = tcp_request(entry["request_bytes"], self.response_bytes)
        self.counters = ClientCounters()
        self.weight = max(1, entry["weight"])
        self.left = entry.get("iterations") or None  # connections that are still allowed, None for any number


class Clients:
    """All emulated clients of one agent for one run."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self.run = ""
        self.error = ""
        self.dns = DnsCounters()
        self._applications: list[_Application] = []
        self._value = 0.0
        self._objective = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._live: set[ClientConnection | ClientStream] = set()
        self._connecting = 0
        self._wanted = 0
        self._running = False
        self._next_send = 0.0
        self._targets: itertools.cycle[str] | None = None

    async def start(self, orders: dict[str, Any]) -> None:
        """Starts a run, or changes the value of the objective of the present one.

        Raises:
            ValueError: For an objective that cannot be pursued.
        """
        if orders["run"] == self.run and self._running:
            self._value = orders["value"]
            return
        if orders["objective"] not in OBJECTIVES:
            raise ValueError(f"the stand-in cannot pursue '{orders['objective']}', only {', '.join(OBJECTIVES)}")
        await self.stop()
        self.run, self.error, self.dns = orders["run"], "", DnsCounters()
        self._objective, self._value = orders["objective"], orders["value"]
        one_shot = self._objective in (CONNECTION_RATE, FLOW_RATE)
        host = orders["hosts"][0] if orders["hosts"] else ""
        self._applications = [_Application(entry, host, orders["tls"], one_shot) for entry in orders["applications"]]
        chosen = [each for each in self._applications for _ in range(each.weight)]
        self._choice = itertools.cycle(chosen)
        self._names = Names(orders["name_servers"], self.dns)
        self._hosts = list(orders["hosts"])
        self._running = True
        self._next_send = time.perf_counter()
        self._spawn(self._drive())
        self._spawn(self._watch())

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self) -> None:
        """Opens connections: at a rate, or until as many are open as wanted."""
        opened, begin = 0.0, time.perf_counter()
        while self._running:
            at = time.perf_counter()
            if self._objective in (CONNECTION_RATE, FLOW_RATE):
                opened += self._value * (at - begin)
                due = min(int(opened), _MAX_CONNECTING - self._connecting)
                # What could not be opened is not made up for later: no bursts after a stall.
                opened = opened - due if due == int(opened) else 0.0
                self._wanted = due
                for _ in range(max(0, due)):
                    self._open()
            else:
                self._wanted = self._connection_target()
                missing = self._wanted - len(self._live) - self._connecting
                for _ in range(max(0, min(missing, 200))):
                    self._open()
                for connection in list(self._live)[: max(0, len(self._live) - self._wanted)]:
                    if not connection.busy:
                        connection.close()
                        self._live.discard(connection)
            begin = at
            await asyncio.sleep(_TICK)

    def _connection_target(self) -> int:
        if self._objective == THROUGHPUT:
            return _THROUGHPUT_CONNECTIONS if self._value > 0 else 0
        return int(self._value)

    def _open(self) -> None:
        application = next(self._choice)
        if application.left is not None:
            if application.left == 0:
                return
            application.left -= 1
        self._connecting += 1
        self._spawn(self._connect(application))

    async def _connect(self, application: _Application) -> None:
        counters = application.counters
        connection: ClientConnection | ClientStream
        if application.udp:
            connection = ClientStream(counters, self._done)
        else:
            connection = ClientConnection(
                counters, application.request, application.http, application.response_bytes, self._done
            )
        connection.owner = application
        try:
            address = await self._address()
            counters.conn_initiated += 1
            begin = time.perf_counter()
            await asyncio.wait_for(self._transport(connection, application, address), _CONNECT_SECONDS)
        except ResolutionError as error:
            self._failed(application, str(error), resolved=False)
            await asyncio.sleep(_RETRY_SECONDS)
        except (OSError, asyncio.TimeoutError, ssl.SSLError) as error:
            number = getattr(error, "errno", None)
            text = os.strerror(number) if number else str(error) or "timeout"
            self._failed(application, f"connecting to {address}:{application.port}: {text}", resolved=True)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            counters.conn_succeeded += 1
            counters.connect_us += int((time.perf_counter() - begin) * 1e6)
            self._live.add(connection)
            if self._running:
                self._next(connection)
            else:
                connection.close()
        finally:
            self._connecting -= 1

    async def _transport(
        self, connection: ClientConnection | ClientStream, application: _Application, address: str
    ) -> None:
        loop, local = asyncio.get_running_loop(), (self.address, 0) if self.address else None
        if isinstance(connection, ClientStream):
            remote = (address, application.port)
            await loop.create_datagram_endpoint(lambda: connection, remote_addr=remote, local_addr=local)
            return
        await loop.create_connection(
            lambda: connection,
            address,
            application.port,
            ssl=application.context,
            server_hostname=application.hostname if application.context else None,
            local_addr=local,
        )

    def _failed(self, application: _Application, text: str, resolved: bool) -> None:
        self.error = text
        application.counters.apps_initiated += 1
        application.counters.apps_failed += 1
        if resolved:
            application.counters.conn_failed += 1

    async def _address(self) -> str:
        host = self._hosts[0]
        if len(self._hosts) > 1:
            self._targets = self._targets or itertools.cycle(self._hosts)
            host = next(self._targets)
        addresses = await self._names.resolve(host)
        return addresses[self._connecting % len(addresses)]

    def _next(self, connection: ClientConnection | ClientStream) -> None:
        """Sends the next transaction of a connection, now or when the objective allows it."""
        if not self._running or connection.transport is None or connection.transport.is_closing():
            connection.close()
            self._live.discard(connection)
        elif self._objective == THROUGHPUT and isinstance(connection, ClientConnection):
            self._pace(connection)
        elif self._objective == CONCURRENT and connection.transactions:
            asyncio.get_running_loop().call_later(1.0, self._send, connection)
        else:
            connection.send()

    def _pace(self, connection: ClientConnection) -> None:
        application = connection.owner
        assert isinstance(application, _Application)
        bits = 8 * (len(connection.request) + connection.response_bytes)
        at = time.perf_counter()
        self._next_send = max(self._next_send, at - 0.1) + bits / max(self._value, 1.0)
        wait = self._next_send - at
        if wait <= 0:
            connection.send()
        else:
            asyncio.get_running_loop().call_later(wait, self._send, connection)

    def _send(self, connection: ClientConnection | ClientStream) -> None:
        if self._running and connection.transport is not None and not connection.transport.is_closing():
            connection.send()
        else:
            connection.close()
            self._live.discard(connection)

    def _done(self, connection: ClientConnection | ClientStream, status: int) -> None:
        application = connection.owner
        assert isinstance(application, _Application)
        if status <= 0:
            if status == 0:
                self.error = f"connection to port {application.port} ended inside a transaction"
            self._live.discard(connection)
        elif application.max_transactions and connection.transactions >= application.max_transactions:
            connection.close()
            self._live.discard(connection)
        else:
            self._next(connection)

    async def _watch(self) -> None:
        """Ends transactions that take too long."""
        while self._running:
            await asyncio.sleep(1.0)
            limit = time.perf_counter() - _ACTION_SECONDS
            for connection in list(self._live):
                if connection.busy and connection.started < limit:
                    connection.counters.timed_out += 1
                    connection.abort()

    async def stop(self, grace: float = 2.0) -> None:
        """Stops: no new transactions, open ones may end within `grace` seconds."""
        if not self._running:
            return
        self._running = False
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and (self._connecting or any(each.busy for each in self._live)):
            await asyncio.sleep(0.02)
        for connection in list(self._live):
            connection.close()
        self._live.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.sleep(0.05)

    def report(self) -> dict[str, Any]:
        """Returns the counters by application."""
        users = len(self._live) if self._objective == USERS else 0
        shown: dict[str, Any] = {}
        for application in self._applications:
            counters = application.counters
            counters.users = users
            users = 0
            made = counters.report()
            if application.name in shown:
                made = {key: made[key] + shown[application.name].get(key, 0) for key in made}
            shown[application.name] = made
        return shown
