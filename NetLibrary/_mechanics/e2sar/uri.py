"""EJFAT URIs: made for direct mode, and checked before a container would refuse them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from NetLibrary._mechanics.errors import InputError

DEFAULT_PORT = 19522
_SHAPE = "ejfat[s]://[token@]host:port/[lb/id]?data=address[:port][&sync=address:port][&sessionid=text]"


@dataclass(frozen=True)
class EjfatUri:
    """The parts of an EJFAT URI. In direct mode only `data` matters; the rest must be there and well formed."""

    data: str
    data_port: int = DEFAULT_PORT
    sync: str = "127.0.0.1:1234"
    control_plane: str = "127.0.0.1:1234"
    token: str = "unused"
    load_balancer: str = "1"
    tls: bool = False
    session: str = ""

    def __str__(self) -> str:
        host = f"[{self.data}]" if ":" in self.data else self.data
        scheme = "ejfats" if self.tls else "ejfat"
        session = f"&sessionid={self.session}" if self.session else ""
        return f"{scheme}://{self.token}@{self.control_plane}/lb/{self.load_balancer}?data={host}:{self.data_port}&sync={self.sync}{session}"

    @classmethod
    def parse(cls, text: str) -> EjfatUri:
        """Reads a URI with the rules of e2sar_perf.

        Raises:
            InputError: Says which part is not usable.

        >>> EjfatUri.parse("ejfat://useless@10.10.10.10:1234/lb/1?data=10.1.2.3&sync=192.168.77.7:1234").data_port
        19522
        """
        match = re.fullmatch(r"(ejfats?)://(?:([^@/?]*)@)?(\[[^\]]+\]|[^:/?@]+):(\d+)(/[^?]*)?\?(.+)", text)
        if not match:
            raise InputError(
                f"uri is '{text}'; allowed: {_SHAPE}, in lower case and with the port of the control plane."
            )
        scheme, token, host, port, path, query = match.groups()
        if not 1024 <= int(port) <= 65535:
            raise InputError(f"uri is '{text}': port {port} of the control plane must be 1024 to 65535.")
        parts: dict[str, str] = {}
        for item in query.split("&"):
            key, _, value = item.partition("=")
            if key not in ("data", "sync", "sessionid"):
                raise InputError(f"uri is '{text}': '{key}' is unknown; allowed: data, sync and sessionid.")
            parts[key] = value
        if "data" not in parts:
            raise InputError(f"uri is '{text}': data= is missing.")
        data, data_port = _address(text, "data", parts["data"])
        sync = ":".join(map(str, _address(text, "sync", parts["sync"]))) if "sync" in parts else ""
        identifier = (path or "").rstrip("/").rpartition("/")[2]
        return cls(
            data,
            data_port,
            sync,
            f"{host}:{port}",
            token or "",
            identifier,
            scheme == "ejfats",
            parts.get("sessionid", ""),
        )


def _address(uri: str, key: str, value: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d+))?", value)
    try:
        if not match:
            raise ValueError
        address = str(ipaddress.ip_address(match[1] or match[2]))
    except ValueError:
        raise InputError(
            f"uri is '{uri}': {key}={value} must be an IP address with an optional port; e2sar_perf resolves no "
            "names there."
        ) from None
    port = int(match[3] or DEFAULT_PORT)
    if not 1024 <= port <= 65535:
        raise InputError(f"uri is '{uri}': port {port} of {key}= must be 1024 to 65535.")
    return address, port
