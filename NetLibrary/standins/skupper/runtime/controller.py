"""The controller: watches the objects, works through namespaces that changed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Iterable

from . import access, attached, connectivity, grants, links, names, sites, templates, tokens
from .conditions import Status
from .httpserver import serve_health
from .kube import Api, ApiError, Informer
from .network import NetworkView

log = logging.getLogger("controller")

RESYNC_SECONDS = 30.0
RETRY_SECONDS = (0.2, 5.0)
ENDING_SECONDS = 5.0
STRIPPED = ("Deployment", "Service")  # written by server-side apply: what is not wanted any more goes
SKUPPER_KINDS = (
    "Site",
    "Link",
    "Listener",
    "MultiKeyListener",
    "Connector",
    "AttachedConnector",
    "AttachedConnectorBinding",
    "AccessGrant",
    "AccessToken",
    "RouterAccess",
    "SecuredAccess",
    "Certificate",
)
CORE_KINDS: dict[str, dict[str, str]] = {
    "Pod": {},
    "Service": {},
    "Secret": {},
    "ConfigMap": {"labelSelector": names.LABEL_ROUTER_CONFIG},
    "Deployment": {"labelSelector": "application=skupper-router"},
}


def _slim_pod(pod: dict) -> dict:
    """Keeps of a pod what selection needs; a cluster may have thousands."""
    meta, status = pod["metadata"], pod.get("status") or {}
    kept = ("name", "namespace", "labels", "deletionTimestamp", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Pod",
        "metadata": {k: meta[k] for k in kept if k in meta},
        "status": {k: status[k] for k in ("phase", "podIP", "conditions") if k in status},
    }


def _slim_secret(secret: dict) -> dict:
    """Keeps the values of TLS Secrets; of all others only which keys they have."""
    if secret.get("type") != "kubernetes.io/tls":
        secret = {**secret, "data": dict.fromkeys(secret.get("data") or {}, "")}
    return secret


class Controller:
    """One controller for all namespaces, or for one.

    Args:
        api: The API server.
        namespace: Namespace of the controller itself.
        name: Name of its Deployment.
        version: What `status.controller.version` says.
        only: Namespace to which the controller keeps itself; None for all.
    """

    def __init__(self, api: Api, namespace: str, name: str, version: str, only: str | None = None) -> None:
        self.api, self.namespace, self.name, self.version, self.only = (
            api,
            namespace,
            name,
            version,
            only,
        )
        self.deployment: dict | None = None
        self.grants = grants.GrantServer(self)
        self.tokens = tokens.Redeemer(self)
        self.selected_before: set[tuple[str, str, str]] = set()  # pods were found at least once
        self._applied: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._views: dict[str, tuple[str, NetworkView]] = {}
        self._dirty: set[str] = set()
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._ending: dict[str, float] = {}  # namespaces being deleted, and when that was seen
        self._wake = asyncio.Event()
        self.stores: dict[str, Informer] = {
            kind: Informer(api, kind, self._event, namespace=only) for kind in SKUPPER_KINDS
        }
        for kind, query in CORE_KINDS.items():
            trim = {"Pod": _slim_pod, "Secret": _slim_secret}.get(kind)
            self.stores[kind] = Informer(api, kind, self._event, namespace=only, query=query, trim=trim)

        def config_maps(query: dict[str, str]) -> Informer:
            return Informer(api, "ConfigMap", self._event, namespace=only, query=query)

        self.network_maps = config_maps({"fieldSelector": f"metadata.name={names.NETWORK_STATUS}"})
        self.control_maps = config_maps({"fieldSelector": "metadata.name=skupper"})
        self.templates = config_maps({"labelSelector": names.LABEL_TEMPLATE})
        self.informers = (*self.stores.values(), self.network_maps, self.control_maps, self.templates)

    # --- reading ---------------------------------------------------------------------------
    def get(self, kind: str, namespace: str, name: str) -> dict | None:
        """Gives an object of the copy."""
        return self.stores[kind].get(namespace, name)

    def of(self, kind: str, namespace: str) -> list[dict]:
        """Gives a namespace's objects of a kind, oldest first."""
        return self.stores[kind].of(namespace)

    def all(self, kind: str) -> Iterable[dict]:
        """Gives all objects of a kind."""
        return self.stores[kind].items.values()

    def view(self, namespace: str) -> NetworkView | None:
        """Gives the network as the Site of a namespace sees it; None before the first report."""
        config = self.network_maps.get(namespace, names.NETWORK_STATUS)
        text = ((config or {}).get("data") or {}).get(names.NETWORK_STATUS_KEY)
        if text is None:
            self._views.pop(namespace, None)
            return None
        known = self._views.get(namespace)
        if known is None or known[0] != text:
            known = self._views[namespace] = (text, NetworkView.parse(text))
        return known[1]

    # --- writing ---------------------------------------------------------------------------
    async def ensure(self, obj: dict) -> None:
        """Creates or mends an object, unless it is known to be in shape."""
        kind, meta = obj["kind"], obj["metadata"]
        templates.apply(obj, [*self.templates.of(self.namespace), *self.templates.of(meta["namespace"])])
        key = (kind, meta["namespace"], meta["name"])
        text = json.dumps(obj, sort_keys=True)
        applied, when = self._applied.get(key, ("", 0.0))
        store = self.stores.get(kind)
        known = store.get(*key[1:]) if store else None
        if store is None:
            if applied == text:
                return
        elif known is not None:
            if covers(known, obj) and (applied in ("", text) or kind not in STRIPPED):
                return
        elif applied == text and time.monotonic() - when < 1:
            return  # just made; the watch will tell
        # Where whole list entries may have to go, the server must know whose they are. For all
        # else server-side apply costs it several times as much as the plain verbs.
        write = self.api.apply if kind in STRIPPED else self.api.create
        answer = await write(obj, names.FIELD_MANAGER)
        self._applied[key] = (text, time.monotonic())
        if store is not None:
            store.note(answer)

    async def save(self, status: Status) -> None:
        """Writes a status if it differs from what is there."""
        patch = status.patch()
        if not patch:
            return
        obj = status.obj
        meta = obj["metadata"]
        try:
            answer = await self.api.patch(obj["kind"], meta["namespace"], meta["name"], {"status": patch}, "status")
        except ApiError as error:
            if error.status == 404:
                return
            raise
        self.stores[obj["kind"]].note(answer)
        if "message" in patch or "status" in patch:
            word = answer.get("status", {})
            log.info(
                "%s %s/%s: %s %s",
                obj["kind"],
                meta["namespace"],
                meta["name"],
                word.get("status", ""),
                word.get("message", ""),
            )

    # --- events ----------------------------------------------------------------------------
    def mark(self, namespace: str) -> None:
        """Notes that a namespace has to be looked at."""
        if time.monotonic() - self._ending.get(namespace, -1e9) < ENDING_SECONDS * 0.9:
            return
        if namespace and (self.only is None or namespace == self.only):
            self._dirty.add(namespace)
            self._wake.set()

    def _event(self, event: str, obj: dict) -> None:
        kind, meta = obj["kind"], obj["metadata"]
        namespace = meta["namespace"]
        if event == "ADDED" and kind == "Site":
            self._ending.pop(namespace, None)  # a new namespace of the same name
        if kind == "Pod":
            self._pod_event(namespace)
            return
        if kind == "Service" and not self._concerned(namespace):
            return
        self.mark(namespace)
        if kind == "ConfigMap" and names.LABEL_TEMPLATE in (meta.get("labels") or {}):
            for site in self.all("Site"):
                self.mark(site["metadata"]["namespace"])
        spec = obj.get("spec") or {}
        if kind == "AttachedConnector":
            self.mark(spec.get("siteNamespace", ""))
        elif kind == "AttachedConnectorBinding":
            self.mark(spec.get("connectorNamespace", ""))
        if kind in ("Site", "AttachedConnectorBinding"):
            for connector in self.all("AttachedConnector"):
                if connector["spec"]["siteNamespace"] == namespace:
                    self.mark(connector["metadata"]["namespace"])
        if event == "DELETED":
            self._applied.pop((kind, namespace, meta["name"]), None)

    def _pod_event(self, namespace: str) -> None:
        if self._concerned(namespace):
            self.mark(namespace)
        for connector in self.of("AttachedConnector", namespace):
            self.mark(namespace)
            self.mark(connector["spec"]["siteNamespace"])

    def _concerned(self, namespace: str) -> bool:
        return namespace == self.namespace or bool(self.of("Site", namespace))

    # --- work ------------------------------------------------------------------------------
    async def run(self) -> None:
        """Runs until the process ends."""
        for informer in self.informers:
            informer.start()
        own = await self.api.get("Deployment", self.namespace, self.name)
        self.deployment = own
        for informer in self.informers:
            await informer.synced.wait()
        log.info("in step with the cluster, %s", self.version)
        self.mark(self.namespace)
        resync = asyncio.ensure_future(self._resync())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for namespace in list(self._dirty - self._busy):
                    self._dirty.discard(namespace)
                    self._busy.add(namespace)
                    task = asyncio.ensure_future(self._work(namespace))
                    task.add_done_callback(lambda _: self._wake.set())
        finally:
            resync.cancel()

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            self.mark(self.namespace)
            for kind in SKUPPER_KINDS:
                for namespace, _ in self.stores[kind].items:
                    self.mark(namespace)

    async def _work(self, namespace: str) -> None:
        try:
            await self.reconcile(namespace)
            self._failures.pop(namespace, None)
        except ApiError as error:
            ending = error.status == 403 and "being terminated" in error.message
            if ending:  # nothing can be made there any more; its objects go one by one
                self._ending[namespace] = time.monotonic()
            self._try_again(namespace, error, ENDING_SECONDS if ending else None)
        except Exception as error:  # one namespace's trouble must not stop the others
            self._try_again(namespace, error)
        finally:
            self._busy.discard(namespace)

    def _try_again(self, namespace: str, error: Exception, pause: float | None = None) -> None:
        count = self._failures[namespace] = self._failures.get(namespace, 0) + 1
        known = isinstance(error, ApiError)
        log.warning("namespace %s: %s", namespace, error, exc_info=not known)
        pause = pause or min(RETRY_SECONDS[0] * 2**count, RETRY_SECONDS[1])
        asyncio.get_running_loop().call_later(pause, self.mark, namespace)

    def _controls(self, namespace: str) -> bool:
        """Tells whether a namespace is this controller's: another one may be named in it."""
        named = (self.control_maps.get(namespace, "skupper") or {}).get("data", {}).get("controller")
        return not named or named == f"{self.namespace}/{self.name}"

    async def reconcile(self, namespace: str) -> None:
        """Brings one namespace in line with its objects."""
        if not self._controls(namespace):
            return
        site = await sites.prepare(self, namespace)
        await access.reconcile(self, namespace)
        if namespace == self.namespace:
            await self.grants.reconcile()
        wiring = connectivity.Wiring(self, namespace, site)
        await links.reconcile(wiring)
        await connectivity.reconcile(wiring)
        await attached.reconcile(wiring)
        if site is not None:
            await sites.configure(self, site, wiring)
        await self.grants.reconcile_namespace(namespace)
        await self.tokens.reconcile(namespace, site)


def covers(actual: object, wanted: object) -> bool:
    """Tells whether everything wanted is there; what else is there does not matter."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(
            key in actual and covers(actual[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(covers(a, w) for a, w in zip(actual, wanted, strict=True))
        )
    return actual == wanted


async def run_controller(health: socket.socket) -> None:
    """Runs the controller's process."""
    from .version import version

    namespace = os.environ.get("NAMESPACE", "skupper")
    controller = Controller(
        Api.in_cluster(),
        namespace,
        os.environ.get("CONTROLLER_NAME", "skupper-controller"),
        version(),
        os.environ.get("WATCH_NAMESPACE") or None,
    )
    ready = False
    await serve_health(health, lambda: ready)
    task = asyncio.ensure_future(controller.run())
    for informer in controller.informers:
        await informer.synced.wait()
    ready = True
    await task
