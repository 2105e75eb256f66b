"""HTTP to one API server: credentials, time limits, and errors that read like sentences."""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.choice import Choice

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
# A server that restarts refuses connections for a moment; within this time reads are repeated, and writes that
# certainly never left.
RECONNECT_FOR = 3.0
# A server that is overloaded refuses before it does anything, and says when to come again; all may be repeated then.
BUSY_FOR = 15.0
# Networks that no proxy leads to: this machine, and the one that labs on this machine use (RFC 2544)
_NEARBY = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"), ipaddress.ip_network("198.18.0.0/15"))

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
        if self.configuration.proxy and not _leads_there(self.configuration, self.server):
            self.configuration.proxy = None
        self.configuration.keep_alive = True  # a path that died silently must not keep a watch for ever
        try:
            if self.server.startswith("https"):
                self.tls()  # or else unusable certificates would show at the first request, as a dead server
            self.http = RESTClientObject(self.configuration).pool_manager
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ":".join(map(str, choice.kubeconfig)) or choice.source
            raise errors.InputError(
                f"The kubeconfig '{files}' is not usable: its certificates cannot be read: {cause(error)}."
            ) from error

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
            data = self._read(response, method, path)
        finally:
            response.release_conn()
        text = data.decode(errors="replace")
        if "json" not in response.headers.get("Content-Type", ""):
            return text
        try:
            return json.loads(text)
        except ValueError as error:
            raise self._nonsense(method, path, text) from error

    def request_object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Sends one request as `request` does, where only an object is an answer.

        Raises:
            errors.ClusterError: Somebody else answered, for instance a proxy with a page to log in.
        """
        answer = self.request(method, path, **options)
        if not isinstance(answer, dict):
            raise self._nonsense(method, path, str(answer))
        return answer

    def _nonsense(self, method: str, path: str, text: str) -> errors.ClusterError:
        return errors.ClusterError(
            f"Cluster '{self.alias}' at {self.server} answered {method} {path} with something "
            f"which is no answer of Kubernetes: {_plain(text)[:200] or 'nothing'}."
        )

    def _read(self, response: BaseHTTPResponse, method: str, path: str) -> bytes:
        import urllib3

        try:
            return response.read()
        # Nothing wider: Robot's stop signal is an ordinary Exception, raised wherever we happen to be
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(method, path, error) from error

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
        start = time.monotonic()
        while True:
            try:
                response = self._send(method, self.url(path, query), headers, data, timeout)
            except errors.Unreachable as error:
                repeatable = method == "GET" or not error.sent
                if not repeatable or time.monotonic() >= start + RECONNECT_FOR:
                    raise
                time.sleep(0.25)
                continue
            if response.status < 300:
                return response
            pause = _retry_after(response)
            try:
                text = self._read(response, method, path).decode(errors="replace")
            finally:
                response.release_conn()
            if response.status == 429 and pause is not None and time.monotonic() + pause < start + BUSY_FOR:
                time.sleep(pause)
                continue
            if response.status < 400:
                text = f"a redirection to '{response.headers.get('Location', '?')}'"
            raise self._refused(method, path, response.status, text)

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
            never_sent = isinstance(
                error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
            )
            raise self._unreachable(method, url.removeprefix(self.server), error, sent=not never_sent) from error
        return response

    def _unreachable(self, method: str, path: str, error: BaseException, *, sent: bool = True) -> errors.Unreachable:
        return errors.Unreachable(
            f"Cluster '{self.alias}' at {self.server} did not answer {method} {path.partition('?')[0]}: "
            f"{cause(error)}.",
            sent=sent,
        )

    def _refused(self, method: str, path: str, status: int, text: str) -> errors.ClusterError:
        message, reason = _plain(text)[:500] or "no reason given", ""
        try:
            body = json.loads(text)
            message, reason = body.get("message") or message, body.get("reason") or ""
        except (ValueError, AttributeError):
            pass
        kind = _BY_STATUS.get(status, errors.ClusterError)
        if reason == "AlreadyExists":
            kind = errors.AlreadyExists
        return kind(
            f"Cluster '{self.alias}' answered {method} {path} with {status} {reason or _phrase(status)}: "
            f"{message.rstrip('.')}.",
            status=status,
            reason=reason,
        )

    def tls(self) -> ssl.SSLContext:
        """Returns the trust and the client certificate of the kubeconfig, for connections besides `http`."""
        from urllib3.util.ssl_ import create_urllib3_context

        c = self.configuration
        context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if c.verify_ssl else ssl.CERT_NONE)
        context.check_hostname = bool(c.verify_ssl and c.assert_hostname is not False)
        if c.ssl_ca_cert:
            context.load_verify_locations(cafile=c.ssl_ca_cert)
        elif c.verify_ssl:
            context.load_default_certs()
        if c.cert_file:
            context.load_cert_chain(c.cert_file, c.key_file)
        return context


def _load(choice: Choice, configuration: Any) -> str:
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException
    from yaml import YAMLError

    try:
        if choice.source == "in-cluster":
            config.load_incluster_config(client_configuration=configuration)
            return "in-cluster"
        files = ":".join(str(path) for path in choice.kubeconfig)
        config.load_kube_config(files, context=choice.context, client_configuration=configuration)
        return choice.context or _current_context(files)
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError, YAMLError) as error:
        where = ":".join(str(path) for path in choice.kubeconfig) or choice.source
        wanted = f" with context '{choice.context}'" if choice.context else ""
        raise errors.InputError(f"The kubeconfig '{where}'{wanted} is not usable: {cause(error)}.") from error


def _current_context(files: str) -> str:
    from kubernetes import config

    return str(config.list_kube_config_contexts(files)[1]["name"])


def kubeconfig_dict(path: Path) -> dict[str, Any]:
    """Reads a kubeconfig as data."""
    import yaml

    loaded = yaml.safe_load(path.read_text())
    return loaded if isinstance(loaded, dict) else {}


def _leads_there(configuration: Any, server: str) -> bool:
    """Tells whether requests to the server go through the configured proxy.

    A kubeconfig's own `proxy-url` always counts; the environment's proxies do not for NO_PROXY and nearby servers.
    """
    from kubernetes.client.rest import should_bypass_proxies

    if configuration.proxy not in getproxies().values():
        return True
    host = urlsplit(server).hostname or ""
    try:
        nearby = any(ipaddress.ip_address(host) in network for network in _NEARBY)
    except ValueError:
        nearby = host == "localhost"
    return not nearby and not should_bypass_proxies(server, configuration.no_proxy or "")


def _retry_after(response: BaseHTTPResponse) -> float | None:
    """Returns the seconds after which a refused request may be sent again, None where the server did not say."""
    value = str(response.headers.get("Retry-After", ""))
    return max(0.1, float(value)) if value.isdigit() else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"


def _plain(text: str) -> str:
    """Returns a text, or what a reader of a web page sees of it, in one line."""
    if text.lstrip().startswith("<"):
        text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)
    return " ".join(text.split())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def cause(error: BaseException) -> str:
    """Digs the plain words out of urllib3's nested errors."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        error = reason
    while error.args and isinstance(error.args[-1], BaseException):  # ('Connection aborted.', ConnectionResetError(…))
        error = error.args[-1]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    # "<HTTPSConnection(...) at 0x…>: Failed to establish…" and "HTTPSConnectionPool(host=…): Read timed out…"
    if text.startswith(("<", "HTTP")) and ": " in text:
        text = text.split(": ", 1)[1]
    return text.rstrip(".")
