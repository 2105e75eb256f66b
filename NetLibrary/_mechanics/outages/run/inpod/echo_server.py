"""The target of the probes: TCP and UDP echo and HTTP on one port, IPv4 and IPv6, and iperf3 servers where there is
iperf3.

    python3 echo_server.py PORT [FIRST_IPERF_PORT COUNT]

It is one file without imports from beside it, so that a ConfigMap can carry it as it is, and any machine with python3
can run a copy. GET /netlibrary tells what it offers.
"""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress

IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49
IPV6_PKTINFO = 50
SO_RXQ_OVFL = 40  # asm-generic/socket.h; the socket module does not name it
DROPS = struct.Struct("@I")
TICK_S = 0.01
# Argument of a server that ends with its standard input, whose other end a run holds that may be killed
WITH_INPUT = "--with-input"
PAUSE_NS = 5_000_000
IN_PKTINFO = struct.Struct("@i4s4s")
MARK = b"NLBK"  # at the head of a probe; its last bytes take how many of its client have come
COUNT = struct.Struct("!I")
HEAD = 18
CLIENTS = 4096


class EchoServer:
    """Echoes whatever arrives, and answers HTTP requests; one thread.

    A request that says `GET ` or `HEAD ` first is HTTP and not echoed: probes begin otherwise.
    """

    def __init__(self, port, iperf_ports=()):
        self.facts = {"netlibrary-echo": 1, "port": port, "iperf3": list(iperf_ports)}
        self.epoll = select.epoll()
        self.handlers = {}
        self.came = {}
        self.emptied = {}  # descriptor -> when nothing was left to read
        self.dropped = {}  # descriptor -> datagrams that found its receive buffer full
        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            try:
                self._listen(family, any_address, port)
            except OSError as err:
                if family == socket.AF_INET:
                    raise
                print(f"echo: no IPv6 here ({err.strerror})", flush=True)

    def _listen(self, family, address, port):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        for sock in (tcp, udp):
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A node has many addresses: the answer has to come from the one that was asked.
        if family == socket.AF_INET:
            udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        else:
            udp.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        with suppress(OSError):
            udp.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self.emptied[udp.fileno()] = time.monotonic_ns()
        tcp.bind((address, port))
        udp.bind((address, port))
        tcp.listen(1024)
        self._watch(tcp, self.accept)
        self._watch(udp, self.datagram)

    def _watch(self, sock, handler):
        self.handlers[sock.fileno()] = (sock, handler)
        self.epoll.register(sock.fileno(), select.EPOLLIN)

    def end_with(self, descriptor, stop):
        """Stops as soon as nobody holds the other end of a pipe any more."""
        self.handlers[descriptor] = (descriptor, lambda each: stop(0, None) if not os.read(each, 64) else None)
        self.epoll.register(descriptor, select.EPOLLIN)

    def accept(self, listener):
        """Takes all connections that wait."""
        for _ in range(64):
            try:
                sock, _peer = listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A client that vanished must not hold a socket here for ever.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            self._watch(sock, self.stream)

    def stream(self, sock):
        """Echoes on a connection."""
        try:
            data = sock.recv(65536)
            if data:
                # Small requests: what does not fit means a client that never reads
                sock.send(self.page(data) if data.startswith((b"GET ", b"HEAD ")) else data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.handlers.pop(sock.fileno(), None)
        self.epoll.unregister(sock.fileno())
        sock.close()

    def page(self, request):
        """Answers an HTTP request; the connection stays open, as HTTP/1.1 has it."""
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0]
        body = json.dumps(self.facts).encode() if path == b"/netlibrary" else b"netlibrary echo"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head if method == b"HEAD" else head + body

    def datagram(self, sock):
        """Echoes datagrams, each from the address that it was sent to."""
        for _ in range(64):
            try:
                data, ancillary, _flags, peer = sock.recvmsg(9216, 128)
            except OSError:
                self.emptied[sock.fileno()] = time.monotonic_ns()
                return
            back = []
            for level, kind, value in ancillary:
                if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                    _index, local, _destination = IN_PKTINFO.unpack_from(value)
                    back = [(level, kind, IN_PKTINFO.pack(0, local, b"\0" * 4))]
                elif level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO:
                    back = [(level, kind, value[:16] + b"\0" * 4)]
                elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                    self._overflown(sock.fileno(), DROPS.unpack_from(value)[0])
            with suppress(OSError):
                sock.sendmsg([self._counted(data, peer)], back, 0, peer)

    def _overflown(self, descriptor, count):
        """Logs when requests were lost here because nobody read them in time; no path lost them."""
        more = (count - self.dropped.get(descriptor, 0)) & 0xFFFFFFFF
        if more:
            self.dropped[descriptor] = count
            print("echo: overflow", self.emptied[descriptor], time.monotonic_ns(), more, flush=True)

    def _counted(self, data, peer):
        """Writes into a probe how many have come from its client: the next answer tells which way lost the others."""
        if data[:4] != MARK or len(data) < HEAD + COUNT.size:
            return data
        if len(self.came) >= CLIENTS and peer not in self.came:
            self.came.clear()
        self.came[peer] = self.came.get(peer, 0) + 1
        return data[: -COUNT.size] + COUNT.pack(self.came[peer] & 0xFFFFFFFF)

    def serve(self, each_second):
        """Runs until the process is ended.

        Wakes up a hundred times a second to notice when the processor was taken away from it: answers are late then,
        and that is not the network's doing. Each such pause is a line of its log.
        """
        due = 0.0
        before = time.monotonic_ns()
        while True:
            events = self.epoll.poll(TICK_S, 128)
            now = time.monotonic_ns()
            if now - before > TICK_S * 1e9 + PAUSE_NS:
                print("echo: paused", before, now, flush=True)
            before = now
            for descriptor, _mask in events:
                entry = self.handlers.get(descriptor)
                if entry is not None:
                    entry[1](entry[0])
            if now >= due:
                due = now + 1_000_000_000
                each_second()


class IperfServers:
    """Keeps iperf3 servers running: after a break a server may stay busy or end, so each is started again."""

    def __init__(self, first, count):
        self.program = shutil.which("iperf3") or ""
        self.ports = range(first, first + count) if self.program else ()
        self.running = {}
        if count and not self.program:
            print("echo: this image has no iperf3, so there are no iperf3 servers", flush=True)

    def __call__(self):
        for port in self.ports:
            process = self.running.get(port)
            if process is None or process.poll() is not None:
                self.running[port] = subprocess.Popen(
                    [self.program, "-s", "-p", str(port)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

    def stop(self):
        """Ends the servers."""
        for process in self.running.values():
            process.terminate()


def main(arguments=None):
    """Serves until TERM."""
    given = sys.argv[1:] if arguments is None else arguments
    numbers = [int(text) for text in given if text != WITH_INPUT]
    port = numbers[0]
    iperf = IperfServers(*numbers[1:3]) if len(numbers) > 2 else IperfServers(0, 0)

    def stop(_number, _frame):
        iperf.stop()
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:  # where it is allowed; a server that waits for the processor looks like a slow path
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -10)
    server = EchoServer(port, iperf.ports)
    if WITH_INPUT in given:
        server.end_with(0, stop)
    also = f", iperf3 on {iperf.ports[0]} to {iperf.ports[-1]}" if iperf.ports else ""
    print(f"echo: TCP, UDP and HTTP on port {port}{also}", flush=True)
    server.serve(iperf)


if __name__ == "__main__":
    main()
