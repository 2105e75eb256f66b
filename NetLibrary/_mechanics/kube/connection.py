"""HTTP to one API server: credentials, time limits, and errors that read like sentences."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.choice import Choice

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
# A server that restarts refuses connections for a moment; reads are repeated within this time, writes never are.
RECONNECT_FOR = 3.0

_BY_STATUS = {
    400: errors.Invalid,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Expired,
    422: errors.Invalid,
    429: errors.TooManyRequests,
}


class Connection:
    """One API server with the credentials for it.

    Args:
        choice: Which cluster.
        alias: Name of the cluster in messages.

    Raises:
        errors.InputError: The kubeconfig is not readable or lacks the context.
    """

    def __init__(self, choice: Choice, alias: str = "default") -> None:
        from kubernetes.client.configuration import Configuration
        from kubernetes.client.rest import RESTClientObject

        self.alias = alias
        self.choice = choice
        self.configuration = Configuration()
        # Configuration reads SSL settings of the environment for its own use only; a cluster's CA is in its kubeconfig
        self.configuration.connection_pool_maxsize = 64
        self.configuration.retries = False
        self.context = _load(choice, self.configuration)
        self.server = str(self.configuration.host).rstrip("/")
        self.http = RESTClientObject(self.configuration).pool_manager

    def headers(self) -> dict[str, str]:
        """Returns the headers that identify us; tokens are renewed here where the kubeconfig says how."""
        result = {"User-Agent": "NetLibrary", "Accept": "application/json"}
        settings: dict[str, Any] = dict(self.configuration.auth_settings())
        for setting in settings.values():
            if setting["in"] == "header" and setting["value"]:
                result[setting["key"]] = setting["value"]
        return result

    def url(self, path: str, query: dict[str, Any] | list[tuple[str, Any]] | None = None) -> str:
        """Returns the address of an API path with its query, None values left out."""
        pairs = list(query.items()) if isinstance(query, dict) else list(query or [])
        kept = [(key, _text(value)) for key, value in pairs if value is not None]
        return self.server + quote(path, safe="/:%") + (f"?{urlencode(kept)}" if kept else "")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> Any:
        """Sends one request and returns the decoded answer (dict for JSON, else text).

        Raises:
            errors.ClusterError: The server said no, or there was no answer (`Unreachable`).
        """
        response = self.open(method, path, query=query, body=body, content_type=content_type, timeout=timeout)
        try:
            data = response.read()
        except Exception as error:
            raise self._unreachable(method, path, error) from error
        finally:
            response.release_conn()
        if "json" in response.headers.get("Content-Type", ""):
            return json.loads(data)
        return data.decode(errors="replace")

    def open(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> BaseHTTPResponse:
        """Sends one request and returns the unread response, for watches and logs that are followed."""
        headers = self.headers()
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        give_up = time.monotonic() + (RECONNECT_FOR if method == "GET" else 0)
        while True:
            try:
                response = self._send(method, self.url(path, query), headers, data, timeout)
                break
            except errors.Unreachable:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(0.25)
        if response.status >= 400:
            try:
                text = response.read().decode(errors="replace")
            finally:
                response.release_conn()
            raise self._refused(method, path, response.status, text)
        return response

    def _send(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None, timeout: float | None
    ) -> BaseHTTPResponse:
        import urllib3

        limit = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT if timeout is None else timeout)
        try:
            response: BaseHTTPResponse = self.http.request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=limit,
                preload_content=False,
                retries=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(method, url.removeprefix(self.server), error) from error
        return response

    def _unreachable(self, method: str, path: str, error: BaseException) -> errors.Unreachable:
        return errors.Unreachable(
            f"Cluster '{self.alias}' at {self.server} did not answer {method} {path.partition('?')[0]}: "
            f"{_cause(error)}."
        )

    def _refused(self, method: str, path: str, status: int, text: str) -> errors.ClusterError:
        message, reason = text.strip()[:500], ""
        try:
            body = json.loads(text)
            message, reason = body.get("message") or message, body.get("reason") or ""
        except (ValueError, AttributeError):
            pass
        kind = _BY_STATUS.get(status, errors.ClusterError)
        if reason == "AlreadyExists":
            kind = errors.AlreadyExists
        return kind(
            f"Cluster '{self.alias}' answered {method} {path} with {status} {reason or 'error'}: "
            f"{message.rstrip('.')}.",
            status=status,
            reason=reason,
        )

    def ssl_options(self) -> dict[str, Any]:
        """Returns websocket-client's `sslopt` for the same trust and client certificate."""
        c = self.configuration
        if not self.server.startswith("https"):
            return {}
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if c.verify_ssl else ssl.CERT_NONE}
        if c.ssl_ca_cert:
            options["ca_certs"] = c.ssl_ca_cert
        elif getattr(c, "ca_cert_data", None):
            context = ssl.create_default_context(cadata=c.ca_cert_data)
            options = {"context": context}
        if c.cert_file and "context" in options:
            options["context"].load_cert_chain(c.cert_file, c.key_file)
        elif c.cert_file:
            options.update(certfile=c.cert_file, keyfile=c.key_file)
        if c.tls_server_name:
            options["server_hostname"] = c.tls_server_name
        if not c.verify_ssl or c.assert_hostname is False:
            options["check_hostname"] = False
        return options


def _load(choice: Choice, configuration: Any) -> str:
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    try:
        if choice.source == "in-cluster":
            config.load_incluster_config(client_configuration=configuration)
            return "in-cluster"
        files = ":".join(str(path) for path in choice.kubeconfig)
        config.load_kube_config(files, context=choice.context, client_configuration=configuration)
        return choice.context or _current_context(files)
    except (ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
        where = ":".join(str(path) for path in choice.kubeconfig) or choice.source
        wanted = f" with context '{choice.context}'" if choice.context else ""
        raise errors.InputError(f"The kubeconfig '{where}'{wanted} is not usable: {_cause(error)}.") from error
    except Exception as error:  # yaml's errors have no common ancestor with the ones above
        raise errors.InputError(
            f"The kubeconfig '{':'.join(map(str, choice.kubeconfig))}' is not valid YAML: {_cause(error)}."
        ) from error


def _current_context(files: str) -> str:
    from kubernetes import config

    return str(config.list_kube_config_contexts(files)[1]["name"])


def kubeconfig_dict(path: Path) -> dict[str, Any]:
    """Reads a kubeconfig as data."""
    import yaml

    loaded = yaml.safe_load(path.read_text())
    return loaded if isinstance(loaded, dict) else {}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cause(error: BaseException) -> str:
    """Digs the plain words out of urllib3's nested errors."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        error = reason
    text = " ".join(str(error).split()) or type(error).__name__
    # "<HTTPSConnection(...) at 0x…>: Failed to establish…" and "HTTPSConnectionPool(host=…): Read timed out…"
    if text.startswith(("<", "HTTP")) and ": " in text:
        text = text.split(": ", 1)[1]
    return text.rstrip(".")
