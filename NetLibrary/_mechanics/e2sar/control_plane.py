"""What a run through the control plane of EJFAT would need, and what of it is there.

The library does not make such runs: a load balancer rewrites the datagrams on their way, and receivers are known to it
by an address that it reaches. So they are refused, with what was found out about the control plane that was named.
"""

from __future__ import annotations

import socket
import ssl

from NetLibrary._mechanics.e2sar.uri import EjfatUri
from NetLibrary._mechanics.errors import InputError

ASK_S = 3.0
#: What a client of HTTP/2, and so of gRPC, says first; the server answers with its settings (frame of type 4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HEAD_BYTES = 9
SETTINGS = 4
NEEDED = (
    "An EJFAT load balancer that receives the datagrams at the address in data= and rewrites them: nothing in a "
    "cluster does that, and receivers then get datagrams without its header.",
    "Receivers at addresses that it reaches: pod addresses are not, and e2sar_perf registers the address of --ip.",
    "Counters at both ends: this library follows the datagrams of a sender to the receiver's pod, which is not "
    "possible beyond the load balancer.",
)


def refusal(uri: str) -> str:
    """Says why a run with DIRECT_MODE=false is refused, with what is known of the control plane.

    Args:
        uri: EJFAT URI of the control plane; empty when none was given.
    """
    lines = [
        "DIRECT_MODE=false is not supported; set E2SAR_DIRECT_MODE to True.",
        *(f"Control plane: {text}" for text in found(uri)),
        *(f"Missing: {text}" for text in NEEDED),
    ]
    return "\n".join(lines)


def found(uri: str) -> list[str]:
    """Returns what is known of the control plane that a URI names: whether it is usable, reachable, and speaks gRPC."""
    if not uri:
        return ["no URI was given (E2SAR_URI, or EJFAT_URI in the environment)."]
    try:
        parts = EjfatUri.parse(uri)
    except InputError as error:
        return [str(error)]
    told = []
    if not parts.token:
        told.append("its URI has no token, and a control plane accepts nobody without one.")
    if not parts.load_balancer or parts.load_balancer == "lb":
        told.append("its URI names no reservation (/lb/<id>).")
    return [*told, _answer(parts)]


def _answer(parts: EjfatUri) -> str:
    host, _, port = parts.control_plane.rpartition(":")
    where = f"{parts.control_plane}"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ASK_S) as plain:
            plain.settimeout(ASK_S)
            sock: socket.socket = plain
            if parts.tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_alpn_protocols(["h2"])
                sock = context.wrap_socket(plain, server_hostname=host.strip("[]"))
            sock.sendall(PREFACE)
            head = b""
            while len(head) < HEAD_BYTES and (more := sock.recv(HEAD_BYTES - len(head))):
                head += more
    except (OSError, ValueError) as error:
        return f"{where} cannot be reached from here: {getattr(error, 'strerror', None) or error}."
    if len(head) == HEAD_BYTES and head[3] == SETTINGS:
        return f"{where} answers and speaks HTTP/2, as gRPC does."
    return f"{where} answers, but does not speak HTTP/2 as gRPC does{' without TLS' if not parts.tls else ''}."
