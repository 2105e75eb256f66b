"""Certificates, SecuredAccesses and RouterAccesses: how a Site is reached from outside."""

from __future__ import annotations

import asyncio
import logging
import os
from base64 import b64decode
from typing import TYPE_CHECKING

from . import certs, names, objects, sites
from .conditions import ERROR, READY, Status

if TYPE_CHECKING:
    from .controller import Controller

log = logging.getLogger("access")

SERVICE_TYPES = {"local": "ClusterIP", "loadbalancer": "LoadBalancer", "nodeport": "NodePort"}


class AccessTypes:
    """Which ways of access this controller offers."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.cluster_host = environment.get("SKUPPER_CLUSTER_HOST", "")
        usual = "local,loadbalancer" + (",nodeport" if self.cluster_host else "")
        listed = environment.get("SKUPPER_ENABLED_ACCESS_TYPES") or usual
        self._enabled = [name.strip() for name in listed.split(",") if name.strip() in SERVICE_TYPES]
        wished = environment.get("SKUPPER_DEFAULT_ACCESS_TYPE", "")
        usable = [name for name in (wished, "loadbalancer", *self._enabled) if self.enabled(name)]
        self.default = usable[0] if usable else ""

    @classmethod
    def from_environment(cls) -> AccessTypes:
        """Reads the settings of the controller's pod."""
        return cls(dict(os.environ))

    def enabled(self, name: str) -> bool:
        """Tells whether an access type can be used."""
        return name in self._enabled


async def reconcile(controller: Controller, namespace: str) -> None:
    """Brings the chain in line: accesses, their certificates, Secrets and endpoints."""

    def of(kind: str) -> list[dict]:
        return controller.of(kind, namespace)

    await asyncio.gather(*(_router_access(controller, obj) for obj in of("RouterAccess")))
    for secured in of("SecuredAccess"):  # one after the other: two may share a certificate
        await _secured_access(controller, secured)
    certificates = of("Certificate")
    for signing in (True, False):  # authorities first
        wanted = [c for c in certificates if bool(c["spec"].get("signing")) == signing]
        await asyncio.gather(*(_certificate(controller, obj) for obj in wanted))
    await asyncio.gather(*(_router_access_status(controller, obj) for obj in of("RouterAccess")))


# --- RouterAccess ---------------------------------------------------------------------------
def role_port(role: dict) -> int:
    """Gives the port of a role of a RouterAccess."""
    usual = names.PORT_EDGE if role["name"] == "edge" else names.PORT_INTER_ROUTER
    return int(role.get("port") or usual)


def _secured_name(router_access: dict, group: str) -> str:
    name: str = router_access["metadata"]["name"]
    return name if group == names.ROUTER else f"{name}-2"


async def _router_access(controller: Controller, router_access: dict) -> None:
    meta, spec = router_access["metadata"], router_access["spec"]
    site = sites.active_site(controller, meta["namespace"])
    if site is None:
        return
    generated = spec.get("generateTlsCredentials") or spec.get("issuer")
    for group in sites.groups_of(site):
        content = {
            "selector": {names.LABEL_COMPONENT: "router", names.LABEL_GROUP: group},
            "ports": [
                {
                    "name": role["name"],
                    "port": role_port(role),
                    "targetPort": role_port(role),
                    "protocol": "TCP",
                }
                for role in spec["roles"]
            ],
            "certificate": spec["tlsCredentials"],
        }
        if generated:
            content["issuer"] = spec.get("issuer") or sites.issuer_of(site)
        if spec.get("accessType"):
            content["accessType"] = spec["accessType"]
        if spec.get("settings"):
            content["settings"] = spec["settings"]
        await controller.ensure(
            objects.build(
                names.API_VERSION,
                "SecuredAccess",
                meta["namespace"],
                _secured_name(router_access, group),
                objects.owners_of(router_access),
                spec=content,
            )
        )


async def _router_access_status(controller: Controller, router_access: dict) -> None:
    meta, spec = router_access["metadata"], router_access["spec"]
    namespace = meta["namespace"]
    status = Status(router_access)
    site = sites.active_site(controller, namespace)
    if site is None:
        status.error("Configured", "No active site in namespace")
    elif controller.get("Secret", namespace, spec["tlsCredentials"]) is None:
        status.error("Configured", f'TLS credentials secret "{spec["tlsCredentials"]}" not found')
    else:
        status.ok("Configured")
    endpoints = []
    for group in sites.groups_of(site) if site else []:
        secured = controller.get("SecuredAccess", namespace, _secured_name(router_access, group))
        for endpoint in ((secured or {}).get("status") or {}).get("endpoints") or []:
            endpoints.append({**endpoint, "group": group})
    status.fields["endpoints"] = endpoints
    if endpoints:
        status.ok("Resolved")
    else:
        status.pending("Resolved", "Pending")
    await controller.save(status)


# --- SecuredAccess --------------------------------------------------------------------------
async def _secured_access(controller: Controller, secured: dict) -> None:
    meta, spec = secured["metadata"], secured["spec"]
    namespace, name = meta["namespace"], meta["name"]
    access = controller.grants.access
    access_type = spec.get("accessType") or access.default
    status = Status(secured)
    if not access.enabled(access_type):
        status.error("Configured", "unsupported access type")
        await controller.save(status)
        return
    ports = [
        objects.port(port["name"], port["port"], port.get("targetPort") or port["port"], port.get("protocol") or "TCP")
        for port in spec["ports"]
    ]
    await controller.ensure(
        objects.service(
            namespace,
            name,
            objects.owners_of(secured),
            spec["selector"],
            ports,
            kind=SERVICE_TYPES[access_type],
            labels={names.LABEL_SECURED_ACCESS: "true"},
        )
    )
    service = controller.get("Service", namespace, name)
    endpoints = _endpoints(access, access_type, secured, service)
    credentials = spec.get("certificate") or name
    if spec.get("issuer"):
        hosts = [name, f"{name}.{namespace}", f"{name}.{namespace}.svc"]
        hosts += sorted({endpoint["host"] for endpoint in endpoints} - set(hosts))
        await _server_certificate(controller, secured, credentials, hosts)
    secret = controller.get("Secret", namespace, credentials)
    status.ok("Configured")
    status.fields["endpoints"] = endpoints
    status.fields["ca"] = _ca_text(secret)
    if endpoints:
        status.ok("Resolved")
    else:
        status.pending("Resolved", "Pending")
    await controller.save(status)


async def _server_certificate(controller: Controller, secured: dict, name: str, hosts: list[str]) -> None:
    meta = secured["metadata"]
    known = controller.get("Certificate", meta["namespace"], name)
    before = ((known or {}).get("spec") or {}).get("hosts") or []
    if known is not None:  # accesses of two routers share one certificate
        hosts = before + [host for host in hosts if host not in before]
    site = sites.active_site(controller, meta["namespace"])
    content = {"ca": secured["spec"]["issuer"], "subject": name, "hosts": hosts, "server": True}
    if site is not None and len(sites.groups_of(site)) > 1:
        content["client"] = True  # the second router shows it when it links to the first
    await controller.ensure(objects.certificate(meta["namespace"], name, objects.owners_of(secured), **content))


def _ca_text(secret: dict | None) -> str:
    data = (secret or {}).get("data") or {}
    return b64decode(data.get("ca.crt", "")).decode()


def _endpoints(access: AccessTypes, access_type: str, secured: dict, service: dict | None) -> list[dict]:
    meta, ports = secured["metadata"], secured["spec"]["ports"]
    if access_type == "local":
        host = f"{meta['name']}.{meta['namespace']}"
        return [{"name": p["name"], "host": host, "port": str(p["port"])} for p in ports]
    if service is None:
        return []
    if access_type == "nodeport":
        numbers = {p["name"]: p.get("nodePort") for p in service["spec"].get("ports") or []}
        return [
            {"name": p["name"], "host": access.cluster_host, "port": str(numbers[p["name"]])}
            for p in ports
            if numbers.get(p["name"])
        ]
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    hosts = [item.get("ip") or item.get("hostname") for item in balancer.get("ingress") or []]
    return [{"name": p["name"], "host": host, "port": str(p["port"])} for host in hosts if host for p in ports]


# --- Certificate ----------------------------------------------------------------------------
async def _certificate(controller: Controller, certificate: dict) -> None:
    meta, spec = certificate["metadata"], certificate["spec"]
    namespace, name = meta["namespace"], meta["name"]
    status = Status(certificate, ())
    secret = controller.get("Secret", namespace, name)
    authority = None if spec.get("signing") else controller.get("Secret", namespace, spec["ca"])
    if not spec.get("signing") and authority is None:
        status.set("Ready", False, ERROR, f'CA "{namespace}/{spec["ca"]}" not found')
        await controller.save(status)
        return
    if secret is None or _outdated(spec, secret, authority):
        pair = _make(spec, authority)
        owners = objects.owners_of(certificate)
        await controller.ensure(objects.secret(namespace, name, owners, pair.secret_data()))
        controller.mark(namespace)
    status.set("Ready", True, READY, "OK")
    await controller.save(status)


def _outdated(spec: dict, secret: dict, authority: dict | None) -> bool:
    if authority is None:
        return False
    try:
        pair = certs.KeyPair.from_secret(secret)
        missing = set(spec.get("hosts") or []) - certs.hosts_of(pair.certificate)
    except ValueError:
        return True
    if spec.get("client") and not certs.for_clients(pair.certificate):
        return True
    return bool(missing) or pair.authority != certs.KeyPair.from_secret(authority).certificate


def _make(spec: dict, authority: dict | None) -> certs.KeyPair:
    if authority is None:
        return certs.new_authority(spec["subject"])
    return certs.issue(
        certs.KeyPair.from_secret(authority),
        spec["subject"],
        spec.get("hosts") or [],
        client=spec.get("client", False),
        server=spec.get("server", False),
    )
