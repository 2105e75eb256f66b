"""An API server in memory, under the real controller: writes come back as the watch would bring them."""

from __future__ import annotations

import copy
import uuid
from datetime import datetime, timezone
from typing import Any

from NetLibrary.standins.skupper.runtime.controller import Controller
from NetLibrary.standins.skupper.runtime.kube import PATHS, Api, ApiError

V = "skupper.io/v2alpha1"


def merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class MemoryApi(Api):
    """Stands in for the API server. `refuse` maps kinds to errors that writes of them meet."""

    def __init__(self) -> None:
        self.controller: Controller
        self.version = 100
        self.writes: list[str] = []
        self.history: list[tuple[str, str, str, str]] = []  # kind, name, status, message
        self.refuse: dict[str, ApiError] = {}

    def put(self, obj: dict) -> dict:
        """Stores an object and tells the controller, as a watch does."""
        self.version += 1
        obj = copy.deepcopy(obj)
        meta = obj["metadata"]
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("generation", 1)
        meta.setdefault("creationTimestamp", datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        meta["resourceVersion"] = str(self.version)
        self._store(obj)._event("MODIFIED", copy.deepcopy(obj))
        return obj

    def _store(self, obj: dict) -> Any:
        if obj["metadata"]["name"] == "skupper-network-status":
            return self.controller.network_maps
        return self.controller.stores[obj["kind"]]

    def known(self, kind: str, namespace: str, name: str) -> dict | None:
        if kind not in self.controller.stores:
            return None
        return copy.deepcopy(self.controller.stores[kind].get(namespace, name))

    def remove(self, kind: str, namespace: str, name: str) -> None:
        obj = self.known(kind, namespace, name)
        assert obj is not None
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._store(obj)._event("DELETED", obj)

    async def _write(self, obj: dict) -> dict:
        kind, meta = obj["kind"], obj["metadata"]
        self.writes.append(f"{kind}/{meta['name']}")
        if kind in self.refuse:
            raise self.refuse[kind]
        if kind not in self.controller.stores:
            return obj
        return self.put(merge(self.known(kind, meta["namespace"], meta["name"]) or {}, obj))

    async def apply(self, obj: dict, manager: str) -> dict:
        return await self._write(obj)

    async def create(self, obj: dict, manager: str) -> dict:
        return await self._write(obj)

    async def patch(self, kind: str, namespace: str, name: str, body: dict, sub: str | None = None) -> dict:
        old = self.known(kind, namespace, name)
        if old is None:
            raise ApiError(404, "NotFound", f"{kind} {name}")
        new = self.put(merge(old, body))
        status = new.get("status") or {}
        self.history.append((kind, name, status.get("status", ""), status.get("message", "")))
        return new

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        self.remove(kind, namespace, name)

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> dict:
        assert method == "POST", f"{method} {path}"
        plural = path.rsplit("/", 1)[1]
        kind = next(kind for kind, (_, name) in PATHS.items() if name == plural)
        if self.known(kind, body["metadata"]["namespace"], body["metadata"]["name"]):
            raise ApiError(409, "AlreadyExists", f'{plural} "{body["metadata"]["name"]}" already exists')
        return self.put({**body, "kind": kind})


class Cluster:
    """A controller over an API server in memory, with short ways to put and read objects."""

    def __init__(self) -> None:
        self.api = MemoryApi()
        self.controller = Controller(self.api, "skupper", "skupper-controller", "stand-in-test")
        self.api.controller = self.controller

    def put(self, kind: str, namespace: str, name: str, spec: dict | None = None, **more: Any) -> dict:
        meta = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
        old = self.api.known(kind, namespace, name)
        if old is not None:
            meta = {**old["metadata"], **meta}
            more.setdefault("status", old.get("status"))
        obj = {"apiVersion": V, "kind": kind, "metadata": meta, **({"spec": spec} if spec is not None else {}), **more}
        return self.api.put(obj)

    def pod(self, namespace: str, name: str, ip: str, *, ready: bool = True, **labels: str) -> None:
        word = "True" if ready else "False"
        conditions = [{"type": "Ready", "status": word, "message": "" if ready else "containers with unready status"}]
        status = {"phase": "Running", "podIP": ip, "conditions": conditions}
        self.put("Pod", namespace, name, status=status, metadata={"labels": labels})

    def network(self, namespace: str, text: str) -> None:
        self.put("ConfigMap", namespace, "skupper-network-status", data={"NetworkStatus": text})

    def balancer_address(self, namespace: str, name: str, address: str) -> None:
        service = self.api.known("Service", namespace, name)
        assert service is not None, f"no Service {name}"
        service["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
        self.api.put(service)

    async def settle(self, *namespaces: str) -> None:
        """Works through namespaces until nothing is written any more."""
        for _ in range(20):
            before = self.api.version
            for namespace in namespaces:
                await self.controller.reconcile(namespace)
            if self.api.version == before:
                return
        raise AssertionError("the controller writes without end")

    def status(self, kind: str, namespace: str, name: str) -> tuple[str, str]:
        obj = self.api.known(kind, namespace, name)
        assert obj is not None, f"no {kind} {namespace}/{name}"
        status = obj.get("status") or {}
        return status.get("status", ""), status.get("message", "")

    def get(self, kind: str, namespace: str, name: str) -> dict:
        obj = self.api.known(kind, namespace, name)
        assert obj is not None, f"no {kind} {namespace}/{name}"
        return obj
