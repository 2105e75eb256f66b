"""Connections over TCP, UDP and SCTP."""

# It has to run on the Python of the source image, not on ours
# mypy: ignore-errors
import asyncio
import errno
import socket
import struct
import time

from .basics import Failed, reason, resolve

RESEND_AFTER = (0.0, 0.2, 0.5, 1.0)
CLOSE_AFTER = "HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
ASK_BOTH = "GET /hostname HTTP/1.1\r\nHost: n\r\n\r\nGET /clientip " + CLOSE_AFTER
# An answer is told to be late from here on; whether that is wrong is not decided here
LATE_MS = 300


async def probe_stream(kind, host, port, extra, until):
    """Connects, asks, and reads until the server closes."""
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_STREAM)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        begin = time.monotonic()
        await asyncio.wait_for(loop.sock_connect(sock, address), max(0.01, until - begin))
        latency = time.monotonic() - begin
        tries = 1 + resent(sock)
        if kind == "connect":
            return latency, tries, "-", "-", "-"
        if kind == "http":
            if extra == "-":
                request = ASK_BOTH
            elif extra.startswith("size="):
                request = "GET /echo?msg=" + "x" * int(extra[5:]) + " " + CLOSE_AFTER
            else:
                request = "GET " + extra + " " + CLOSE_AFTER
            await loop.sock_sendall(sock, request.encode())
        answer = b""
        try:
            while len(answer) < 65536:
                piece = await asyncio.wait_for(loop.sock_recv(sock, 65536), max(0.01, until - 0.03 - time.monotonic()))
                if not piece:
                    break
                answer += piece
        except asyncio.TimeoutError:
            if not answer:
                raise Failed("connected but no answer") from None
        if not answer:
            raise Failed("connected but closed without answer")
        who, client, detail = split(kind, answer.decode("latin-1"), extra)
        whole = int((time.monotonic() - begin) * 1000)
        if detail == "-" and whole >= LATE_MS:
            detail = "answered after %d ms" % whole
        return latency, tries, who, client, detail
    except asyncio.TimeoutError:
        raise Failed("no answer to connect", 2) from None
    finally:
        sock.close()


def resent(sock):
    """How often the kernel had to send the SYN again: tcpi_total_retrans, before there is any data."""
    try:
        return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]
    except (OSError, struct.error, AttributeError):
        return 0


def split(kind, answer, extra):
    """Responder, client address and detail of what a server said."""
    if kind == "tcp":
        return answer, "-", "-"
    if not answer.startswith("HTTP/1."):
        return "-", "-", "not HTTP: " + answer[:80]
    status = answer.split("\r\n", 1)[0].split(" ", 1)[-1]
    parts = answer.split("\r\n\r\n", 1)
    body = parts[1] if len(parts) > 1 else ""
    if extra.startswith("size="):
        return "-", "-", "bytes=%d" % len(body)
    first = body.split("HTTP/1.", 1)[0]
    if not status.startswith("200") or extra != "-":
        return "-", "-", "HTTP %s %s" % (status, first[:100])
    rest = body.split("\r\n\r\n", 1)
    return first, rest[1] if len(rest) > 1 else "-", "-"


async def probe_udp(host, port, extra, until):
    """Asks for the server's name, then for the client's address, over one socket; sends again on silence.

    What was asked again and answered twice was late and not lost, so attempts are those without an answer, and one.
    """
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    tries, answers, latency, begin = 0, 0, 0.0, time.monotonic()
    try:
        sock.connect(address)
        name = None
        for question in (b"hostname\n", b"clientip\n"):
            if question != b"hostname\n" and extra == "plain":
                break
            started = time.monotonic()
            for number, pause in enumerate(RESEND_AFTER):
                sock.send(question)
                tries += name is None
                following = RESEND_AFTER[number + 1] if number + 1 < len(RESEND_AFTER) else 1e9
                stop = min(until - 0.03, started + following)
                try:
                    answer = await asyncio.wait_for(loop.sock_recv(sock, 2000), max(0.005, stop - time.monotonic()))
                    while name is not None and answer == name:  # answer to a question sent twice
                        answers += 1
                        answer = await asyncio.wait_for(loop.sock_recv(sock, 2000), max(0.005, stop - time.monotonic()))
                except asyncio.TimeoutError:
                    if time.monotonic() >= until - 0.04:
                        if name is None:
                            raise Failed("no answer", max(tries, 1)) from None
                        return latency, lost(tries, answers), name.decode("latin-1"), "-", "no answer to clientip"
                    continue
                if name is None:
                    name, latency = answer, time.monotonic() - begin
                    answers = 1
                    break
                return latency, lost(tries, answers), name.decode("latin-1"), answer.decode("latin-1"), "-"
        return latency, lost(tries, answers), name.decode("latin-1"), "-", "-"
    except OSError as error:
        raise Failed(reason(error), max(tries, 1)) from None
    finally:
        sock.close()


async def probe_udp_size(host, port, size, until):
    """Sends datagrams of so many bytes to be echoed; any answer shows that they arrive whole."""
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    question, begin, tries = b"echo " + b"x" * (size - 6) + b"\n", time.monotonic(), 0
    try:
        sock.connect(address)
        for number, pause in enumerate(RESEND_AFTER):
            following = RESEND_AFTER[number + 1] if number + 1 < len(RESEND_AFTER) else 1e9
            try:
                tries += 1
                sock.send(question)
                stop = min(until - 0.03, begin + following)
                answer = await asyncio.wait_for(loop.sock_recv(sock, 65536), max(0.005, stop - time.monotonic()))
                return time.monotonic() - begin, tries, "-", "-", "bytes=%d" % len(answer)
            except asyncio.TimeoutError:
                if time.monotonic() >= until - 0.04:
                    break
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                raise Failed("no answer: %s" % reason(error), tries) from None
        raise Failed("no answer", tries)
    finally:
        sock.close()


def lost(tries, answers):
    """Attempts as they are told: one, and those that were lost."""
    return max(1, 1 + tries - answers)


async def probe_sctp(host, port, until):
    """One SCTP association, set up and shut down."""
    loop = asyncio.get_event_loop()
    family, address = await resolve(host, port, socket.SOCK_STREAM)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, 132)
    except OSError as error:
        raise Failed(reason(error).lower()) from None
    sock.setblocking(False)
    try:
        begin = time.monotonic()
        await asyncio.wait_for(loop.sock_connect(sock, address), max(0.01, until - begin))
        return time.monotonic() - begin, 1, "-", "-", "-"
    except asyncio.TimeoutError:
        raise Failed("no answer to connect") from None
    finally:
        sock.close()
