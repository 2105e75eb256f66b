"""The way to an API server: trust, client certificates and proxies, for requests and for commands alike."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import ipaddress
import os
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube.credentials import Credential
from NetLibrary._mechanics.kube.kubeconfig import Target, nearby

if TYPE_CHECKING:
    from urllib3 import PoolManager

CONNECT_TIMEOUT = 5.0
# How often other libraries' clients try again, and the first pause: half a minute for a server that restarts
RETRIES, BACKOFF = 6, 0.5
POOL_SIZE = 64


class Unreadable(Exception):
    """Certificates or keys are not usable."""


def proxy_for(target: Target, environment: Mapping[str, str] | None = None) -> str:
    """Returns the proxy that leads to a server, or an empty text.

    The kubeconfig's own always counts, as for kubectl. HTTPS_PROXY and HTTP_PROXY of the environment do not for what
    NO_PROXY names, and for this machine.
    """
    if target.proxy:
        return target.proxy
    env = os.environ if environment is None else environment
    parts = urlsplit(target.server)
    names = (f"{parts.scheme.upper()}_PROXY", f"{parts.scheme}_proxy")
    proxy = next((env[name] for name in names if env.get(name)), "")
    if not proxy or nearby(parts.hostname or ""):
        return ""
    no_proxy = env.get("NO_PROXY") or env.get("no_proxy") or ""
    if _excepted(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), no_proxy):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _excepted(host: str, port: int, no_proxy: str) -> bool:
    """Tells whether NO_PROXY names a host, by the rules of Go's programs."""
    for entry in (each.strip().lower() for each in no_proxy.split(",")):
        if not entry:
            continue
        if entry == "*":
            return True
        name, _, number = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        name = name or entry
        if number and number.isdigit() and int(number) != port:
            continue
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(name.strip("[]"), strict=False):
                return True
        except ValueError:
            bare = name.removeprefix("*").removeprefix(".")
            if host.lower().endswith("." + bare) or (host.lower() == bare and not name.startswith((".", "*"))):
                return True
    return False


def tls_context(target: Target, credential: Credential) -> ssl.SSLContext:
    """Returns the trust of a cluster and the client certificate of its user.

    Raises:
        Unreadable: A certificate or key is none, or the key has a pass phrase.
    """
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if target.verify else ssl.CERT_NONE)
    context.check_hostname = target.verify
    try:
        if target.authority:
            context.load_verify_locations(cadata=target.authority)
        elif target.verify:
            context.load_default_certs()
    except (ssl.SSLError, ValueError) as error:
        raise Unreadable(f"the certificate-authority is not a certificate ({_words(error)})") from None
    if credential.certificate:
        # OpenSSL reads files only. A run that is killed must not leave the key in one, so they go at once.
        with _passing(credential.certificate) as certificate, _passing(credential.key) as key:
            try:
                # Without a function for it, an encrypted key would make OpenSSL ask at the terminal
                context.load_cert_chain(certificate, key, password=_no_pass_phrase)
            except (ssl.SSLError, OSError, ValueError) as error:
                raise Unreadable(f"the client certificate and its key are not usable ({_words(error)})") from None
    return context


def _no_pass_phrase() -> str:
    raise ValueError("the key has a pass phrase")


def _words(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)


def pool(target: Target, credential: Credential) -> PoolManager:
    """Returns a pool of connections to a server.

    Raises:
        InputError: The way needs a package that is not installed.
        Unreadable: Certificates are not usable.
    """
    import urllib3
    from urllib3.connection import HTTPConnection

    options: dict[str, Any] = {
        "maxsize": POOL_SIZE,
        # a path that died silently must not keep a watch for ever
        "socket_options": [*HTTPConnection.default_socket_options, *_keep_alive()],
    }
    if target.server.startswith("https"):
        options["ssl_context"] = tls_context(target, credential)
        if target.server_name:
            options["server_hostname"] = target.server_name
    proxy = proxy_for(target)
    if not proxy:
        return _telling_handshakes(urllib3.PoolManager(**options))
    if urlsplit(proxy).scheme.startswith("socks"):
        _socks(proxy)
        from urllib3.contrib.socks import SOCKSProxyManager

        # as for kubectl, names are looked up by the proxy
        return SOCKSProxyManager(proxy.replace("socks5://", "socks5h://", 1), **options)
    parts = urlsplit(proxy)
    headers = None
    if parts.username:
        headers = urllib3.make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return _telling_handshakes(urllib3.ProxyManager(bare, proxy_headers=headers, **options))


def _telling_handshakes(pools: PoolManager) -> PoolManager:
    """Lets a TLS handshake that broke off be told from an answer that did: nothing was asked yet.

    A server that is about to end, or to begin, takes connections and does not answer them.
    """
    from urllib3.connection import HTTPSConnection
    from urllib3.connectionpool import HTTPSConnectionPool
    from urllib3.exceptions import NewConnectionError

    class Connection(HTTPSConnection):
        def connect(self) -> None:
            try:
                super().connect()
            except TimeoutError as error:
                raise NewConnectionError(self, f"no TLS handshake within {CONNECT_TIMEOUT:g} s") from error
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                raise NewConnectionError(self, error.strerror or str(error)) from error

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    pools.pool_classes_by_scheme = {**pools.pool_classes_by_scheme, "https": Pool}
    return pools


def _keep_alive() -> list[tuple[int, int, int]]:
    wanted = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            wanted.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return wanted


def _socks(proxy: str) -> Any:
    try:
        import socks
    except ImportError:
        host = urlsplit(proxy).hostname
        raise InputError(
            f"The connection to the cluster goes through the SOCKS proxy '{host}', which needs the package PySocks: "
            "pip install 'netlibrary[socks]'."
        ) from None
    return socks


def websocket_way(target: Target, credential: Credential) -> dict[str, Any]:
    """Returns websocket-client's options for the way to a server: a socket of our own, or a proxy.

    Left alone the package would take a proxy of the environment, whatever the kubeconfig says.
    """
    secure = target.server.startswith("https")
    server = urlsplit(target.server)
    host, port = server.hostname or "", server.port or (443 if secure else 80)
    name = target.server_name or host
    proxy = proxy_for(target)
    parts = urlsplit(proxy)
    if proxy and not parts.scheme.startswith("socks"):
        return {
            "sslopt": {"context": tls_context(target, credential), "server_hostname": name} if secure else {},
            "http_proxy_host": parts.hostname,
            "http_proxy_port": parts.port or 80,
            "http_proxy_auth": (unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
            "http_no_proxy": ["no-host.invalid"],  # an empty list would mean the environment's
            "proxy_type": "http",
        }
    if proxy:
        socks = _socks(proxy)
        sock = socks.create_connection(
            (host, port), timeout=CONNECT_TIMEOUT, proxy_type=socks.SOCKS5, proxy_addr=parts.hostname,
            proxy_port=parts.port or 1080, proxy_rdns=True, proxy_username=unquote(parts.username or "") or None,
            proxy_password=unquote(parts.password or "") or None,
        )  # fmt: skip
    else:
        sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    if not secure:
        return {"socket": sock}
    try:
        return {"socket": tls_context(target, credential).wrap_socket(sock, server_hostname=name)}
    except BaseException:
        sock.close()
        raise


# --- files for other libraries ------------------------------------------------------------------------------

_paths: dict[str, Path] = {}
_writing = threading.Lock()


@contextlib.contextmanager
def _passing(text: str) -> Iterator[Path]:
    """Gives a file with a text, which is gone afterwards."""
    handle = _in_memory(text)
    if handle is None:
        with tempfile.TemporaryDirectory(prefix="netlibrary-") as folder:
            yield _in_folder(text, Path(folder))
        return
    try:
        yield _path_of(handle)
    finally:
        os.close(handle)


def _lasting(text: str) -> Path:
    """Returns a file with a text, which is there as long as this process, however it ends."""
    with _writing:
        if text not in _paths:
            handle = _in_memory(text)
            _paths[text] = _in_folder(text, _private()) if handle is None else _path_of(handle)
        return _paths[text]


def _in_memory(text: str) -> int | None:
    """Returns a file that only this process has, and that ends with it; None where the system has no such files."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        handle = os.memfd_create("netlibrary")
    except OSError:
        return None
    with open(handle, "w", closefd=False) as file:
        file.write(text)
    if os.access(_path_of(handle), os.R_OK):
        return handle
    os.close(handle)
    return None


def _path_of(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}")


def _private() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="netlibrary-"))  # readable by its owner only
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _in_folder(text: str, folder: Path) -> Path:
    path = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)
    return path


def authority_file(target: Target) -> Path | None:
    """Returns a file with the certificates that a cluster is trusted by, or None for those of the system."""
    return _lasting(target.authority) if target.authority else None


def client_files(credential: Credential) -> tuple[Path, Path]:
    """Returns files with a client certificate and its key, which end with this process and which others cannot read."""
    return _lasting(credential.certificate), _lasting(credential.key)
