"""AccessGrants, and the HTTPS server where tokens are redeemed."""

from __future__ import annotations

import logging
import re
import secrets
import ssl
import string
import tempfile
from base64 import b64decode
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import access, certs, httpserver, names, objects, sites
from .conditions import Status
from .version import like_2_1

if TYPE_CHECKING:
    from .controller import Controller

log = logging.getLogger("grants")

USUAL_WINDOW = timedelta(minutes=10)
CODE_LENGTH = 24
UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def duration(text: str) -> timedelta:
    """Reads a duration such as `15m` or `1h30m`.

    Raises:
        ValueError: It is no duration.

    Example:
        >>> duration("1m30s").total_seconds()
        90.0
    """
    body = text.lstrip("+-")
    parts = _DURATION.findall(body)
    if "".join(number + unit for number, unit in parts) != body or not parts:
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)


class GrantServer:
    """Serves `https://<host>:<port>/<uid of the grant>` and keeps the grants' statuses."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.access = access.AccessTypes.from_environment()
        self._context: ssl.SSLContext | None = None
        self._loaded: dict[str, str] = {}
        self._told = ("", "")
        self._redeemed: dict[str, int] = {}  # counted here before the API server knows

    # --- the server's own access -----------------------------------------------------------
    async def reconcile(self) -> None:
        """Makes the server's access, starts it once its certificate is there."""
        controller, namespace = self.controller, self.controller.namespace
        if controller.only is not None and controller.only != namespace:
            return
        owners = [objects.owner_reference(controller.deployment)] if controller.deployment else []
        await controller.ensure(
            objects.certificate(
                namespace,
                names.GRANT_SERVER_CA,
                owners,
                ca="",
                subject=names.GRANT_SERVER_CA,
                signing=True,
            )
        )
        await controller.ensure(
            objects.build(
                names.API_VERSION,
                "SecuredAccess",
                namespace,
                names.GRANT_SERVER,
                owners,
                spec={
                    "selector": {names.LABEL_COMPONENT: "controller"},
                    "ports": [
                        {
                            "name": "https",
                            "port": names.PORT_GRANTS,
                            "targetPort": names.PORT_GRANTS,
                            "protocol": "TCP",
                        }
                    ],
                    "certificate": names.GRANT_SERVER,
                    "issuer": names.GRANT_SERVER_CA,
                },
            )
        )
        secret = controller.get("Secret", namespace, names.GRANT_SERVER)
        if secret is not None and secret.get("data") != self._loaded:
            await self._serve(secret["data"])
        if self._told != (self.url(), self.authority()):
            self._told = (self.url(), self.authority())
            for grant in controller.all("AccessGrant"):
                controller.mark(grant["metadata"]["namespace"])

    async def _serve(self, data: dict[str, str]) -> None:
        first = self._context is None
        if self._context is None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tls.crt", "tls.key"):
                Path(folder, name).write_bytes(b64decode(data[name]))
            self._context.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
        self._loaded = dict(data)
        if first:
            await httpserver.serve(names.PORT_GRANTS, self.redeem, self._context)
            log.info("grant server on port %d", names.PORT_GRANTS)

    def url(self) -> str:
        """Gives the server's address as others reach it; empty while it has none."""
        namespace = self.controller.namespace
        secured = self.controller.get("SecuredAccess", namespace, names.GRANT_SERVER)
        endpoints = ((secured or {}).get("status") or {}).get("endpoints") or []
        if not endpoints or self._context is None:
            return ""
        endpoint = endpoints[0]
        secret = self.controller.get("Secret", namespace, names.GRANT_SERVER)
        if secret is None or endpoint["host"] not in certs.hosts_of(b64decode(secret["data"]["tls.crt"])):
            return ""  # a token made now could not verify the server
        host = f"[{endpoint['host']}]" if ":" in endpoint["host"] else endpoint["host"]
        return f"https://{host}:{endpoint['port']}"

    def authority(self) -> str:
        """Gives the certificate, PEM, by which clients verify the server."""
        return b64decode(self._loaded.get("ca.crt", "")).decode()

    # --- grants ----------------------------------------------------------------------------
    async def reconcile_namespace(self, namespace: str) -> None:
        """Works out the statuses of a namespace's grants."""
        for grant in self.controller.of("AccessGrant", namespace):
            await self._grant(grant)

    async def _grant(self, grant: dict) -> None:
        spec, meta = grant.get("spec") or {}, grant["metadata"]
        status = Status(grant)
        site = sites.active_site(self.controller, meta["namespace"])
        if site is not None and (site.get("spec") or {}).get("edge"):
            status.error("Processed", "Edge sites cannot accept incoming links from remote sites")
            await self.controller.save(status)
            return
        if not status.before.get("expirationTime"):
            text = spec.get("expirationWindow")
            try:
                window = duration(text) if text else USUAL_WINDOW
            except ValueError as error:
                status.error("Processed", f'Invalid duration "{text}": {error}')
                await self.controller.save(status)
                return
            end = datetime.now(timezone.utc) + window
            status.fields["expirationTime"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        if not status.before.get("code"):
            letters = string.ascii_letters + string.digits
            made = "".join(secrets.choice(letters) for _ in range(CODE_LENGTH))
            status.fields["code"] = spec.get("code") or made
        status.ok("Processed")
        base, authority = self.url(), self.authority()
        status.fields["url"] = f"{base}/{meta['uid']}" if base else ""
        status.fields["ca"] = authority
        if base and authority:
            status.ok("Resolved")
        else:
            status.pending("Resolved", "Pending")
        await self.controller.save(status)

    # --- redemption ------------------------------------------------------------------------
    async def redeem(self, request: httpserver.Request) -> tuple[int, str]:
        """Answers one POST: Secret and Links for the site that shows the right code."""
        if request.method != "POST":
            return 405, "Method Not Allowed"
        uid = request.path.strip("/")
        grant = next((g for g in self.controller.all("AccessGrant") if g["metadata"]["uid"] == uid), None)
        status: dict[str, Any] = (grant or {}).get("status") or {}
        if grant is None or not status.get("code") or _expired(status):
            return 404, "No such claim"
        allowed = (grant.get("spec") or {}).get("redemptionsAllowed") or (0 if like_2_1() else 1)
        made = max(status.get("redemptions", 0), self._redeemed.get(uid, 0))
        if made >= allowed:
            return 404, "No such access granted"
        if not secrets.compare_digest(request.body.strip(), status["code"].encode()):
            return 403, "Redemption of access token refused"
        self._redeemed[uid] = made + 1  # counts whatever happens next, as with the real one
        counted = Status(grant)
        counted.fields["redemptions"] = made + 1
        try:
            await self.controller.save(counted)
        except Exception as error:
            log.warning("grant %s: %s", uid, error)
            return 503, "Internal error"
        name = request.headers.get("name", "")
        subject = request.headers.get("subject", "")
        return self._answer(grant["metadata"]["namespace"], name, subject)

    def _answer(self, namespace: str, name: str, subject: str) -> tuple[int, str]:
        controller = self.controller
        site = sites.active_site(controller, namespace)
        if site is None:
            return 500, f"Site not yet defined for {namespace}"
        endpoints = (site.get("status") or {}).get("endpoints") or []
        if not endpoints:
            return 500, "No valid endpoints found for site"
        issuer = controller.get("Secret", namespace, sites.issuer_of(site))
        if issuer is None:
            return 500, "Could not get issuer for requested certificate"
        pair = certs.issue(certs.KeyPair.from_secret(issuer), subject or name, [], client=True, server=False)
        documents = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "type": "kubernetes.io/tls",
                "data": pair.secret_data(),
            }
        ]
        groups = sorted({endpoint.get("group", "") for endpoint in endpoints})
        for number, group in enumerate(groups, 1):
            link = name if len(groups) == 1 else f"{name}-{number}"
            documents.append(
                {
                    "apiVersion": names.API_VERSION,
                    "kind": "Link",
                    "metadata": {"name": link},
                    "spec": {
                        "endpoints": [e for e in endpoints if e.get("group", "") == group],
                        "tlsCredentials": name,
                    },
                }
            )
        log.info("token %s redeemed for site %s", name, subject)
        return 200, yaml.safe_dump_all(documents, sort_keys=False)


def _expired(status: dict) -> bool:
    end = status.get("expirationTime", "")
    try:
        when = datetime.fromisoformat(end.replace("Z", "+00:00"))
    except ValueError:
        return True
    return datetime.now(timezone.utc) >= when
