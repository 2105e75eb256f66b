"""The adaptor: feeds the router from the namespace's objects and publishes what it sees."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import shutil
import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .httpserver import serve_health
from .kube import Api, ApiError, Informer, version_of
from .management import LINE_LIMIT
from .names import (
    FIELD_MANAGER,
    LABEL_ROUTER_CONFIG,
    NETWORK_STATUS,
    NETWORK_STATUS_KEY,
    PORT_MANAGEMENT,
    ROUTER,
    ROUTER_CONFIG_KEY,
)

log = logging.getLogger("adaptor")
CERTIFICATES = Path("/etc/skupper-router-certs")
FILES = {"tls.crt", "tls.key", "ca.crt"}
NEEDED = {
    "listener": FILES,
    "connector": FILES,
    "tcpListener": {"tls.crt", "tls.key"},
    "tcpConnector": {"ca.crt"},
}
LEASE = "skupper-site-leader"
LEASE_SECONDS = 15
LEASE_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
PUBLISH_SECONDS = 0.3  # the real one allows itself one write per second


class Adaptor:
    """One adaptor beside one router.

    Args:
        namespace: Namespace of the Site.
        config_name: Name of the router's ConfigMap, which is also the Deployment's name.
    """

    def __init__(self, api: Api, namespace: str, config_name: str) -> None:
        self.api, self.namespace, self.config_name = api, namespace, config_name
        self.configured = False
        self._writer: asyncio.StreamWriter | None = None
        self._sent = ""
        self._network: list[dict] = []
        self._changed = asyncio.Event()
        self._leads = asyncio.Event()
        if config_name == ROUTER:
            self._leads.set()  # need not wait for the Lease
        self._configs = Informer(
            api,
            "ConfigMap",
            self._event,
            namespace=namespace,
            query={"labelSelector": LABEL_ROUTER_CONFIG},
        )
        self._secrets = Informer(api, "Secret", self._event, namespace=namespace)

    async def run(self) -> None:
        """Runs until the process ends."""
        self._configs.start()
        self._secrets.start()
        await asyncio.gather(self._talk_to_router(), self._publish(), self._lead())

    def _event(self, event: str, obj: dict) -> None:
        del event, obj
        self._configure()

    # --- towards the router ----------------------------------------------------------------
    async def _talk_to_router(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", PORT_MANAGEMENT, limit=LINE_LIMIT)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._writer, self._sent = writer, ""
            self._configure()
            try:
                while line := await reader.readline():
                    self._network = json.loads(line)
                    self.configured = True
                    self._changed.set()
            except (OSError, ValueError) as error:
                log.warning("router: %s", error)
            self._writer, self.configured = None, False
            writer.close()
            await asyncio.sleep(0.05)

    def _configure(self) -> None:
        config = self._configs.get(self.namespace, self.config_name)
        if self._writer is None or config is None or not self._secrets.synced.is_set():
            if config is not None and self._writer is not None:
                asyncio.get_running_loop().call_later(0.02, self._configure)
            return
        try:
            message = json.dumps(self._message(config), sort_keys=True)
        except (KeyError, ValueError) as error:
            log.warning("configuration of the router cannot be read: %r", error)
            return
        if message != self._sent:
            self._sent = message
            self._writer.write(message.encode() + b"\n")

    def _message(self, config: dict) -> dict[str, Any]:
        message: dict[str, Any] = {}
        entities: dict[str, dict[str, dict]] = {}
        for kind, attributes in json.loads(config["data"][ROUTER_CONFIG_KEY]):
            if kind == "router":
                message["router"] = attributes["id"]
                message["site"] = json.loads(attributes["metadata"])
                continue
            settings = dict(attributes)
            if profile := settings.pop("sslProfile", None):
                directory = self._certificates(profile, NEEDED[kind])
                if directory is None:
                    continue  # held back until the Secret is there
                settings["directory"] = directory
            if kind in ("listener", "connector", "tcpListener", "tcpConnector"):
                entities.setdefault(kind, {})[settings.pop("name")] = settings
        message["entities"] = entities
        return message

    def _certificates(self, name: str, needed: set[str]) -> str | None:
        """Writes a Secret's files where the router reads them; a folder for each version."""
        secret = self._secrets.get(self.namespace, name)
        data = (secret or {}).get("data") or {}
        if secret is None or not needed <= data.keys():
            return None
        folder = CERTIFICATES / name / str(version_of(secret))
        if not folder.exists():
            for old in folder.parent.glob("*"):
                shutil.rmtree(old, ignore_errors=True)
            fresh = folder.with_suffix(".new")
            fresh.mkdir(parents=True, mode=0o700)
            for file in FILES & data.keys():
                (fresh / file).write_bytes(base64.b64decode(data[file]))
            fresh.rename(folder)
        return str(folder)

    # --- towards the API server ------------------------------------------------------------
    async def _publish(self) -> None:
        owner: list[dict] = []
        written = ""
        while True:
            await self._changed.wait()
            await self._leads.wait()
            self._changed.clear()
            text = json.dumps(network_status(self._network))
            if text == written:
                continue
            try:
                owner = owner or await self._owner()
                await self.api.apply(
                    {
                        "apiVersion": "v1",
                        "kind": "ConfigMap",
                        "metadata": {
                            "name": NETWORK_STATUS,
                            "namespace": self.namespace,
                            "ownerReferences": owner,
                        },
                        "data": {NETWORK_STATUS_KEY: text},
                    },
                    f"{FIELD_MANAGER}-adaptor",
                )
                written = text
            except ApiError as error:
                log.warning("network status not written: %s", error)
                self._changed.set()
            await asyncio.sleep(PUBLISH_SECONDS)

    async def _lead(self) -> None:
        """Keeps the Lease: of two routers' adaptors one publishes, the first whenever it is there."""
        while True:
            try:
                lease = await self.api.get("Lease", self.namespace, LEASE)
                if self.config_name == ROUTER or not _held_by_another(lease, self.config_name):
                    await self._hold_lease()
                    self._leads.set()
                    self._changed.set()
                else:
                    self._leads.clear()
            except ApiError as error:
                log.warning("lease: %s", error)
            await asyncio.sleep(LEASE_SECONDS / 3)

    async def _hold_lease(self) -> None:
        await self.api.apply(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": LEASE,
                    "namespace": self.namespace,
                    "ownerReferences": await self._owner(),
                },
                "spec": {
                    "holderIdentity": self.config_name,
                    "leaseDurationSeconds": LEASE_SECONDS,
                    "renewTime": datetime.now(timezone.utc).strftime(LEASE_TIME),
                },
            },
            f"{FIELD_MANAGER}-adaptor",
        )

    async def _owner(self) -> list[dict]:
        deployment = await self.api.get("Deployment", self.namespace, self.config_name)
        if deployment is None:
            return []
        return [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": self.config_name,
                "uid": deployment["metadata"]["uid"],
            }
        ]


def _held_by_another(lease: dict | None, me: str) -> bool:
    spec = (lease or {}).get("spec") or {}
    if not spec.get("holderIdentity") or spec["holderIdentity"] == me or not spec.get("renewTime"):
        return False
    renewed = datetime.strptime(spec["renewTime"], LEASE_TIME).replace(tzinfo=timezone.utc)
    return datetime.now(timezone.utc) - renewed < timedelta(seconds=LEASE_SECONDS)


def network_status(routers: list[dict]) -> dict[str, Any]:
    """Turns the routers' advertisements into the record that the ConfigMap holds."""
    names = {router["router"]: router["site"] for router in routers}
    sites: dict[str, dict[str, Any]] = {}
    addresses: dict[str, dict[str, Any]] = {}
    for router in routers:
        site = router["site"]
        record = sites.setdefault(
            site.get("id", router["router"]),
            {
                "site": {
                    "identity": site.get("id", ""),
                    "name": site.get("name", ""),
                    "nameSpace": site.get("namespace", ""),
                    "platform": site.get("platform", ""),
                    "siteVersion": site.get("version", ""),
                },
                "routerStatus": [],
            },
        )
        record["routerStatus"].append(
            {
                "router": {"name": router["router"], "mode": "INTERIOR"},
                "links": [
                    {
                        "name": link["name"],
                        "status": "up" if link["operational"] else "down",
                        "peer": link["router"],
                        "remoteSiteId": names.get(link["router"], {}).get("id", ""),
                        "remoteSiteName": names.get(link["router"], {}).get("name", ""),
                    }
                    for link in router["links"]
                ],
                "listeners": [{"name": item["name"], "address": item["key"]} for item in router["listeners"]],
                "connectors": [
                    {"name": item["name"], "address": item["key"], "destHost": item["host"]}
                    for item in router["connectors"]
                ],
            }
        )
        for kind in ("listener", "connector"):
            for item in router[f"{kind}s"]:
                entry = addresses.setdefault(
                    item["key"],
                    {"name": item["key"], "protocol": "tcp", "listenerCount": 0, "connectorCount": 0},
                )
                entry[f"{kind}Count"] += 1
    return {"addresses": list(addresses.values()), "siteStatus": list(sites.values())}


async def run_adaptor(health: socket.socket) -> None:
    """Runs the adaptor's process."""
    api = Api.in_cluster()
    adaptor = Adaptor(api, os.environ["NAMESPACE"], os.environ["SKUPPER_ROUTER_CONFIG"])
    await serve_health(health, lambda: adaptor.configured)
    await adaptor.run()
