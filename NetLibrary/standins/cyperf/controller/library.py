"""Routes of configurations, catalogue resources, results, statistics and reports."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from . import catalog, reports
from .operations import OperationError, Operations, Outcome
from .store import Result, Store
from .tree import TreeError, link
from .views import BY_NAME
from .web import answer, attachment, body_of, empty, listing, named, origin

JsonObject = dict[str, Any]
_CONFIGS, _RESULTS = "/api/v2/configs", "/api/v2/results"


class ConfigRoutes:
    """`/api/v2/configs` and `/api/v2/resources`."""

    def __init__(self, store: Store, operations: Operations) -> None:
        self.store, self.operations = store, operations
        self._exports: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes."""
        return [
            web.get(_CONFIGS, self._index),
            web.post(_CONFIGS, self._create),
            web.post(f"{_CONFIGS}/operations/{{verb}}", self._operation),
            web.get(f"{_CONFIGS}/exports/{{id}}", self._exported),
            web.get(f"{_CONFIGS}/{{id}}", self._get),
            web.patch(f"{_CONFIGS}/{{id}}", self._patch),
            web.delete(f"{_CONFIGS}/{{id}}", self._delete),
            web.get("/api/v2/config-categories", self._nothing),
            web.get("/api/v2/resources/{kind}", self._resources),
            web.get("/api/v2/resources/{kind}/{id}", self._resource),
        ]

    def _shown(self, metadata: JsonObject) -> JsonObject:
        return {**metadata, "links": [link("self", "", f"{_CONFIGS}/{metadata['id']}")]}

    async def _index(self, request: web.Request) -> web.Response:
        return listing(request, [self._shown(metadata) for metadata, _ in self.store.configs.values()])

    def _config(self, identifier: str) -> tuple[JsonObject, JsonObject]:
        config = self.store.configs.get(identifier)
        if config is None:
            raise TreeError(404, f"Configuration '{identifier}' not found.")
        return config

    async def _get(self, request: web.Request) -> web.Response:
        metadata, tree = self._config(request.match_info["id"])
        if "zip" in request.headers.get("Accept", ""):
            data = reports.config_zip(metadata["displayName"], tree)
            return attachment(data, f"{metadata['id']}.zip", "application/zip")
        return answer(self._shown(metadata))

    async def _patch(self, request: web.Request) -> web.Response:
        metadata, _ = self._config(request.match_info["id"])
        body = await body_of(request) or {}
        metadata["displayName"] = str(body.get("displayName") or metadata["displayName"])
        return empty()

    async def _delete(self, request: web.Request) -> web.Response:
        self._remove(request.match_info["id"])
        return empty()

    def _remove(self, identifier: str) -> None:
        metadata, _ = self._config(identifier)
        if metadata["readonly"]:
            raise TreeError(403, f"Configuration '{metadata['displayName']}' is read-only.")
        del self.store.configs[identifier]

    async def _create(self, request: web.Request) -> web.Response:
        if "json" in request.content_type:
            body = await body_of(request)
            entries = [
                (str(entry.get("displayName") or "New Config"), entry.get("configData") or {})
                for entry in (body if isinstance(body, list) else [body or {}])
            ]
        else:
            entries = self._read(await _upload(request))
        made = [self.store.new_config(name, _complete(tree)) for name, tree in entries]
        return answer([self._shown(metadata) for metadata in made], 201)

    @staticmethod
    def _read(data: bytes) -> list[tuple[str, JsonObject]]:
        try:
            return reports.read_config_zip(data)
        except (ValueError, KeyError) as error:
            raise TreeError(400, f"Import failed: {error}.") from None

    async def _operation(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        data = await _upload(request) if verb in ("import", "importAll") else b""
        body = None if data else await body_of(request)

        async def work() -> Outcome:
            if verb in ("import", "importAll"):
                try:
                    entries = self._read(data)
                except TreeError as error:
                    raise OperationError(str(error)) from error
                made = [self.store.new_config(name, _complete(tree)) for name, tree in entries]
                return Outcome([{"id": each["id"], "configUrl": each["configUrl"]} for each in made])
            if verb == "exportAll":
                wanted = [str(each.get("id")) for each in (body or {}).get("configIds") or []]
                return Outcome(None, self._export(wanted))
            if verb == "batch-delete":
                for entry in body or []:
                    try:
                        self._remove(str(entry.get("id")))
                    except TreeError as error:
                        raise OperationError(str(error)) from error
                return Outcome()
            raise OperationError(f"Unknown operation '{verb}'.")

        return answer(self.operations.start(request.path, origin(request), work), 202)

    def _export(self, wanted: list[str]) -> str:
        try:
            configs = [self._config(identifier) for identifier in wanted or list(self.store.configs)]
        except TreeError as error:
            raise OperationError(str(error)) from error
        identifier = str(len(self._exports) + 1)
        metadata, tree = configs[0]
        self._exports[identifier] = reports.config_zip(metadata["displayName"], tree)
        return f"{_CONFIGS}/exports/{identifier}"

    async def _exported(self, request: web.Request) -> web.Response:
        data = self._exports.get(request.match_info["id"])
        if data is None:
            raise TreeError(404, "Export not found.")
        return attachment(data, "exported-configs.zip", "application/zip")

    async def _nothing(self, request: web.Request) -> web.Response:
        return listing(request, [])

    async def _resources(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        items = {"apps": catalog.applications, "attacks": catalog.attacks, "strikes": catalog.strikes}.get(kind)
        entries = items() if items else []
        return listing(
            request,
            [{**each, "links": [link("self", "", f"/api/v2/resources/{kind}/{each['id']}")]} for each in entries],
        )

    async def _resource(self, request: web.Request) -> web.Response:
        kind, identifier = request.match_info["kind"], request.match_info["id"]
        if kind == "apps":
            for each in catalog.applications():
                if each["id"] == identifier and each["Name"] != catalog.BROKEN_APPLICATION:
                    return answer({**each, "links": [link("self", "", request.path)]})
        raise TreeError(404, f"Resource '{identifier}' not found.")


def _complete(tree: JsonObject) -> JsonObject:
    from . import defaults

    made = defaults.merged(defaults.empty_configuration(), json.loads(json.dumps(tree)))
    for name in ("NetworkProfiles", "TrafficProfiles", "AttackProfiles"):
        from .tree import complete

        made[name] = [
            complete(name, str(item.get("id") or index), item) for index, item in enumerate(made[name] or [], start=1)
        ]
    return made


async def _upload(request: web.Request) -> bytes:
    """Returns an uploaded file, from a multipart form or as the whole body."""
    if request.content_type == "multipart/form-data":
        form = await request.post()
        for value in form.values():
            if isinstance(value, web.FileField):
                return value.file.read()
        raise TreeError(400, "The form holds no file.")
    return await request.read()


class ResultRoutes:
    """`/api/v2/results`."""

    def __init__(self, store: Store, operations: Operations) -> None:
        self.store, self.operations = store, operations
        self._files: dict[tuple[str, str, str], tuple[bytes, str, str]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes."""
        one = f"{_RESULTS}/{{id}}"
        return [
            web.get(_RESULTS, self._index),
            web.get(f"{_RESULTS}/tags", self._nothing),
            web.post(f"{_RESULTS}/operations/batch-delete", self._batch_delete),
            web.get(one, self._get),
            web.delete(one, self._delete),
            web.get(f"{one}/stats", self._stats),
            web.get(f"{one}/stats/{{view}}", self._stat),
            web.get(f"{one}/files", self._nothing),
            web.get(f"{one}/download-result-config", self._config),
            web.post(f"{one}/operations/{{verb}}", self._operation),
            web.get(f"{one}/{{kind:download-(?:csv|pdf|all)}}/{{number}}", self._download),
        ]

    def _result(self, request: web.Request) -> Result:
        return named(request, self.store.results, "Result")

    @staticmethod
    def _shown(result: Result) -> JsonObject:
        href = f"{_RESULTS}/{result.id}"
        return {
            "id": result.id,
            "testName": result.name,
            "displayName": result.name,
            "activeSession": result.session_id,
            "startTime": result.start,
            "endTime": result.end,
            "lastModified": result.end or result.start,
            "owner": "admin",
            "ownerId": "admin",
            "type": "appsec",
            "tags": {"Stand-in": "true"},
            "userTags": result.user_tags,
            "files": [],
            "csvURL": f"{href}/operations/generate-csv",
            "pdfURL": f"{href}/operations/generate-pdf",
            "resultUrl": href,
            "configUrl": f"{href}/download-result-config",
            "reportTypes": ["csv", "pdf"],
            "links": [link("self", "", href)],
        }

    async def _index(self, request: web.Request) -> web.Response:
        return listing(request, [self._shown(result) for result in self.store.results.values()])

    async def _nothing(self, request: web.Request) -> web.Response:
        return listing(request, [])

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self._shown(self._result(request)))

    async def _delete(self, request: web.Request) -> web.Response:
        result = self._result(request)
        if not result.end:
            raise TreeError(409, "The test is still running.")
        del self.store.results[result.id]
        return empty()

    async def _batch_delete(self, request: web.Request) -> web.Response:
        wanted = [str(entry.get("id")) for entry in await body_of(request) or []]

        async def work() -> None:
            for identifier in wanted:
                if self.store.results.pop(identifier, None) is None:
                    raise OperationError(f"Result '{identifier}' not found.")

        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _stats(self, request: web.Request) -> web.Response:
        return listing(request, self._result(request).statistics.listed())

    async def _stat(self, request: web.Request) -> web.Response:
        result, name = self._result(request), request.match_info["view"]
        if name in self.store.faults.failing_views:
            raise TreeError(500, f"Statistic '{name}' is not available for this run.")
        if name not in BY_NAME:
            raise TreeError(404, f"Statistic '{name}' not found.")
        query = request.query
        try:
            begin, end = (int(query[key]) if query.get(key) else None for key in ("from", "to"))
        except ValueError:
            raise TreeError(400, "from and to must be milliseconds.") from None
        relative = query.get("useRelativeTime", "").lower() == "true"
        return answer(result.statistics.read(name, begin, end, self.store.settings.statistics_lag, relative))

    async def _config(self, request: web.Request) -> web.Response:
        result = self._result(request)
        return attachment(reports.config_zip(result.name, result.tree), "config.zip", "application/zip")

    async def _operation(self, request: web.Request) -> web.Response:
        result, verb, body = self._result(request), request.match_info["verb"], await body_of(request) or {}

        async def work() -> Outcome:
            if verb == "load":
                session = self.store.new_session({"displayName": result.name, "configUrl": ""}, result.tree, None)
                return Outcome({"id": session.id})
            if not result.end:
                raise OperationError("The test is still running.")
            stem = f"stand-in-{result.id[:8]}"
            if verb == "generate-csv":
                wanted = [str(entry.get("name")) for entry in body.get("stats") or []]
                made = ("download-csv", reports.csv_zip(result, wanted), f"{stem}-csv.zip", "application/zip")
            elif verb == "generate-pdf":
                made = ("download-pdf", reports.pdf(result), f"{stem}.pdf", "application/pdf")
            elif verb in ("generate-all", "generate-results"):
                made = ("download-all", reports.everything(result), f"{stem}-all.zip", "application/zip")
            else:
                raise OperationError(f"Unknown operation '{verb}'.")
            kind, data, name, media = made
            number = str(len(self._files) + 1)
            self._files[result.id, kind, number] = (data, name, media)
            return Outcome(None, f"{_RESULTS}/{result.id}/{kind}/{number}")

        return answer(self.operations.start(request.path, origin(request), work), 202)

    async def _download(self, request: web.Request) -> web.Response:
        key = (request.match_info["id"], request.match_info["kind"], request.match_info["number"])
        if key not in self._files:
            raise TreeError(404, "Report not found.")
        return attachment(*self._files[key])
