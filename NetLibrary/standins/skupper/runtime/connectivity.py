"""Listeners and Connectors: ports for clients, and the servers behind routing keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import access, names, objects, sites
from .conditions import Status
from .links import NO_SITE
from .selectors import matches
from .version import like_2_1

if TYPE_CHECKING:
    from .controller import Controller


class Wiring:
    """The configuration of a namespace's routers while it is worked out."""

    def __init__(self, controller: Controller, namespace: str, site: dict | None) -> None:
        self.controller, self.namespace, self.site = controller, namespace, site
        self.view = controller.view(namespace) if site is not None else None
        self.entities: list[list] = []
        self.ports = self._allocated()
        self.selected: dict[tuple[str, str], list[dict]] = {}

    def of(self, kind: str) -> list[dict]:
        """Gives the namespace's objects of a kind."""
        return self.controller.of(kind, self.namespace)

    def get(self, kind: str, name: str) -> dict | None:
        """Gives one of the namespace's objects."""
        return self.controller.get(kind, self.namespace, name)

    def add(self, kind: str, **attributes: Any) -> None:
        """Adds an entity of the routers."""
        self.entities.append([kind, attributes])

    def _allocated(self) -> dict[str, int]:
        """Reads which listener has which port from the configuration written last."""
        config = self.get("ConfigMap", names.ROUTER)
        try:
            entities = json.loads((config or {})["data"][names.ROUTER_CONFIG_KEY])
        except (KeyError, TypeError, ValueError):
            return {}
        return {a["name"]: int(a["port"]) for kind, a in entities if kind == "tcpListener"}

    def port_for(self, name: str) -> int:
        """Gives a listener's port in the router: its present one, or the next free."""
        if name not in self.ports:
            used = set(self.ports.values())
            port = names.FIRST_LISTENER_PORT
            while port in used:
                port += 1
            self.ports[name] = port
        return self.ports[name]

    def config(self, group: str) -> list[list]:
        """Gives the whole configuration of one router."""
        assert self.site is not None
        meta = self.site["metadata"]
        site = {
            "id": meta["uid"],
            "name": meta["name"],
            "namespace": self.namespace,
            "platform": "kubernetes",
            "version": self.controller.version,
        }
        edge = (self.site.get("spec") or {}).get("edge", False)
        head: list[list] = [
            [
                "router",
                {
                    "id": f"{meta['name']}-{group}-{meta['uid'][:13]}",
                    "mode": "edge" if edge else "interior",
                    "metadata": json.dumps(site),
                },
            ]
        ]
        for router_access in self.of("RouterAccess") if not edge else []:
            spec = router_access["spec"]
            for role in spec["roles"]:
                settings = {
                    "name": f"{router_access['metadata']['name']}-{role['name']}",
                    "role": role["name"],
                    "host": spec.get("bindHost", ""),
                    "port": access.role_port(role),
                    "sslProfile": spec["tlsCredentials"],
                }
                head.append(["listener", settings])
        if group != names.ROUTER:
            first = {
                "name": f"{names.AUTO_MESH}{names.ROUTER}",
                "role": "inter-router",
                "host": f"{names.ROUTER}.{self.namespace}",
                "port": str(names.PORT_INTER_ROUTER),
                "cost": 1,
                "sslProfile": names.SITE_SERVER,
            }
            head.append(["connector", first])
        return head + self.entities

    def has_listeners(self, key: str) -> bool:
        """Tells whether the network has a listener for a routing key."""
        return self.view is not None and key in self.view.listeners

    def has_connectors(self, key: str) -> bool:
        """Tells whether the network has a connector for a routing key."""
        return self.view is not None and key in self.view.connectors

    def exposed_pods(self, spec: dict) -> list[str]:
        """Gives the names of pods that connectors of a listener's routing key expose one by one."""
        if not spec.get("exposePodsByName") or self.view is None:
            return []
        prefix = f"{spec['routingKey']}."
        return [key.removeprefix(prefix) for key in self.view.connectors if key.startswith(prefix)]

    def missing_credentials(self, spec: dict) -> str:
        """Gives the fault when the TLS Secret that a spec names does not exist."""
        name = spec.get("tlsCredentials")
        if name and self.get("Secret", name) is None:
            return f'TLS credentials secret "{name}" not found'
        return ""


async def reconcile(wiring: Wiring) -> None:
    """Works through the namespace's Listeners and Connectors."""
    hosts: dict[str, list[dict]] = {}
    for listener in wiring.of("Listener"):
        await _listener(wiring, listener, hosts)
    for listener in wiring.of("MultiKeyListener"):
        await _multi_key_listener(wiring, listener, hosts)
    if wiring.site is not None:
        await _services(wiring, hosts)
    for connector in wiring.of("Connector"):
        await _connector(wiring, connector)


# --- Listener -------------------------------------------------------------------------------
def _listener_fault(wiring: Wiring, listener: dict, hosts: dict[str, list[dict]]) -> str:
    spec = listener["spec"]
    if wiring.site is None:
        return NO_SITE
    host, port = spec["host"], spec["port"]
    for other in hosts.get(host, []):
        if other["spec"]["port"] == port:
            name = other["metadata"]["name"]
            return f"Listener {name} with host {host} and port {port} already exists in namespace"
    service = wiring.get("Service", host)
    if service is not None:
        notes = service["metadata"].get("annotations") or {}
        labels = service["metadata"].get("labels") or {}
        if names.ANNOTATION_CONTROLLED not in notes or names.LABEL_LISTENER not in labels:
            return f"Service {host} already exists in namespace"
    return wiring.missing_credentials(spec)


async def _listener(wiring: Wiring, listener: dict, hosts: dict[str, list[dict]]) -> None:
    spec, name = listener["spec"], listener["metadata"]["name"]
    status = Status(listener)
    if fault := _listener_fault(wiring, listener, hosts):
        status.error("Configured", fault)
        await wiring.controller.save(status)
        return
    hosts.setdefault(spec["host"], []).append(listener)
    entity = f"tcpListener/{name}"
    if spec.get("type", "tcp") in ("", "tcp"):
        _add_port(wiring, entity, spec, spec["routingKey"])
        for pod in wiring.exposed_pods(spec):
            _add_port(wiring, f"{entity}@{pod}", spec, f"{spec['routingKey']}.{pod}")
    status.ok("Configured")
    if wiring.view is not None:
        _matched(status, "connector", wiring.has_connectors(spec["routingKey"]))
    await wiring.controller.save(status)


def _matched(status: Status, other: str, found: bool) -> None:
    """Tells whether there is somebody at the other end of a routing key."""
    status.fields[f"hasMatching{other.capitalize()}"] = found
    if found:
        status.ok("Matched")
    else:
        status.pending("Matched", f"No matching {other}s")


def _add_port(wiring: Wiring, entity: str, spec: dict, key: str) -> None:
    settings = {"sslProfile": spec["tlsCredentials"]} if spec.get("tlsCredentials") else {}
    wiring.add("tcpListener", name=entity, port=str(wiring.port_for(entity)), address=key, **settings)


async def _multi_key_listener(wiring: Wiring, listener: dict, hosts: dict[str, list[dict]]) -> None:
    spec, name = listener["spec"], listener["metadata"]["name"]
    status = Status(listener)
    if fault := _listener_fault(wiring, listener, hosts):
        status.error("Configured", fault)
        await wiring.controller.save(status)
        return
    hosts.setdefault(spec["host"], []).append(listener)
    kind = "priority" if "priority" in spec["strategy"] else "weighted"
    keys = spec["strategy"][kind]["routingKeys"]
    entity = f"tcpListener/multiaddress-{name}"
    wiring.add(
        "tcpListener",
        name=entity,
        port=str(wiring.port_for(entity)),
        address="",
        strategy={kind: keys},
        **_client_tls(spec),
    )
    reachable = [key for key in keys if wiring.has_connectors(key)]
    status.ok("Configured")
    status.fields["hasDestination"] = bool(reachable)
    found = {key: keys[key] for key in reachable} if kind == "weighted" else reachable
    status.fields["strategy"] = {kind: {"routingKeysReachable": found}}
    if reachable:
        status.ok("Operational")
    else:
        status.pending("Operational", "No matching connectors")
    await wiring.controller.save(status)


def _client_tls(spec: dict) -> dict[str, Any]:
    if not spec.get("tlsCredentials"):
        return {}
    return {"sslProfile": spec["tlsCredentials"], "authenticatePeer": spec.get("requireClientCert", False)}


def _label(listener: dict) -> str:
    return "true" if like_2_1() else str(listener["metadata"]["name"])


def _service_port(wiring: Wiring, listener: dict) -> dict:
    name = listener["metadata"]["name"]
    if listener["kind"] == "MultiKeyListener":
        name = f"multiaddress-{name}"
    protocol = "UDP" if listener["spec"].get("type") == "udp" else "TCP"
    target = wiring.port_for(f"tcpListener/{name}")
    return objects.port(name, listener["spec"]["port"], target, protocol)


async def _services(wiring: Wiring, hosts: dict[str, list[dict]]) -> None:
    assert wiring.site is not None
    owners = [objects.owner_reference(wiring.site)]
    for host, listeners in hosts.items():
        wanted = objects.service(
            wiring.namespace,
            host,
            owners,
            dict(names.ROUTER_SELECTOR),
            [_service_port(wiring, listener) for listener in listeners],
            labels={names.LABEL_LISTENER: _label(listeners[0])},
        )
        await wiring.controller.ensure(wanted)
    exposed = {
        pod: listener for group in hosts.values() for listener in group for pod in wiring.exposed_pods(listener["spec"])
    }
    for pod, listener in exposed.items():
        name = listener["metadata"]["name"]
        target = wiring.port_for(f"tcpListener/{name}@{pod}")
        await wiring.controller.ensure(
            objects.service(
                wiring.namespace,
                pod,
                owners,
                dict(names.ROUTER_SELECTOR),
                [objects.port(name, listener["spec"]["port"], target)],
                labels={names.LABEL_LISTENER: _label(listener)},
            )
        )
    used = {entity[1]["name"] for entity in wiring.entities if entity[0] == "tcpListener"}
    wiring.ports = {name: port for name, port in wiring.ports.items() if name in used}
    for service in wiring.of("Service"):
        meta = service["metadata"]
        made = names.LABEL_LISTENER in (meta.get("labels") or {})
        needed = meta["name"] in hosts or meta["name"] in exposed
        if made and meta.get("ownerReferences") == owners and not needed:
            await wiring.controller.api.delete("Service", wiring.namespace, meta["name"])


# --- Connector ------------------------------------------------------------------------------
def usable_pods(wiring: Wiring, namespace: str, spec: dict) -> list[dict]:
    """Gives the pods that a connector's selector means and that can be dialled."""
    selector = spec.get("selector", "")
    chosen = []
    for pod in wiring.controller.of("Pod", namespace):
        meta, status = pod["metadata"], pod.get("status") or {}
        if meta.get("deletionTimestamp") or status.get("phase") != "Running":
            continue
        conditions = status.get("conditions") or []
        is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        if not status.get("podIP") or not (is_ready or spec.get("includeNotReadyPods")):
            continue
        if matches(selector, meta.get("labels") or {}):
            chosen.append(pod)
    return chosen


def add_pods(wiring: Wiring, name: str, key: str, spec: dict, pods: list[dict], *, by_name: bool = False) -> None:
    """Adds one router connector for each pod, and one more under the pod's own routing key."""
    for pod in pods:
        address, pod_name = pod["status"]["podIP"], pod["metadata"]["name"]
        entries = {f"tcpConnector/{name}@{address}": key}
        if by_name:
            entries[f"tcpConnector/{name}@{address}@{pod_name}"] = f"{key}.{pod_name}"
        for entity, entity_key in entries.items():
            wiring.add(
                "tcpConnector",
                name=entity,
                host=address,
                port=str(spec["port"]),
                address=entity_key,
                pod=pod_name,
                **_server_tls(spec),
            )


def _server_tls(spec: dict) -> dict[str, Any]:
    if not spec.get("tlsCredentials"):
        return {}
    return {
        "sslProfile": spec["tlsCredentials"],
        "useClientCert": spec.get("useClientCert", False),
        "verifyHostname": spec.get("verifyHostname", False),
    }


async def _connector(wiring: Wiring, connector: dict) -> None:
    spec, name = connector["spec"], connector["metadata"]["name"]
    status = Status(connector)
    if fault := _connect(wiring, name, spec):
        status.error("Configured", fault)
    else:
        status.ok("Configured")
    if wiring.view is not None:
        _matched(status, "listener", wiring.has_listeners(spec["routingKey"]))
    await wiring.controller.save(status)


def _connect(wiring: Wiring, name: str, spec: dict) -> str:
    """Adds a Connector's servers; gives its fault, if any."""
    if wiring.site is None:
        return NO_SITE
    if not spec.get("selector") and not spec.get("host"):
        return "Connector must define a non-empty spec.host or spec.selector"
    if fault := wiring.missing_credentials(spec):
        return fault
    if spec.get("host"):
        wiring.add(
            "tcpConnector",
            name=f"tcpConnector/{name}@{spec['host']}",
            host=spec["host"],
            port=str(spec["port"]),
            address=spec["routingKey"],
            **_server_tls(spec),
        )
        return ""
    pods = usable_pods(wiring, wiring.namespace, spec)
    if not pods:
        return "No matches for selector"
    add_pods(wiring, name, spec["routingKey"], spec, pods, by_name=spec.get("exposePodsByName", False))
    return ""


def site_of(controller: Controller, namespace: str) -> dict | None:
    """Gives the active Site of any namespace."""
    return sites.active_site(controller, namespace)
