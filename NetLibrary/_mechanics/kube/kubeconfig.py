"""Kubeconfigs as kubectl reads them: which server, through what, and as whom.

Every field of the chosen cluster and user is honoured, or refused with a message; none is ignored, because a field that
is ignored means a run with other rights, or against another server, than asked for. The table is in docs/kubeconfig.md.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.kubeconfig_files import (
    Entry,
    Merged,
    Unusable,
    beside,
    check_fields,
    content_of,
    flag_of,
    merge,
    text_of,
    texts_of,
)

CONTEXT_FIELDS = {"cluster", "user", "namespace", "extensions"}
CLUSTER_FIELDS = {
    "server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name",
    "proxy-url", "disable-compression", "extensions",
}  # fmt: skip
USER_FIELDS = {
    "client-certificate", "client-certificate-data", "client-key", "client-key-data", "token", "tokenFile", "username",
    "password", "as", "as-uid", "as-groups", "as-user-extra", "auth-provider", "exec", "extensions",
}  # fmt: skip
EXEC_FIELDS = {
    "apiVersion", "command", "args", "env", "installHint", "interactiveMode", "provideClusterInfo", "extensions",
}  # fmt: skip
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
PROXY_SCHEMES = ("http", "socks5", "socks5h")
# Bytes that stand for themselves in the name of a header
_IN_NAMES = (string.ascii_lowercase + string.digits + "-_.!#$&'*+^`|~").encode()
# This machine, and the network that labs on it use (RFC 2544)
_NEARBY = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"), ipaddress.ip_network("198.18.0.0/15"))


@dataclass(frozen=True)
class Plugin:
    """A program that gets credentials (`exec`).

    Args:
        api_version: Version in which it is spoken to.
        command: Program; a path is absolute already.
        args: Its arguments.
        env: What it gets besides our environment.
        install_hint: What the kubeconfig tells somebody who lacks it.
        cluster: What it is told about the cluster, None when it need not know.
        interactive: `Never`, `IfAvailable` or `Always`.
    """

    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = None
    interactive: str = "IfAvailable"


@dataclass(frozen=True)
class User:
    """How somebody proves who he is; secrets are not in its text."""

    name: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)  # PEM
    key: str = field(default="", repr=False)  # PEM
    plugin: Plugin | None = None
    impersonate: tuple[tuple[str, str], ...] = ()  # headers; a name may come several times

    @property
    def proof(self) -> str:
        """What the server is shown, in words; empty for nothing."""
        known = {
            "credentials that its plugin gave": self.plugin,
            "token": self.token or self.token_file,
            "password": self.password,
            "client certificate": self.certificate,
        }
        return next((words for words, there in known.items() if there), "")


@dataclass(frozen=True)
class Target:
    """One API server, the way to it, and as whom it is asked.

    Args:
        origin: Files in words, for messages.
        context: Name of the context; empty outside of kubeconfigs.
        server: URL without a slash at the end.
        user: Who asks.
        authority: Certificates to trust, PEM; empty for those of the system.
        verify: Whether the server's certificate is checked.
        server_name: Name in that certificate when it is not the host of the URL.
        proxy: URL of the kubeconfig's own proxy; empty when it names none.
        namespace: Namespace of the context, empty when it names none.
    """

    origin: str
    context: str
    server: str
    user: User
    authority: str = field(default="", repr=False)
    verify: bool = True
    server_name: str = ""
    proxy: str = field(default="", repr=False)
    namespace: str = ""


def load(files: Sequence[Path], context: str | None = None) -> Target:
    """Reads kubeconfigs and resolves a context.

    Args:
        files: In kubectl's order: what the first of them says about a name, or as current context, counts.
        context: Which one; the current one by default.

    Raises:
        InputError: They cannot be used; the text names file, entry and field.
    """
    origin = os.pathsep.join(map(str, files))
    wanted = f" with context '{context}'" if context else ""
    try:
        return _resolve(merge(files), origin, context)
    except Unusable as error:
        raise InputError(f"The kubeconfig '{origin}'{wanted} is not usable: {str(error).rstrip('.')}.") from None


def _resolve(known: Merged, origin: str, context: str | None) -> Target:
    name = context or known.current
    if not name:
        raise Unusable(f"it has no current-context; its contexts are {_list(known.contexts)}")
    if name not in known.contexts:
        if context:
            raise Unusable(f"it has no such context; its contexts are {_list(known.contexts)}")
        there = f"its contexts are {_list(known.contexts)}"
        raise Unusable(f"its current-context is '{name}', which it does not have; {there}")
    entry = known.contexts[name]
    where = f"context '{name}'"
    check_fields(entry.body, CONTEXT_FIELDS, where)
    cluster = text_of(entry.body, "cluster", where)
    if not cluster:
        raise Unusable(f"{where} names no cluster")
    if cluster not in known.clusters:
        raise Unusable(f"{where} names the cluster '{cluster}', which is not in it; it has {_list(known.clusters)}")
    who = text_of(entry.body, "user", where)
    if who and who not in known.users:
        raise Unusable(f"{where} names the user '{who}', which is not in it; it has {_list(known.users)}")
    return _target(
        known.clusters[cluster], known.users[who] if who else Entry({}, entry.file), name, cluster, who, origin,
        text_of(entry.body, "namespace", where),
    )  # fmt: skip


def _target(
    cluster: Entry, user: Entry, context: str, cluster_name: str, user_name: str, origin: str, namespace: str
) -> Target:
    where = f"cluster '{cluster_name}'"
    check_fields(cluster.body, CLUSTER_FIELDS, where)
    authority = content_of(cluster, "certificate-authority", where)
    insecure = flag_of(cluster.body, "insecure-skip-tls-verify", where)
    if insecure and authority:
        raise Unusable(
            f"{where} has both a certificate-authority and insecure-skip-tls-verify; only one of them can apply"
        )
    proxy = _proxy(text_of(cluster.body, "proxy-url", where), where)
    name = text_of(cluster.body, "tls-server-name", where)
    found = _user(user, f"user '{user_name}'", user_name)
    server = server_url(text_of(cluster.body, "server", where), where, bool(authority or found.certificate or insecure))
    _suits(server, found, f"user '{user_name}'" if user_name else f"context '{context}'", where)
    if found.plugin is not None and found.plugin.cluster is not None:
        told = {
            "server": server, "tls-server-name": name, "insecure-skip-tls-verify": insecure, "proxy-url": proxy,
            "certificate-authority-data": base64.b64encode(authority.encode()).decode(),
            "config": _plugin_config(cluster.body),
        }  # fmt: skip
        kept = {key: value for key, value in told.items() if value}
        plugin = Plugin(**{**vars(found.plugin), "cluster": kept})
        found = User(**{**vars(found), "plugin": plugin})
    return Target(origin, context, server, found, authority, not insecure, name, proxy, namespace)


def _suits(server: str, user: User, who: str, where: str) -> None:
    """Refuses credentials that would be sent in clear text, and none where kubectl would ask for a user name."""
    proof = bool(user.token or user.token_file or user.username or user.password or user.plugin)
    if server.startswith("https://"):
        if not proof and not user.certificate:
            raise Unusable(f"{who} has no credentials, and anonymous requests are not made")
    elif proof and not nearby(urlsplit(server).hostname or ""):
        raise Unusable(f"the server of {where} is '{server}': the credentials of {who} would be sent in clear text")


def nearby(host: str) -> bool:
    """Tells whether a host is this machine, or in the network of labs on it."""
    try:
        return any(ipaddress.ip_address(host) in network for network in _NEARBY)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _plugin_config(cluster: Mapping[str, Any]) -> Any:
    for extension in cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            return extension.get("extension")
    return None


def server_url(text: str, where: str, tls: bool) -> str:
    """Returns the URL of a server; without a scheme it is http, as for kubectl.

    kubectl then leaves out certificates and whom to trust without a word; where they are given, that is refused.
    """
    if not text:
        raise Unusable(f"{where} names no server")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    bare_path = "://" not in text and parts.path not in ("", "/")
    if not good or bare_path or any(c.isspace() for c in text):
        raise Unusable(f"the server of {where} is '{text}', which is neither a URL nor host:port")
    if tls and "://" not in text:
        raise Unusable(f"the server of {where} is '{text}' without a scheme, which means http; write https://{text}")
    if parts.username or parts.password:
        raise Unusable(f"the server of {where} has a user name or password in its URL; put them into the user entry")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _proxy(text: str, where: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    if parts.scheme not in PROXY_SCHEMES or not parts.hostname:
        shown = f"{parts.scheme}://…" if parts.scheme else "without a scheme"
        raise Unusable(
            f"proxy-url of {where} is {shown}; allowed: http://HOST:PORT and socks5://HOST:PORT"
            + (" (a proxy that speaks TLS itself is not supported)" if parts.scheme == "https" else "")
        )
    return text


def _user(entry: Entry, where: str, name: str) -> User:
    body = entry.body
    check_fields(body, USER_FIELDS, where)
    plugin = _plugin(entry, where) if body.get("exec") else None
    token, token_file = text_of(body, "token", where), text_of(body, "tokenFile", where)
    if any(c.isspace() for c in token):
        raise Unusable(f"token of {where} contains white space and would not be accepted")
    username, password = text_of(body, "username", where), text_of(body, "password", where)
    certificate, key = content_of(entry, "client-certificate", where), content_of(entry, "client-key", where)
    if bool(certificate) != bool(key):
        has, lacks = ("client-certificate", "client-key") if certificate else ("client-key", "client-certificate")
        raise Unusable(f"{where} has a {has}, but no {lacks}")
    if body.get("auth-provider"):
        if plugin:
            raise Unusable(f"{where} has both an auth-provider and an exec plugin; only one of them can apply")
        token = token or _provider_token(body["auth-provider"], where)
    if (token or token_file) and (username or password):
        raise Unusable(f"{where} has both a token and a user name or password; only one of them can apply")
    file = beside(entry, token_file) if token_file else None
    return User(
        name, token, file, username, password, certificate, key, plugin, _impersonation(body, where)
    )  # fmt: skip


def _provider_token(provider: Any, where: str) -> str:
    name = provider.get("name") if isinstance(provider, dict) else None
    config = (provider.get("config") or {}) if isinstance(provider, dict) else {}
    if name != "oidc":
        raise Unusable(
            f"{where} has the auth-provider '{name}', which kubectl no longer supports either; use the vendor's exec "
            "plugin"
        )
    if not config.get("id-token"):
        raise Unusable(f"{where} has the auth-provider 'oidc' without an id-token; log in, or use an exec plugin")
    if _expired(str(config["id-token"])):
        raise Unusable(
            f"the id-token of {where} (auth-provider 'oidc') has expired and is not renewed here; "
            "log in again, or use an exec plugin such as kubelogin"
        )
    return str(config["id-token"])


def _expired(token: str) -> bool:
    import json
    import time

    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims.get("exp", "inf")) <= time.time()
    except (IndexError, ValueError, TypeError, AttributeError):
        return False  # the server tells


def _impersonation(body: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    user, uid, groups = text_of(body, "as", where), text_of(body, "as-uid", where), texts_of(body, "as-groups", where)
    extra = body.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise Unusable(f"as-user-extra of {where} is not a table of lists")
    if (uid or groups or extra) and not user:
        raise Unusable(f"{where} has as-uid, as-groups or as-user-extra without 'as'")
    headers = [("Impersonate-User", user)] if user else []
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [("Impersonate-Group", group) for group in groups]
    for key in extra:
        escaped = "".join(chr(b) if b in _IN_NAMES else f"%{b:02X}" for b in str(key).lower().encode())
        headers += [(f"Impersonate-Extra-{escaped}", value) for value in texts_of(extra, key, where)]
    if any("\n" in value or "\r" in value for _, value in headers):
        raise Unusable(f"{where} impersonates a user whose name contains a line break")
    return tuple(headers)


def _plugin(entry: Entry, where: str) -> Plugin:
    body = entry.body["exec"]
    where = f"exec of {where}"
    if not isinstance(body, dict):
        raise Unusable(f"{where} is not a table with apiVersion and command")
    check_fields(body, EXEC_FIELDS, where)
    version, command = text_of(body, "apiVersion", where), text_of(body, "command", where)
    if not command:
        raise Unusable(f"{where} names no command")
    if version not in EXEC_VERSIONS:
        raise Unusable(f"apiVersion of {where} is '{version}'; allowed: {' and '.join(EXEC_VERSIONS)}")
    mode = text_of(body, "interactiveMode", where)
    if not mode and version == EXEC_VERSIONS[0]:
        raise Unusable(f"interactiveMode of {where} is missing; allowed: Never, IfAvailable and Always")
    if mode not in ("", "Never", "IfAvailable", "Always"):
        raise Unusable(f"interactiveMode of {where} is '{mode}'; allowed: Never, IfAvailable and Always")
    env = []
    for each in body.get("env") or []:
        if not isinstance(each, dict) or not each.get("name"):
            raise Unusable(f"env of {where} has an entry without a name")
        env.append((str(each["name"]), text_of(each, "value", f"env of {where}")))
    return Plugin(
        version,
        str(beside(entry, command)) if os.sep in command else command,
        tuple(texts_of(body, "args", where)),
        tuple(env),
        text_of(body, "installHint", where).strip(),
        {} if flag_of(body, "provideClusterInfo", where) else None,
        mode or "IfAvailable",
    )


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
