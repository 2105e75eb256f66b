"""The stand-in controller as a web application."""

from __future__ import annotations

import secrets
import ssl
from typing import Any

from aiohttp import web

from . import library, sessions
from . import web as common
from .agents import Agent, Agents
from .operations import OperationError, Operations, Outcome
from .store import Settings, Store, now
from .tree import TreeError, link
from .web import answer, body_of, empty, listing, origin

JsonObject = dict[str, Any]
_TOKEN = "/auth/realms/keysight/protocol/openid-connect/token"


class AgentRoutes:
    """`/api/v2/agents` for clients and `/stand-in/agents` for the agents themselves."""

    def __init__(self, store: Store, agents: Agents, operations: Operations) -> None:
        self.store, self.agents, self.operations = store, agents, operations

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes."""
        return [
            web.post("/stand-in/agents", self._register),
            web.post("/stand-in/agents/{id}/report", self._report),
            web.get("/api/v2/agents", self._index),
            web.get("/api/v2/tags", self._tags),
            web.post("/api/v2/agents/operations/{verb}", self._operation),
            web.get("/api/v2/agents/{id}", self._get),
            web.patch("/api/v2/agents/{id}", self._patch),
            web.delete("/api/v2/agents/{id}", self._delete),
        ]

    async def _register(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        if not isinstance(body, dict) or not body.get("id"):
            raise TreeError(400, "An agent registers with its id.")
        self.agents.register(str(body["id"]), body)
        return answer({})

    async def _report(self, request: web.Request) -> web.Response:
        agent = self.agents.known.get(request.match_info["id"])
        if agent is None:
            return answer({"unknown": True, "generation": 0})
        return answer(self.agents.reported(agent, await body_of(request) or {}))

    def _agent(self, identifier: str) -> Agent:
        agent = self.agents.known.get(identifier)
        if agent is None:
            raise TreeError(404, f"Agent '{identifier}' not found.")
        return agent

    async def _index(self, request: web.Request) -> web.Response:
        without_offline = request.query.get("excludeOffline", "").lower() == "true"
        found = self.agents.online() if without_offline else list(self.agents.known.values())
        return listing(request, [self.agents.shown(agent) for agent in found])

    async def _tags(self, request: web.Request) -> web.Response:
        return listing(request, self.agents.groups())

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self.agents.shown(self._agent(request.match_info["id"])))

    async def _patch(self, request: web.Request) -> web.Response:
        agent, body = self._agent(request.match_info["id"]), await body_of(request) or {}
        if isinstance(body.get("AgentTags"), list):
            agent.tags = [str(tag) for tag in body["AgentTags"]]
        return empty()

    def _remove(self, agent: Agent) -> None:
        if agent.status == "RUNNING" and not self.agents.offline(agent):
            raise TreeError(409, f"Agent {agent.ip} is running a test.")
        del self.agents.known[agent.id]

    async def _delete(self, request: web.Request) -> web.Response:
        self._remove(self._agent(request.match_info["id"]))
        return empty()

    async def _operation(self, request: web.Request) -> web.Response:
        verb, body = request.match_info["verb"], await body_of(request)

        async def work() -> None:
            try:
                self._operate(verb, body)
            except TreeError as error:
                raise OperationError(str(error)) from error

        return answer(self.operations.start(request.path, origin(request), work), 202)

    def _operate(self, verb: str, body: Any) -> None:
        if verb == "batch-delete":
            for entry in body or []:
                self._remove(self._agent(str(entry.get("id"))))
        elif verb in ("reserve", "release"):
            for entry in (body or {}).get("agentsData") or []:
                agent = self._agent(str(entry.get("agentId")))
                if verb == "release":
                    agent.release()
                    continue
                if agent.session_id and not body.get("force"):
                    raise OperationError(f"Agent {agent.ip} is owned by session '{agent.session_name}'.")
                agent.session_id = str(body.get("sessionId") or "reserved")
                agent.session_name = str(body.get("sessionName") or "")
                agent.owner, agent.reservation = str(body.get("owner") or "admin"), secrets.token_hex(4)
        elif verb == "reboot":
            for entry in (body or {}).get("agents") or []:
                self._agent(str(entry.get("agentId"))).release()
        elif verb not in ("set-ntp", "set-dpdk-mode", "update", "exportFiles"):
            raise OperationError(f"Unknown operation '{verb}'.")


class Housekeeping:
    """Tokens, EULA, licences, notifications, health, and the stand-in's own switches."""

    def __init__(self, store: Store, agents: Agents, operations: Operations) -> None:
        self.store, self.agents, self.operations = store, agents, operations
        self._next = 1

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes."""
        made = [
            web.post(_TOKEN, self._token),
            web.get("/eula/v1/check", self._eula_check),
            web.get("/eula/v1/eula", self._eulas),
            web.get("/eula/v1/eula/{id}", self._eula),
            web.post("/eula/v1/eula/{id}", self._accept),
            web.get("/api/v2/time", self._time),
            web.get("/api/v2/disk-usage", self._disk),
            web.get("/api/v2/notifications", self._notifications),
            web.get("/api/v2/notification-counts", self._counts),
            web.post("/api/v2/notifications/operations/{verb}", self._clean_notifications),
            web.get("/api/v2/deployment/helm/cluster/releases", self._releases),
            web.get("/api/v2/licensing/licenses", self._nothing),
            web.get("/api/v2/licensing/hostid", self._host_id),
            web.get("/api/v2/stats/plugins", self._nothing),
            web.get("/api/v2/stats-dashboards", self._nothing),
            web.get("/api/v2/{any:.*}/operations/{name}/{number:\\d+}", self._poll),
            web.get("/stand-in", self._about),
            web.get("/stand-in/faults", self._faults),
            web.put("/stand-in/faults", self._set_faults),
            web.get("/tunnel/connect", self._tunnel),
        ]
        for path, known in (
            ("/api/v2/license-servers", self.store.licence_servers),
            ("/api/v2/brokers", self.store.brokers),
        ):
            made += self._servers(path, known)
        return made

    def _servers(self, path: str, known: dict[int, JsonObject]) -> list[web.RouteDef]:
        def one(request: web.Request) -> JsonObject:
            number = request.match_info["id"]
            if not number.isdigit() or int(number) not in known:
                raise TreeError(404, f"Server '{number}' not found.")
            return known[int(number)]

        async def index(request: web.Request) -> web.Response:
            return listing(request, list(known.values()))

        async def create(request: web.Request) -> web.Response:
            body, made = await body_of(request), []
            for entry in body if isinstance(body, list) else [body or {}]:
                server = {
                    "id": self._next,
                    "hostName": str(entry.get("hostName", "")),
                    "user": str(entry.get("user") or ""),
                    "trustNew": bool(entry.get("trustNew")),
                    "connectionStatus": "ESTABLISHED",
                    "failureReason": "",
                }
                known[self._next] = server
                made.append(server)
                self._next += 1
            return answer(made, 201)

        async def get(request: web.Request) -> web.Response:
            return answer(one(request))

        async def delete(request: web.Request) -> web.Response:
            del known[int(one(request)["id"])]
            return empty()

        return [
            web.get(path, index), web.post(path, create),
            web.get(f"{path}/{{id}}", get), web.delete(f"{path}/{{id}}", delete),
        ]  # fmt: skip

    async def _token(self, request: web.Request) -> web.Response:
        form, settings = await request.post(), self.store.settings
        grant = form.get("grant_type")
        if form.get("client_id") not in ("clt-wap", "admin-cli"):
            return answer({"error": "invalid_client", "error_description": "Invalid client credentials"}, 401)
        if grant == "password":
            given = (str(form.get("username", "")), str(form.get("password", "")))
            if not all(
                secrets.compare_digest(a.encode(), b.encode())
                for a, b in zip(given, (settings.username, settings.password), strict=True)
            ):
                return answer({"error": "invalid_grant", "error_description": "Invalid user credentials"}, 401)
        elif grant == "refresh_token":
            if form.get("refresh_token") not in self.store.refresh_tokens:
                return answer({"error": "invalid_grant", "error_description": "Invalid refresh token"}, 400)
        else:
            return answer({"error": "unsupported_grant_type"}, 400)
        return answer(self.store.grant())

    async def _eula_check(self, request: web.Request) -> web.Response:
        return answer({}, 401 if self.store.faults.eula_pending else 200)

    def _eula_text(self, text: bool) -> JsonObject:
        made = {"id": "CyPerf", "accepted": not self.store.faults.eula_pending}
        return {**made, "text": "Stand-in: nothing to accept.", "html": "<p>Stand-in</p>"} if text else made

    async def _eulas(self, request: web.Request) -> web.Response:
        return answer([self._eula_text(False)])

    async def _eula(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != "CyPerf":
            raise TreeError(404, "EULA not found.")
        return answer(self._eula_text(True))

    async def _accept(self, request: web.Request) -> web.Response:
        body = await body_of(request) or {}
        if request.match_info["id"] != "CyPerf" or not isinstance(body.get("accepted"), bool):
            raise TreeError(400, 'Expected {"accepted": true} for the EULA CyPerf.')
        self.store.faults.eula_pending = not body["accepted"]
        return answer(self._eula_text(False))

    async def _time(self, request: web.Request) -> web.Response:
        return answer({"now": now()})

    async def _disk(self, request: web.Request) -> web.Response:
        return answer({"lowDiskSpace": False, "criticalDiskSpace": False, "totalCapacity": 0, "available": 0})

    async def _notifications(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            each
            for each in self.store.notifications
            if query.get("severity") in (None, "", each["severity"])
            and query.get("sessionId") in (None, "", each["tags"].get("SessionId"))
            and int(each["id"]) > int(query.get("afterId") or 0)
        ]
        return listing(request, found)

    async def _counts(self, request: web.Request) -> web.Response:
        severities = [each["severity"] for each in self.store.notifications]
        made = {name: severities.count(name) for name in ("error", "warning", "info")}
        return answer({"all": len(severities), **made})

    async def _clean_notifications(self, request: web.Request) -> web.Response:
        async def work() -> Outcome:
            for each in self.store.notifications:
                each["seen"] = True
            return Outcome()

        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _releases(self, request: web.Request) -> web.Response:
        return answer([{"name": "cyperf-stand-in", "chart": "stand-in", "version": self.store.settings.version}])

    async def _nothing(self, request: web.Request) -> web.Response:
        return listing(request, [])

    async def _host_id(self, request: web.Request) -> web.Response:
        return answer({"hostId": "stand-in"})

    async def _tunnel(self, request: web.Request) -> web.Response:
        return answer({"Fingerprint": "stand-in"})

    async def _poll(self, request: web.Request) -> web.Response:
        path, _, number = request.path.rpartition("/")
        shown = self.operations.poll(path, int(number), origin(request))
        if shown is None:
            raise TreeError(404, "Operation not found.")
        return answer(shown)

    async def _about(self, request: web.Request) -> web.Response:
        return answer({"stand_in_for": "CyPerf controller", "version": self.store.settings.version})

    def _may_switch(self, request: web.Request) -> None:
        key = self.store.settings.admin_key
        if key and request.headers.get("X-Stand-In-Key") != key:
            raise TreeError(403, "X-Stand-In-Key is missing or wrong.")

    async def _faults(self, request: web.Request) -> web.Response:
        return answer(vars(self.store.faults))

    async def _set_faults(self, request: web.Request) -> web.Response:
        self._may_switch(request)
        body = await body_of(request)
        if not isinstance(body, dict):
            raise TreeError(400, "Expected an object of faults.")
        if body.pop("reset", False):
            self.store.faults.__init__()  # type: ignore[misc]
        if body.pop("expire_tokens", False):
            self.store.tokens.clear()
        try:
            self.store.faults.set(body)
        except ValueError as error:
            raise TreeError(400, str(error)) from None
        return answer(vars(self.store.faults))


def make_app(settings: Settings, certificate: tuple[str, str]) -> web.Application:
    """Returns the application.

    Args:
        settings: Switches of this controller.
        certificate: Certificate and key in PEM that the emulated TLS servers show.
    """
    store = Store(settings)
    agents = Agents(settings.offline_after)
    operations = Operations(store.faults)
    app = web.Application(middlewares=[common.errors, common.misbehave, common.guard], client_max_size=256 * 2**20)
    app[common.STORE] = store
    for part in (
        Housekeeping(store, agents, operations),
        AgentRoutes(store, agents, operations),
        sessions.SessionRoutes(store, agents, operations, certificate),
        library.ConfigRoutes(store, operations),
        library.ResultRoutes(store, operations),
    ):
        app.add_routes(part.routes())

    async def close(_app: web.Application) -> None:
        for session in store.sessions.values():
            if session.run is not None:
                await session.run.close()
        await operations.close()

    app.on_cleanup.append(close)
    return app


def tls_context(folder: str) -> ssl.SSLContext:
    """Returns the context of the HTTPS port from `tls.crt` and `tls.key` of a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    return context


__all__ = ["link", "make_app", "tls_context"]
