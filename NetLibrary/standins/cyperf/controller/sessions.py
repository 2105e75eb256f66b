"""Routes of sessions, their configuration tree and their test."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from . import catalog, defaults, tree
from .agents import Agents
from .operations import OperationError, Operations, Outcome
from .plan import effective_ports, is_encrypted
from .run import Run
from .store import Session, Store, now
from .tree import TreeError
from .web import answer, body_of, empty, listing, named, origin

JsonObject = dict[str, Any]
_ROOT = "/api/v2/sessions"
_CONFIG = "config"


class SessionRoutes:
    """Everything below `/api/v2/sessions`."""

    def __init__(self, store: Store, agents: Agents, operations: Operations, certificate: tuple[str, str]) -> None:
        self.store, self.agents, self.operations, self.certificate = store, agents, operations, certificate

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes; the tree's own come last because they match anything."""
        one = f"{_ROOT}/{{id}}"
        return [
            web.get(_ROOT, self._index),
            web.post(_ROOT, self._create),
            web.post(f"{_ROOT}/operations/batch-delete", self._batch_delete),
            web.get(one, self._get),
            web.patch(one, self._patch),
            web.delete(one, self._delete),
            web.get(f"{one}/meta", self._meta),
            web.get(f"{one}/test", self._test),
            web.post(f"{one}/operations/loadConfig", self._load_config),
            web.post(f"{one}/operations/touch", self._touch),
            web.post(f"{one}/config/operations/save", self._save),
            web.post(f"{one}/test-run/operations/{{verb}}", self._run),
            web.post(f"{one}/test-calibrate/operations/{{verb}}", self._touch),
            web.get(f"{one}/config/granular-stats", self._nothing),
            web.get(f"{one}/config/granular-stats-filters", self._nothing),
            web.get(f"{one}/config", self._get_config),
            web.put(f"{one}/config", self._put_config),
            web.get(f"{one}/config/config{{path:.*}}", self._get_node),
            web.patch(f"{one}/config/config{{path:.*}}", self._patch_node),
            web.put(f"{one}/config/config{{path:.*}}", self._put_node),
            web.post(f"{one}/config/config{{path:.*}}", self._post_node),
            web.delete(f"{one}/config/config{{path:.*}}", self._delete_node),
        ]

    # sessions

    def _session(self, request: web.Request) -> Session:
        return named(request, self.store.sessions, "Session")

    def shown(self, session: Session, include: frozenset[str] = frozenset()) -> JsonObject:
        """Returns a session as the interface shows it."""
        href = f"{_ROOT}/{session.id}"
        made = {
            "id": session.id,
            "name": session.name,
            "index": session.index,
            "application": "appsec",
            "configName": session.config_name,
            "configUrl": session.config_url,
            "dataModelUrl": "",
            "state": "CREATED",
            "owner": session.owner,
            "ownerID": session.owner,
            "created": session.created,
            "lastVisited": now(),
            "pinned": session.pinned,
            "links": [
                tree.link("self", "", href),
                *(tree.link("child", name, f"{href}/{name}") for name in ("config", "test", "meta")),
            ],
        }
        if include & {"all", "test"}:
            made["test"] = self._test_of(session)
        return made

    async def _index(self, request: web.Request) -> web.Response:
        return listing(request, [self.shown(session) for session in self.store.sessions.values()])

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self.shown(self._session(request), _include(request)))

    async def _create(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        entries = body if isinstance(body, list) else [body]
        found = []
        for entry in entries:
            url = str((entry or {}).get("configUrl") or "")
            config = self.store.find_config(url)
            if config is None:
                raise TreeError(400, f"Configuration '{url}' does not exist.")
            found.append((config, (entry or {}).get("name")))
        made = [self.store.new_session(*config, name) for config, name in found]
        return answer([self.shown(session) for session in made], 201)

    async def _patch(self, request: web.Request) -> web.Response:
        session, body = self._session(request), await body_of(request) or {}
        session.name = str(body.get("name") or session.name)
        session.pinned = bool(body.get("pinned", session.pinned))
        return empty()

    async def _drop(self, session: Session) -> None:
        if session.status in ("STARTING", "CONFIGURING", "STARTED", "STOPPING"):
            raise TreeError(409, f"Session '{session.name}' is running a test.")
        if session.run is not None:
            await session.run.close()
            session.run._release()
        self.store.sessions.pop(session.id, None)

    async def _delete(self, request: web.Request) -> web.Response:
        await self._drop(self._session(request))
        return empty()

    async def _batch_delete(self, request: web.Request) -> web.Response:
        wanted = [str(entry.get("id")) for entry in await body_of(request) or []]

        async def work() -> None:
            for identifier in wanted:
                session = self.store.sessions.get(identifier)
                if session is None:
                    raise OperationError(f"Session '{identifier}' not found.")
                await self._drop(session)

        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _meta(self, request: web.Request) -> web.Response:
        return answer(self._session(request).meta)

    async def _nothing(self, request: web.Request) -> web.Response:
        self._session(request)
        return answer([])

    async def _touch(self, request: web.Request) -> web.Response:
        self._session(request)

        async def work() -> None:
            return None

        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _load_config(self, request: web.Request) -> web.Response:
        session, body = self._session(request), await body_of(request) or {}

        async def work() -> None:
            config = self.store.find_config(str(body.get("configUrl") or ""))
            if config is None:
                raise OperationError(f"Configuration '{body.get('configUrl')}' does not exist.")
            session.tree = json.loads(json.dumps(config[1]))
            session.config_name, session.config_url = config[0]["displayName"], config[0]["configUrl"]

        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _save(self, request: web.Request) -> web.Response:
        session, body = self._session(request), await body_of(request) or {}

        async def work() -> Outcome:
            name = str(body.get("Name") or session.config_name)
            metadata = self.store.new_config(name, json.loads(json.dumps(session.tree)))
            return Outcome({"id": metadata["id"]})

        return answer(self.operations.start(request.path, origin(request), work), 202)

    # test

    def _test_of(self, session: Session) -> JsonObject:
        run: Run | None = session.run
        return {
            "status": session.status,
            "testId": session.test_id,
            "testDetails": session.details,
            "testDuration": run.duration if run else 0,
            "testElapsed": run.elapsed if run else 0,
            "testInitialized": run.initialized if run else 0,
            "testStarted": run.started if run else 0,
            "testStopped": run.stopped if run else 0,
            "dashboards": [],
            "defaultPollingInterval": 3,
            "usedLicenses": {"stand-in": 1} if run else {},
        }

    async def _test(self, request: web.Request) -> web.Response:
        return answer(self._test_of(self._session(request)))

    async def _run(self, request: web.Request) -> web.Response:
        session, verb = self._session(request), request.match_info["verb"]
        aborts = session.aborts
        if verb not in ("start", "stop", "abort"):
            raise TreeError(404, f"Unknown operation '{verb}'.")

        async def work() -> None:
            if verb == "abort":
                session.aborts += 1
            if verb == "start":
                # Asked for, then aborted or deleted before it was its turn: it must not run after all.
                if session.aborts != aborts or self.store.sessions.get(session.id) is not session:
                    raise OperationError(f"Session '{session.name}' was aborted before its test began.")
                if session.status not in ("STOPPED", "ERROR"):
                    raise OperationError(f"Session '{session.name}' is {session.status} already.")
                if session.run is not None:
                    session.run._release()
                session.run = Run(self.store, self.agents, session, self.certificate)
                await session.run.start()
            elif session.run is None or session.status in ("STOPPED", "ERROR"):
                return
            else:
                await session.run.stop(abort=verb == "abort")

        return answer(self.operations.start(request.path, origin(request), work), 202)

    # configuration tree

    async def _get_config(self, request: web.Request) -> web.Response:
        session, include = self._session(request), _include(request)
        href = f"{_ROOT}/{session.id}/config"
        made: JsonObject = {
            "configTypeName": "appsec",
            "id": session.config_url,
            "SessionID": session.id,
            "TemplateID": session.config_url,
            "dataModelVersion": catalog.DATA_MODEL,
            "name": session.config_name,
            "links": [tree.link("self", "", href), tree.link("child", "Config", f"{href}/config")],
        }
        if "all" in include or "Config" in include:
            made["Config"] = tree.render(session.tree, f"{href}/config", include)
        return answer(made)

    async def _put_config(self, request: web.Request) -> web.Response:
        session, body = self._session(request), await body_of(request)
        if not isinstance(body, dict) or not isinstance(body.get("Config"), dict):
            raise TreeError(400, "Expected an object with Config.")
        session.tree = defaults.merged(defaults.empty_configuration(), body["Config"])
        return await self._get_config(request)

    @staticmethod
    def _path(request: web.Request) -> list[str]:
        return [step for step in request.match_info["path"].split("/") if step]

    def _shown(self, request: web.Request, node: Any, path: list[str]) -> Any:
        href = "/".join([f"{_ROOT}/{request.match_info['id']}/config/config", *path])
        return tree.render(node, href, _include(request), request.query.get("exclude") != "links")

    async def _get_node(self, request: web.Request) -> web.Response:
        session, path = self._session(request), self._path(request)
        if len(path) >= 3 and path[-3] == "operations":
            shown = self.operations.poll(request.path.rsplit("/", 1)[0], int(path[-1]), origin(request))
            return answer(shown) if shown else answer({"message": "Operation not found."}, 404)
        node = tree.walk(session.tree, path)
        shown = self._shown(request, node, path)
        if isinstance(shown, list) and all(isinstance(item, dict) for item in shown):
            return listing(request, shown)
        return answer(shown)

    def _changed(self, session: Session, path: list[str]) -> None:
        for profile in session.tree.get("TrafficProfiles") or []:
            tls = profile["TrafficSettings"]["DefaultTransportProfile"]["ClientTLSProfile"]
            for application in profile.get("Applications") or []:
                for connection in application.get("Connections") or []:
                    destination, listen = effective_ports(connection, is_encrypted(application, connection, tls))
                    connection["PortSettings"]["EffectivePorts"].update(
                        EffectiveDestinationPort=str(destination), EffectiveServerPort=str(listen)
                    )
            # The deprecated segments still steer the steady part of the timeline.
            if "TimelineSegments" in path and profile["ObjectivesAndTimeline"]["TimelineSegments"]:
                old = profile["ObjectivesAndTimeline"]["TimelineSegments"][0]
                profile["ObjectivesAndTimeline"]["PrimaryObjective"]["Timeline"][1].update(
                    Duration=old["Duration"],
                    ObjectiveValue=old["PrimaryObjectiveValue"],
                    ObjectiveUnit=old["PrimaryObjectiveUnit"],
                )

    async def _patch_node(self, request: web.Request) -> web.Response:
        session, path = self._session(request), self._path(request)
        tree.patch(tree.walk(session.tree, path), await body_of(request))
        self._changed(session, path)
        return empty()

    async def _put_node(self, request: web.Request) -> web.Response:
        session, path = self._session(request), self._path(request)
        node, body = tree.walk(session.tree, path), await body_of(request)
        if isinstance(node, list) and isinstance(body, list):
            node[:] = [tree.complete(path[-1], str(index), item) for index, item in enumerate(body, start=1)]
        else:
            tree.patch(node, body)
        self._changed(session, path)
        return answer(self._shown(request, node, path))

    async def _post_node(self, request: web.Request) -> web.Response:
        session, path, body = self._session(request), self._path(request), await body_of(request)
        if len(path) >= 2 and path[-2] == "operations":
            return await self._tree_operation(request, session, path, body)
        items = tree.walk(session.tree, path)
        if not isinstance(items, list):
            raise TreeError(405, "Only lists take new items.")
        for item in body if isinstance(body, list) else [body or {}]:
            tree.post(items, path[-1], _from_catalogue(path[-1], item))
        self._changed(session, path)
        return answer(self._shown(request, items, path), 201)

    async def _tree_operation(self, request: web.Request, session: Session, path: list[str], body: Any) -> web.Response:
        node, name = tree.walk(session.tree, path[:-2]), path[-1]
        adds = {"add-applications": "Applications", "add-attacks": "Attacks"}
        if name in adds and isinstance(node, dict):

            async def work() -> None:
                # All or nothing: one unknown entry refuses the whole batch.
                try:
                    made = [
                        _from_catalogue(adds[name], {"ExternalResourceURL": entry.get("externalResourceURL")})
                        for entry in body or []
                    ]
                except TreeError as error:
                    raise OperationError(str(error)) from error
                for item in made:
                    tree.post(node[adds[name]], adds[name], item)

        elif name in ("modify-tags-recursively", "reset-tags-to-default", "validate-session-config"):

            async def work() -> None:
                return None

        else:
            raise TreeError(404, f"Unknown operation '{name}'.")
        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _delete_node(self, request: web.Request) -> web.Response:
        session, path = self._session(request), self._path(request)
        if not path:
            raise TreeError(405, "The root cannot be deleted.")
        tree.delete(tree.walk(session.tree, path[:-1]), path[-1])
        return empty()


def _include(request: web.Request) -> frozenset[str]:
    return frozenset(part.strip() for part in request.query.get("include", "").split(",") if part.strip())


def _from_catalogue(list_name: str, item: JsonObject) -> JsonObject:
    url = str(item.get("ExternalResourceURL") or "")
    if list_name != "Applications" or not url:
        return item
    try:
        return defaults.merged(catalog.application_by_id(url), item)
    except KeyError:
        raise TreeError(404, f"Application '{url}' not found.") from None
