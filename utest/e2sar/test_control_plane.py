"""A run through a control plane is refused, with what is true of the one that was named."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from NetLibrary._mechanics.e2sar.control_plane import PREFACE, found, refusal


@contextlib.contextmanager
def server(answer: bytes):
    """A server that says something to whoever connects, after it has heard the first words of HTTP/2."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _peer = listener.accept()
            with sock:
                heard = sock.recv(len(PREFACE))
                sock.sendall(answer if heard.startswith(b"PRI * HTTP/2.0") else b"")

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def uri(port: int, token: str = "token@") -> str:
    return f"ejfat://{token}127.0.0.1:{port}/lb/7?data=10.0.0.1:19522&sync=10.0.0.1:19010"


def test_a_control_plane_that_speaks_http_2_is_known_as_one() -> None:
    with server(bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes(6)) as port:
        assert found(uri(port)) == [f"127.0.0.1:{port} answers and speaks HTTP/2, as gRPC does."]


def test_another_server_is_not_taken_for_one() -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        (text,) = found(uri(port))
    assert text == f"127.0.0.1:{port} answers, but does not speak HTTP/2 as gRPC does without TLS."


def test_nobody_there_is_told_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (text,) = found(uri(port))
    assert text == f"127.0.0.1:{port} cannot be reached from here: Connection refused."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "no URI was given (E2SAR_URI, or EJFAT_URI in the environment)."),
        ("http://10.0.0.1", "uri is 'http://10.0.0.1'; allowed: ejfat[s]://"),
        ("ejfat://127.0.0.1:1024/?data=10.0.0.1", "its URI has no token"),
    ],
)
def test_what_is_wrong_with_a_uri_is_told(given: str, words: str) -> None:
    assert words in found(given)[0]


def test_the_refusal_names_what_is_missing() -> None:
    text = refusal("")
    assert text.startswith("DIRECT_MODE=false is not supported; set E2SAR_DIRECT_MODE to True.\nControl plane: no URI")
    assert text.count("Missing: ") == 3
