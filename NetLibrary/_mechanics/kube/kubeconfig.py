"""Kubeconfigs as kubectl reads them: which server, through what, and as whom.

Every field of the chosen cluster and user is honoured, or refused with a message; none is ignored, because a field that
is ignored means a run with other rights, or against another server, than asked for. The table is in docs/kubeconfig.md.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from NetLibrary._mechanics.errors import InputError

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
        return _resolve(_merged(files), origin, context)
    except _Unusable as error:
        raise InputError(f"The kubeconfig '{origin}'{wanted} is not usable: {str(error).rstrip('.')}.") from None


class _Unusable(Exception):
    pass


# --- reading ----------------------------------------------------------------------------------------------


@dataclass
class _Entry:
    """A named entry with the file that it is from, which relative paths in it refer to."""

    body: Mapping[str, Any]
    file: Path


@dataclass
class _Merged:
    current: str = ""
    clusters: dict[str, _Entry] = field(default_factory=dict)
    users: dict[str, _Entry] = field(default_factory=dict)
    contexts: dict[str, _Entry] = field(default_factory=dict)


def _merged(files: Sequence[Path]) -> _Merged:
    result = _Merged()
    for file in files:
        content = _document(file)
        result.current = result.current or _text(content, "current-context", f"'{file}'")
        for plural, singular, known in (
            ("clusters", "cluster", result.clusters),
            ("users", "user", result.users),
            ("contexts", "context", result.contexts),
        ):
            for name, body in _named(content, plural, singular, file).items():
                known.setdefault(name, _Entry(body, file))
    return result


def _document(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _Unusable(f"'{file}' cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:  # the parser's text would quote the file, with the secrets in it
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise _Unusable(f"'{file}' is no YAML{where}") from None
    if content is None:  # as for kubectl, an empty file is a kubeconfig without entries
        return {}
    if not isinstance(content, dict):
        raise _Unusable(f"'{file}' has no entries such as clusters, users and contexts")
    if content.get("kind", "Config") != "Config":
        raise _Unusable(f"'{file}' is a {content['kind']} and no kubeconfig")
    return content


def _named(content: Mapping[str, Any], plural: str, singular: str, file: Path) -> dict[str, Mapping[str, Any]]:
    entries = content.get(plural) or []
    if not isinstance(entries, list):
        raise _Unusable(f"'{plural}' of '{file}' is no list")
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        body = entry.get(singular) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(body, (dict, type(None))):
            raise _Unusable(f"'{plural}' of '{file}' has an entry which is none: it needs 'name' and '{singular}'")
        name = _text(entry, "name", f"an entry of '{plural}' in '{file}'")
        if name in found:
            raise _Unusable(f"'{plural}' of '{file}' has '{name}' twice")
        found[name] = body or {}
    return found


# --- resolving --------------------------------------------------------------------------------------------


def _resolve(known: _Merged, origin: str, context: str | None) -> Target:
    name = context or known.current
    if not name:
        raise _Unusable(f"it has no current-context; its contexts are {_list(known.contexts)}")
    if name not in known.contexts:
        word = "" if context else "its current-context is "
        raise _Unusable(f"{word}'{name}', which is no context of it; its contexts are {_list(known.contexts)}")
    entry = known.contexts[name]
    where = f"context '{name}'"
    cluster = _text(entry.body, "cluster", where)
    if not cluster:
        raise _Unusable(f"{where} names no cluster")
    if cluster not in known.clusters:
        raise _Unusable(f"{where} names the cluster '{cluster}', which is not in it; it has {_list(known.clusters)}")
    who = _text(entry.body, "user", where)
    if who and who not in known.users:
        raise _Unusable(f"{where} names the user '{who}', which is not in it; it has {_list(known.users)}")
    return _target(
        known.clusters[cluster], known.users[who] if who else _Entry({}, entry.file), name, cluster, who, origin,
        _text(entry.body, "namespace", where),
    )  # fmt: skip


def _target(
    cluster: _Entry, user: _Entry, context: str, cluster_name: str, user_name: str, origin: str, namespace: str
) -> Target:
    where = f"cluster '{cluster_name}'"
    _only(cluster.body, CLUSTER_FIELDS, where)
    authority = _file_or_data(cluster, "certificate-authority", where)
    insecure = _flag(cluster.body, "insecure-skip-tls-verify", where)
    if insecure and authority:
        raise _Unusable(f"{where} has a certificate-authority and insecure-skip-tls-verify; only one of them can count")
    proxy = _proxy(_text(cluster.body, "proxy-url", where), where)
    name = _text(cluster.body, "tls-server-name", where)
    found = _user(user, f"user '{user_name}'", user_name)
    server = server_url(_text(cluster.body, "server", where), where, bool(authority or found.certificate or insecure))
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
    """Refuses credentials that would travel in clear, and none where kubectl would ask for a user name."""
    proof = bool(user.token or user.token_file or user.username or user.password or user.plugin)
    if server.startswith("https://"):
        if not proof and not user.certificate:
            raise _Unusable(f"{who} has no credentials, and nobody is asked as anonymous")
    elif proof and not nearby(urlsplit(server).hostname or ""):
        raise _Unusable(f"the server of {where} is '{server}': the credentials of {who} would travel in clear")


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
    """Returns the URL of a server as kubectl completes it: without a scheme it is https when TLS is configured."""
    if not text:
        raise _Unusable(f"{where} names no server")
    parts = urlsplit(text if "://" in text else f"{'https' if tls else 'http'}://{text}")
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    bare_path = "://" not in text and parts.path not in ("", "/")
    if not good or bare_path or any(c.isspace() for c in text):
        raise _Unusable(f"the server of {where} is '{text}', which is no URL and no host:port")
    if parts.username or parts.password:
        raise _Unusable(f"the server of {where} has a user name or password in its URL; put them into the user")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _proxy(text: str, where: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    if parts.scheme not in PROXY_SCHEMES or not parts.hostname:
        shown = f"{parts.scheme}://…" if parts.scheme else "without a scheme"
        raise _Unusable(
            f"proxy-url of {where} is {shown}; allowed are http://HOST:PORT and socks5://HOST:PORT"
            + (" (a proxy that speaks TLS itself is not supported)" if parts.scheme == "https" else "")
        )
    return text


def _user(entry: _Entry, where: str, name: str) -> User:
    body = entry.body
    _only(body, USER_FIELDS, where)
    plugin = _plugin(entry, where) if body.get("exec") else None
    token, token_file = _text(body, "token", where), _text(body, "tokenFile", where)
    username, password = _text(body, "username", where), _text(body, "password", where)
    certificate, key = _file_or_data(entry, "client-certificate", where), _file_or_data(entry, "client-key", where)
    if bool(certificate) != bool(key):
        has, lacks = ("client-certificate", "client-key") if certificate else ("client-key", "client-certificate")
        raise _Unusable(f"{where} has a {has}, but no {lacks}")
    if body.get("auth-provider"):
        if plugin:
            raise _Unusable(f"{where} has an auth-provider and an exec plugin; only one of them can count")
        token = token or _provider_token(body["auth-provider"], where)
    if (token or token_file) and (username or password):
        raise _Unusable(f"{where} has a token and a user name or password; only one of them can count")
    file = _beside(entry, token_file) if token_file else None
    return User(
        name, token, file, username, password, certificate, key, plugin, _impersonation(body, where)
    )  # fmt: skip


def _provider_token(provider: Any, where: str) -> str:
    name = provider.get("name") if isinstance(provider, dict) else None
    config = (provider.get("config") or {}) if isinstance(provider, dict) else {}
    if name != "oidc":
        raise _Unusable(
            f"{where} has the auth-provider '{name}', which kubectl has given up, too; use the vendor's exec plugin"
        )
    if not config.get("id-token"):
        raise _Unusable(f"{where} has the auth-provider 'oidc' without an id-token; log in, or use an exec plugin")
    if _expired(str(config["id-token"])):
        raise _Unusable(
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
    user, uid, groups = _text(body, "as", where), _text(body, "as-uid", where), _texts(body, "as-groups", where)
    extra = body.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise _Unusable(f"as-user-extra of {where} is no table of lists")
    if (uid or groups or extra) and not user:
        raise _Unusable(f"{where} has as-uid, as-groups or as-user-extra without 'as'")
    headers = [("Impersonate-User", user)] if user else []
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [("Impersonate-Group", group) for group in groups]
    for key in extra:
        escaped = "".join(c if c.isalnum() or c in "-_.!#$&'*+^`|~" else f"%{ord(c):02X}" for c in str(key).lower())
        headers += [(f"Impersonate-Extra-{escaped}", value) for value in _texts(extra, key, where)]
    if any("\n" in value or "\r" in value for _, value in headers):
        raise _Unusable(f"{where} impersonates somebody whose name has a line break")
    return tuple(headers)


def _plugin(entry: _Entry, where: str) -> Plugin:
    body = entry.body["exec"]
    where = f"exec of {where}"
    if not isinstance(body, dict):
        raise _Unusable(f"{where} is no table with apiVersion and command")
    _only(body, EXEC_FIELDS, where)
    version, command = _text(body, "apiVersion", where), _text(body, "command", where)
    if not command:
        raise _Unusable(f"{where} names no command")
    if version not in EXEC_VERSIONS:
        raise _Unusable(f"apiVersion of {where} is '{version}'; allowed are {' and '.join(EXEC_VERSIONS)}")
    mode = _text(body, "interactiveMode", where)
    if not mode and version == EXEC_VERSIONS[0]:
        raise _Unusable(f"interactiveMode of {where} is missing; allowed are Never, IfAvailable and Always")
    if mode not in ("", "Never", "IfAvailable", "Always"):
        raise _Unusable(f"interactiveMode of {where} is '{mode}'; allowed are Never, IfAvailable and Always")
    env = []
    for each in body.get("env") or []:
        if not isinstance(each, dict) or not each.get("name"):
            raise _Unusable(f"env of {where} has an entry without a name")
        env.append((str(each["name"]), _text(each, "value", f"env of {where}")))
    return Plugin(
        version,
        str(_beside(entry, command)) if os.sep in command else command,
        tuple(_texts(body, "args", where)),
        tuple(env),
        _text(body, "installHint", where).strip(),
        {} if _flag(body, "provideClusterInfo", where) else None,
        mode or "IfAvailable",
    )


# --- fields -----------------------------------------------------------------------------------------------


def _only(body: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(str(key) for key in body if key not in known)
    if unknown:
        raise _Unusable(f"{where} has the field '{unknown[0]}', which is unknown; known are {', '.join(sorted(known))}")


def _text(body: Mapping[Any, Any], key: Any, where: str) -> str:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise _Unusable(f"{key} of {where} is no text; put it into quotes")
    return value or ""


def _texts(body: Mapping[Any, Any], key: Any, where: str) -> list[str]:
    values = body.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _Unusable(f"{key} of {where} is no list of texts")
    return values


def _flag(body: Mapping[str, Any], key: str, where: str) -> bool:
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise _Unusable(f"{key} of {where} is neither true nor false")
    return bool(value)


def _file_or_data(entry: _Entry, key: str, where: str) -> str:
    file, data = _text(entry.body, key, where), _text(entry.body, f"{key}-data", where)
    if file and data:
        raise _Unusable(f"{where} has {key} and {key}-data; only one of them can count")
    try:
        if data:
            return base64.b64decode("".join(data.split()), validate=True).decode()
        return _beside(entry, file).read_text() if file else ""
    except (binascii.Error, UnicodeDecodeError):
        raise _Unusable(f"{key}{'-data' if data else ''} of {where} is no base64 of a PEM text") from None
    except OSError as error:
        raise _Unusable(f"{key} of {where} is '{_beside(entry, file)}': {error.strerror}") from None


def _beside(entry: _Entry, path: str) -> Path:
    return entry.file.absolute().parent / path


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
