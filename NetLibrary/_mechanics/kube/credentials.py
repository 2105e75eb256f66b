"""Headers and client certificates that say who we are, renewed in time. No secret gets into a message."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.kube import times
from NetLibrary._mechanics.kube.kubeconfig import Plugin, Target
from NetLibrary._mechanics.kube.kubeconfig_files import parsed
from NetLibrary._mechanics.secrets import tail

# Tokens that a file holds are renewed by somebody else; kubectl reads such a file again after the same time
READ_AGAIN = 60.0
PLUGIN_LIMIT = 60.0


@dataclass(frozen=True)
class Credential:
    """What proves who we are, until a time.

    Args:
        authorization: Value of the header; empty without one.
        certificate: Client certificate, PEM.
        key: Its key, PEM.
        until: `time.monotonic` after which it is fetched anew; None for ever.
    """

    authorization: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    until: float | None = None


class Credentials:
    """The credentials of one user. Safe to use from several threads.

    Args:
        target: Who, and which cluster a plugin is told about.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._user = target.user
        self._lock = threading.Lock()
        self._held: Credential | None = None
        self.impersonate = target.user.impersonate
        user = target.user
        secrets.learn(user.token, user.password, user.key, urlsplit(target.proxy).password)
        if user.plugin is not None:
            secrets.learn_environment(dict(user.plugin.env))

    def get(self) -> Credential:
        """Returns what to send now; fetches it anew when its time is over.

        Raises:
            EnvironmentProblem: The plugin did not give any, or the token's file has none; never something expired.
        """
        with self._lock:
            held = self._held
            if held is None or (held.until is not None and time.monotonic() >= held.until):
                self._held = None
                held = self._held = self._fetch()
                secrets.learn(held.authorization.partition(" ")[2], held.key, self._user.password)
            return held

    def rejected(self, used: Credential) -> bool:
        """Takes note that the server did not accept a credential; tells whether there is another one now."""
        with self._lock:
            if self._held is used:
                if self._user.plugin is None and self._user.token_file is None:
                    return False
                self._held = None
        fresh = self.get()
        return (fresh.authorization, fresh.certificate) != (used.authorization, used.certificate)

    def _fetch(self) -> Credential:
        user = self._user
        if user.token_file is not None:
            return Credential(f"Bearer {self._read(user.token_file)}", user.certificate, user.key, _after(READ_AGAIN))
        if user.token:
            return Credential(f"Bearer {user.token}", user.certificate, user.key)
        if user.username or user.password:
            pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
            return Credential(f"Basic {pair}", user.certificate, user.key)
        if user.plugin is not None and not user.certificate:  # kubectl runs none beside a certificate, either
            return run_plugin(user.plugin, f"user '{user.name}' of '{self._target.origin}'")
        return Credential("", user.certificate, user.key)

    def _read(self, file: Path) -> str:
        try:
            token = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            if self._user.token:  # as for kubectl, the token beside it then counts
                return self._user.token
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise EnvironmentProblem(f"The token's file '{file}' cannot be read: {why}.") from None
        if not token and self._user.token:
            return self._user.token
        if not token or any(c.isspace() or not c.isprintable() for c in token):
            what = "is empty" if not token else "holds more than one line or word"
            raise EnvironmentProblem(f"The token's file '{file}' {what}.")
        return token


# --- plugins ----------------------------------------------------------------------------------------------


def run_plugin(plugin: Plugin, whose: str) -> Credential:
    """Runs a credential plugin as kubectl does, without a terminal.

    Raises:
        EnvironmentProblem: It is missing, failed, or gave no credential; the text has its own words from standard
            error, never what it printed.
    """
    name = f"The credential plugin '{plugin.command}' ({whose})"
    if plugin.interactive == "Always":
        raise EnvironmentProblem(f"{name} needs a terminal (interactiveMode Always), and there is none.")
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    told = json.dumps(info, separators=(",", ":"))  # as kubectl writes it: plugins in shell look for texts
    try:
        done = subprocess.run(
            [plugin.command, *plugin.args],
            env={**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": told},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PLUGIN_LIMIT,
            check=False,
        )
    except FileNotFoundError:
        raise EnvironmentProblem(f"{name} is not installed.{_hint(plugin)}") from None
    except PermissionError:
        raise EnvironmentProblem(f"{name} is not executable.{_hint(plugin)}") from None
    except OSError as error:
        raise EnvironmentProblem(f"{name} cannot be started: {error.strerror}.{_hint(plugin)}") from None
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(f"{name} did not end within {PLUGIN_LIMIT:g} s{_said(error.stderr)}.") from None
    if done.returncode:
        how = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        raise EnvironmentProblem(f"{name} failed with {how}{_said(done.stderr)}.{_hint(plugin)}")
    return _credential(done.stdout, plugin, name)


def _credential(printed: bytes, plugin: Plugin, name: str) -> Credential:
    try:
        answer = parsed(printed)
        kind, version = answer.get("kind", "ExecCredential"), answer.get("apiVersion")
    except (ValueError, AttributeError):  # what it printed may hold a secret
        raise EnvironmentProblem(f"{name} printed no ExecCredential in JSON or YAML.") from None
    if kind != "ExecCredential" or version != plugin.api_version:
        raise EnvironmentProblem(
            f"{name} answered with {kind or 'no kind'} of {version or 'no version'}; "
            f"the kubeconfig wants ExecCredential of {plugin.api_version}."
        )
    status = answer.get("status")
    if not isinstance(status, Mapping):
        raise EnvironmentProblem(f"{name} returned no status, and so no credential.")
    token, certificate, key = (status.get(field) or "" for field in ("token", "clientCertificateData", "clientKeyData"))
    if not all(isinstance(each, str) for each in (token, certificate, key)):
        raise EnvironmentProblem(f"{name} returned a token, certificate or key that is not text.")
    if any(c.isspace() for c in token):
        raise EnvironmentProblem(f"{name} returned a token that contains white space.")
    if bool(certificate) != bool(key):
        raise EnvironmentProblem(f"{name} returned only a certificate or only a key.")
    if not token and not certificate:
        raise EnvironmentProblem(f"{name} returned neither a token nor a certificate.")
    expires = status.get("expirationTimestamp")
    until = None
    if expires:
        moment = times.seconds(expires)
        if moment is None:
            raise EnvironmentProblem(f"{name} returned an expirationTimestamp that is not a time.")
        until = _after(moment - time.time())
    return Credential(f"Bearer {token}" if token else "", certificate, key, until)


def _after(seconds: float) -> float:
    return time.monotonic() + seconds


def _hint(plugin: Plugin) -> str:
    return f" The kubeconfig says: {' '.join(plugin.install_hint.split())}" if plugin.install_hint else ""


def _said(stderr: bytes | None) -> str:
    words = " ".join((stderr or b"").decode(errors="replace").split())
    return f": {tail(words, 500).rstrip('.')}" if words else " and said nothing"
