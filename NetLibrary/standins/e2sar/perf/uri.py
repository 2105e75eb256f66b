"""The EJFAT URI as `e2sar_perf` reads it in direct mode."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from .wire import DEFAULT_PORT


class UriError(Exception):
    """A URI that the original refuses."""


@dataclass(frozen=True)
class EjfatUri:
    """What direct mode needs of a URI: the data address, its port, and whether a sync address is there."""

    data_v4: str | None
    data_v6: str | None
    data_port: int
    has_sync: bool


def parse(text: str) -> EjfatUri:
    """Reads `ejfat[s]://[token@]host:port/[lb/<id>][?data=…&sync=…&sessionid=…]`.

    Raises:
        UriError: When scheme, control plane address or a query key or value would be refused.

    >>> parse("ejfat://t@10.0.0.1:1234/lb/1?data=10.1.2.3").data_port
    19522
    """
    match = re.fullmatch(
        r"(ejfats?)://(?:([^@/?]*)@)?(\[[0-9A-Fa-f:.]+\]|[^:/?@\[\]]+)(?::(\d*))?(/[^?]*)?(?:\?(.*))?", text
    )
    if not match:
        raise UriError("Unable to parse URI" if text else "URI is empty")
    _, _, host, port, _, query = match.groups()
    if not port or not int(port) % 65536 >= 1024:
        raise UriError("Unable to parse control plane address and port")
    _resolve(host.strip("[]"))
    v4 = v6 = None
    data_port, has_sync = DEFAULT_PORT, False
    for item in filter(None, (query or "").split("&")):
        key, _, value = item.partition("=")
        if key == "data":
            address, data_port = _literal(value, "data")
            v4, v6 = (address, v6) if ":" not in address else (v4, address)
        elif key == "sync":
            _literal(value, "sync")
            has_sync = True
        elif key != "sessionid":
            raise UriError(f"Unknown parameter {key}")
    return EjfatUri(v4, v6, data_port, has_sync)


def _resolve(host: str) -> None:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        raise UriError(f"Unable to resolve control plane host {host}") from None


def _literal(value: str, key: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]*))(?::(\d+))?", value)
    try:
        address = str(ipaddress.ip_address((match[1] or match[2]) if match else value))
    except ValueError:
        raise UriError(f"Unable to parse {key} address {value}") from None
    port = int(match[3]) % 65536 if match and match[3] else DEFAULT_PORT
    if port < 1024:
        raise UriError(f"Unable to parse {key} address {value}: port below 1024")
    return address, port
