"""A DNS server with wrong answers, for faults: `wrong_dns.py KIND DELAY PORT UPSTREAM MARK`; all questions over UDP.

KIND is `wrong` (the address 203.0.113.99 of RFC 5737, which nobody has), `nxdomain`, or `slow`, which waits and then
asks UPSTREAM. MARK only makes the process easy to find again.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time

WRONG = bytes([203, 0, 113, 99])


def answer(question: bytes, kind: str) -> bytes:
    """An answer to a DNS question (RFC 1035): a wrong address, no such name, or a server failure."""
    number, flags = question[:2], 0x8580
    end = 12
    while question[end]:
        end += question[end] + 1
    asked, kind_asked = question[12 : end + 5], struct.unpack("!H", question[end + 1 : end + 3])[0]
    if kind == "nxdomain":
        return number + struct.pack("!HHHHH", flags | 3, 1, 0, 0, 0) + asked
    if kind_asked != 1:
        return number + struct.pack("!HHHHH", flags, 1, 0, 0, 0) + asked
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + WRONG
    return number + struct.pack("!HHHHH", flags, 1, 1, 0, 0) + asked + record


def serve(kind: str, delay: float, port: int, upstream: str) -> None:
    """Answers until it is ended."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))

    def reply(question: bytes, client: tuple[str, int]) -> None:
        if kind != "slow":
            server.sendto(answer(question, kind), client)
            return
        time.sleep(delay)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.settimeout(5)
            try:
                asked.sendto(question, (upstream, 53))
                server.sendto(asked.recv(4096), client)
            except OSError:
                return  # no upstream answers; silence is what the client would get without us, too

    while True:
        question, client = server.recvfrom(4096)
        if len(question) > 16:
            threading.Thread(target=reply, args=(question, client), daemon=True).start()


if __name__ == "__main__":
    serve(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
