# mypy: ignore-errors
# Connects some times. Prints a line for each attempt: RESULT MILLISECONDS TEXT.
# Runs in foreign images, from Python 3.6 on.
import errno
import socket
import sys
import time

host, port, protocol, limit, attempts, family = sys.argv[1:7]
limit = float(limit)
families = {"any": 0, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM}


def attempt():
    try:
        found = socket.getaddrinfo(host, int(port), families[family], kind)
    except socket.gaierror as error:
        return "unresolved", str(error)
    target = found[0]
    with socket.socket(target[0], kind) as connection:
        connection.settimeout(limit)
        try:
            connection.connect(target[4])
            if protocol == "udp":
                connection.send(b"hostname")
                connection.recv(2048)
        except socket.timeout:  # no other name for TimeoutError before Python 3.10
            return "silent", "no answer from %s" % target[4][0]
        except ConnectionRefusedError as error:
            return "refused", "%s: %s" % (target[4][0], error.strerror)
        except OSError as error:
            return ("unreachable" if error.errno in UNREACHABLE else "other"), "%s: %s" % (target[4][0], error.strerror)
    return "connected", target[4][0]


for _ in range(int(attempts)):
    begin = time.monotonic()
    result, text = attempt()
    print(result, "%.1f" % ((time.monotonic() - begin) * 1000), text, flush=True)
