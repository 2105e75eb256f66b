"""The line that repeats a cell by hand."""

from __future__ import annotations

from NetLibrary._mechanics.kube.addresses import in_url
from NetLibrary._mechanics.matrix.model.types import Cell
from NetLibrary._mechanics.probing.pipes import CONTAINER

SECONDS = 3


def repeat(cell: Cell) -> str:
    """The `kubectl exec` line that asks what a cell asked; from outside, the line to run there.

    Args:
        cell: Any cell.
    """
    source = cell.source
    asked = asking(cell)
    if source.outside:
        return asked
    if source.by_hand:
        return f"{source.by_hand} {asked}"
    return f"kubectl exec -n {source.namespace} {source.name} -c {CONTAINER} -- {asked}"


def asking(cell: Cell) -> str:
    """The command itself, with the tools of the agnhost image."""
    target = cell.target
    host = in_url(target.host)
    if target.probe == "dns":
        kind, _, name = target.extra.split(" ")[0].partition("/")
        server = "" if target.host == "-" else f" @{target.host} -p {target.port}"
        return f"dig +time={SECONDS} +tries=1{server} {name.split('/')[0]} {kind}"
    if target.protocol == "SCTP":
        return f"/agnhost connect {host}:{target.port} --protocol=sctp --timeout={SECONDS}s"
    if target.probe == "udpsize":
        datagram = f"(printf 'echo '; head -c {int(target.extra) - 6} /dev/zero | tr '\\\\0' x; echo)"
        sent = f"{datagram} | dd bs={target.extra} iflag=fullblock"
        return f'sh -c "{sent} | nc -u -w{SECONDS} {target.host} {target.port} | wc -c"'
    if target.protocol == "UDP":
        return f"/agnhost connect {host}:{target.port} --protocol=udp --timeout={SECONDS}s"
    if target.probe == "http":
        size = target.extra.removeprefix("size=") if target.extra.startswith("size=") else ""
        if size:
            text = f"$(head -c {size} /dev/zero | tr '\\0' x)"
            inner = f"curl -sm {SECONDS} http://{host}:{target.port}/echo?msg={text} | wc -c"
            return f'sh -c "{inner}"'
        path = "/hostname" if target.extra in ("", "-") else target.extra
        return f"curl -sSm {SECONDS} http://{host}:{target.port}{path}"
    return f"/agnhost connect {host}:{target.port} --timeout={SECONDS}s"
