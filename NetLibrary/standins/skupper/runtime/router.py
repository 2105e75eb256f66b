"""The router: TCP ports for clients, connections to servers, and links between sites."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

from .link_ends import Link, LinkListener
from .peers import Peer, millis
from .ports import Port, Target
from .relay import ChannelEnd, PlainEnd, Relay, end_gently
from .routes import Advertisement, Routes
from .wire import (
    ABORT,
    OPEN,
    Channel,
    Lost,
    connect,
    nodelay,
    secure,
)

log = logging.getLogger("router")

DIAL_SECONDS = 10.0
HOPS = 16


class Router:
    """One router of the network.

    Args:
        router_id: Name that is unique in the network.
        site: Facts of the site that others are told: id, name, namespace, platform, version.
        on_change: Called when the view of the network has changed.
    """

    def __init__(self, router_id: str, site: dict[str, str], on_change: Callable[[], None] = lambda: None) -> None:
        self.router_id, self.on_change = router_id, on_change
        self.own = Advertisement(router_id, millis(), site)
        self.routes = Routes(self.own)
        self.ports: dict[str, Port] = {}
        self.targets: dict[str, Target] = {}
        self.links: dict[str, Link] = {}
        self.link_listeners: dict[str, LinkListener] = {}
        self.peers: list[Peer] = []
        self._away: dict[tuple[str, str], int] = {}  # open streams per key and remote router
        self._turn = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._update_due = False

    def spawn(self, work: Any) -> None:
        """Runs a coroutine beside everything else."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- configuration ---------------------------------------------------------------------
    def configure(self, config: dict[str, dict[str, dict]]) -> None:
        """Brings ports, servers and links in line with a configuration.

        Args:
            config: Entities by kind (`listener`, `connector`, `tcpListener`, `tcpConnector`)
                and name.
        """
        self._sync(self.targets, config.get("tcpConnector", {}), Target, lambda t: t.close())
        self._sync(self.ports, config.get("tcpListener", {}), self._new_port, lambda port: port.stop())
        self._sync(
            self.link_listeners,
            config.get("listener", {}),
            lambda name, settings: LinkListener(self, name, settings),
            lambda listener: listener.stop(),
        )
        self._sync(
            self.links,
            config.get("connector", {}),
            lambda name, settings: Link(self, name, settings),
            lambda link: link.stop(),
        )
        self.changed()

    def _new_port(self, name: str, settings: dict) -> Port:
        return Port(self, name, settings)

    @staticmethod
    def _sync(present: dict, wanted: dict[str, dict], make: Callable, stop: Callable[[Any], None]) -> None:
        for name, thing in list(present.items()):
            if wanted.get(name) == thing.settings or _renewed(thing, wanted.get(name)):
                continue
            stop(present.pop(name))
        for name, settings in wanted.items():
            if name not in present:
                try:
                    present[name] = make(name, settings)
                except (OSError, ValueError, KeyError) as error:
                    log.warning("%s: %s", name, error)

    def changed(self) -> None:
        """Tells the network about the present state, soon; several changes make one message."""
        if not self._update_due:
            self._update_due = True
            asyncio.get_running_loop().call_soon(self._update)

    def _update(self) -> None:
        self._update_due = False
        own = self.own
        own.neighbours = {}
        for peer in self.peers:
            cost = own.neighbours.get(peer.router)
            own.neighbours[peer.router] = min(cost or peer.cost, peer.cost)
        own.connectors = [
            {"key": t.key, "name": t.name, "host": str(t.settings.get("host", ""))} for t in self.targets.values()
        ]
        own.listeners = [{"key": key, "name": port.name} for port in self.ports.values() for key in port.keys]
        own.links = [
            {
                "name": name,
                "router": link.peer.router if link.peer else "",
                "operational": link.peer is not None,
            }
            for name, link in self.links.items()
        ]
        own.sequence += 1
        self._flood([own.as_dict()])
        self._recompute()

    def _flood(self, routes: list[dict], besides: Peer | None = None) -> None:
        for peer in self.peers:
            if peer is not besides:
                peer.tell(routes)

    def _recompute(self) -> None:
        self.routes.compute()
        for port in self.ports.values():
            port.refresh()
        self.on_change()

    # --- neighbours ------------------------------------------------------------------------
    def peer_up(self, peer: Peer) -> None:
        """Takes note of a new neighbour and tells it everything known."""
        log.info("link with %s is up", peer.router)
        self.peers.append(peer)
        peer.tell([ad.as_dict() for ad in self.routes.known.values()])
        self.changed()

    def peer_down(self, peer: Peer) -> None:
        """Takes note of a lost neighbour."""
        if peer in self.peers:
            self.peers.remove(peer)
        self.routes.compute()
        self.changed()

    def routes_from(self, peer: Peer, routes: list[dict]) -> None:
        """Takes in what a neighbour tells and passes news on."""
        news = []
        for item in routes:
            advertisement = Advertisement.from_dict(item)
            if self.routes.learn(advertisement):
                news.append(item)
        if news:
            self._flood(news, besides=peer)
            self._recompute()

    def network(self) -> list[dict]:
        """Gives the state of all routers that can be reached, the own one first."""
        return [advertisement.as_dict() for advertisement in self.routes.reachable()]

    # --- streams ---------------------------------------------------------------------------
    def destinations(self, key: str) -> dict[str, int]:
        """Gives the routers where streams of a routing key can end, with the cost of the way."""
        return self.routes.destinations(key)

    def _choose_router(self, key: str) -> str | None:
        """Balances by open streams; the cost of a way counts as so many streams more."""
        best, best_load = None, -1
        for router, cost in self.destinations(key).items():
            if router == self.router_id:
                load = sum(t.open for t in self.targets.values() if t.key == key)
            else:
                load = self._away.get((key, router), 0) + cost
            if best is None or load < best_load:
                best, best_load = router, load
        return best

    def _choose_target(self, key: str) -> Target | None:
        """Picks the server with the fewest open streams, in turn among equals."""
        targets = [target for target in self.targets.values() if target.key == key]
        if not targets:
            return None
        self._turn += 1
        start = self._turn % len(targets)
        return min(targets[start:] + targets[:start], key=lambda target: target.open)

    async def from_client(self, port: Port, sock: socket.socket) -> None:
        """Carries a client's connection to wherever its routing key leads."""
        if port.tls is not None:
            try:
                sock = await secure(sock, port.tls, server=True)
            except (OSError, asyncio.TimeoutError) as error:
                log.info("%s: a client's TLS handshake failed: %s", port.name, error)
                return
        key = port.choose()
        router = self._choose_router(key) if key else None
        if key is None or router is None:
            end_gently(sock)
        elif router == self.router_id:
            target = self._choose_target(key)
            server = await self._dial(target) if target else None
            if target is None or server is None:
                end_gently(sock)
            else:
                await self._relay_to_server(target, PlainEnd(sock), server)
        else:
            self._away[key, router] = self._away.get((key, router), 0) + 1
            try:
                await self._to_router(router, {"key": key, "router": router, "hops": 0}, sock)
            finally:
                self._away[key, router] -= 1

    async def _to_router(self, router: str, request: dict, sock: socket.socket) -> None:
        try:
            peer, channel = await self._open_stream(router, request)
        except Lost as error:
            log.info("stream to %s: %s", router, error)
            end_gently(sock)
            return
        if await Relay(PlainEnd(sock), ChannelEnd(channel)).wait():
            peer.give(channel)

    async def _open_stream(self, router: str, request: dict) -> tuple[Peer, Channel]:
        """Starts a stream towards a router by the next hop.

        Raises:
            Lost: There is no way any more.
        """
        hop = self.routes.next_hop.get(router)
        ways = [peer for peer in self.peers if peer.router == hop]
        if not ways:
            raise Lost("no way")
        peer = min(ways, key=lambda way: way.cost)
        channel = await peer.take()
        await channel.send_json(OPEN, {**request, "hops": request["hops"] + 1})
        return peer, channel

    async def serve_stream(self, channel: Channel, request: dict) -> bool:
        """Carries a stream that a neighbour opened, to a server or to the next router."""
        end = ChannelEnd(channel)
        if request["router"] == self.router_id:
            target = self._choose_target(request["key"])
            server = await self._dial(target) if target else None
            if target is None or server is None:
                await _refuse(channel)
                return False
            return await self._relay_to_server(target, end, server)
        try:
            if request["hops"] > HOPS:
                raise Lost("too many hops")
            peer, onward = await self._open_stream(request["router"], request)
        except Lost:
            await _refuse(channel)
            return False
        clean = await Relay(end, ChannelEnd(onward)).wait()
        if clean:
            peer.give(onward)
        return clean

    async def _dial(self, target: Target) -> socket.socket | None:
        target.open += 1
        host, port = target.settings["host"], int(target.settings["port"])
        try:
            sock = await connect(host, port, DIAL_SECONDS)
            if target.tls is not None:
                sock = await secure(sock, target.tls, server=False, host=host)
        except (OSError, asyncio.TimeoutError) as error:
            log.info("%s: %s port %s: %s", target.name, host, port, error)
            target.open -= 1
            return None
        except BaseException:
            target.open -= 1
            raise
        nodelay(sock)
        return sock

    async def _relay_to_server(self, target: Target, end: PlainEnd | ChannelEnd, server: socket.socket) -> bool:
        relay = Relay(end, PlainEnd(server))
        target.relays.add(relay)
        try:
            return await relay.wait()
        finally:
            target.relays.discard(relay)
            target.open -= 1

    def stop(self) -> None:
        """Closes everything."""
        for things in (self.ports, self.links, self.link_listeners):
            for thing in list(things.values()):
                thing.stop()  # type: ignore[attr-defined]
        for target in self.targets.values():
            target.close()
        for task in list(self._tasks):
            task.cancel()


def _renewed(thing: Any, wanted: dict | None) -> bool:
    """Takes over new certificates without closing the port: links that are up stay up."""
    if not isinstance(thing, LinkListener) or wanted is None:
        return False
    if {**thing.settings, "directory": wanted["directory"]} != wanted:
        return False
    thing.settings = wanted
    thing.reload()
    return True


async def _refuse(channel: Channel) -> None:
    with contextlib.suppress(Lost):
        await channel.send(ABORT)
