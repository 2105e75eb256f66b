# mypy: ignore-errors
# Finds the largest packet that a ping's answer comes for, with fragmentation forbidden. Runs in foreign images.
# Prints: MTU HOW TEXT. HOW: device (its own device is the limit), told (a router said so) or silent (they vanish)
import errno
import os
import socket
import struct
import sys
import time

host, limit = sys.argv[1], float(sys.argv[2])
entry = socket.getaddrinfo(host, None, 0, socket.SOCK_DGRAM)[0]
v6 = entry[0] == socket.AF_INET6
HEADERS, LEAST = (48, 1280) if v6 else (28, 576)
# From linux/in.h and linux/in6.h: IP_MTU_DISCOVER, IP_PMTUDISC_DO and their sisters; IP_MTU and IPV6_MTU
level, discover, read_mtu = (socket.IPPROTO_IPV6, 23, 24) if v6 else (socket.IPPROTO_IP, 10, 14)
protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
told = 0


def known():
    with socket.socket(entry[0], socket.SOCK_DGRAM) as probe:
        probe.connect(entry[4][:1] + (9,) + entry[4][2:])
        return probe.getsockopt(level, read_mtu)


def passes(size):
    global told
    with socket.socket(entry[0], socket.SOCK_DGRAM, protocol) as ping:
        ping.setsockopt(level, discover, 2)
        ping.settimeout(limit)
        ping.connect(entry[4][:1] + (0,) + entry[4][2:])
        body = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, 0, size & 0xFFFF) + os.urandom(size - HEADERS)
        for _ in range(2):
            try:
                ping.send(body)
                deadline = time.monotonic() + limit
                while time.monotonic() < deadline:
                    if len(ping.recv(65536)) == len(body):
                        return True
            except socket.timeout:
                continue
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                told = known()
                return False
    return False


device = known()
try:
    if not passes(LEAST):
        print(0, "silent", "no answer to a ping of %d bytes" % LEAST)
        sys.exit()
    low, high = LEAST, device + 1
    if passes(device):
        low = device
    while high - low > 1:
        middle = (low + high) // 2
        if passes(middle):
            low = middle
        else:
            high = middle
    how = "device" if low == device else "told" if told and told <= low else "silent"
    print(low, how, "the own device takes %d" % device)
except PermissionError:
    print(0, "unusable", "the pod may not open a ping socket (net.ipv4.ping_group_range)")
