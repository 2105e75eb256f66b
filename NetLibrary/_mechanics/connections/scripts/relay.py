# mypy: ignore-errors
# Carries bytes between its own input and output and a connection. Runs in foreign images, from Python 3.6 on.
# Says on standard error: connected ADDRESS, or RESULT TEXT.
import errno
import os
import select
import socket
import sys

host, port, family, limit = sys.argv[1:5]
families = {"any": 0, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM}


def fail(result, text):
    sys.stderr.write("%s %s\n" % (result, text))
    sys.exit(1)


try:
    target = socket.getaddrinfo(host, int(port), families[family], socket.SOCK_STREAM)[0]
except socket.gaierror as error:
    fail("unresolved", error)
connection = socket.socket(target[0], socket.SOCK_STREAM)
connection.settimeout(float(limit))
try:
    connection.connect(target[4])
except socket.timeout:  # no other name for TimeoutError before Python 3.10
    fail("silent", "no answer from %s" % target[4][0])
except ConnectionRefusedError as error:
    fail("refused", "%s: %s" % (target[4][0], error.strerror))
except OSError as error:
    fail("unreachable" if error.errno in UNREACHABLE else "other", "%s: %s" % (target[4][0], error.strerror))
sys.stderr.write("connected %s\n" % target[4][0])
connection.settimeout(None)
sources = [0, connection]
while connection in sources:
    for ready in select.select(sources, [], [])[0]:
        if ready == 0:
            data = os.read(0, 65536)
            if data:
                connection.sendall(data)
            else:
                sources.remove(0)
                connection.shutdown(socket.SHUT_WR)
        else:
            data = connection.recv(65536)
            if not data:
                sources.remove(connection)
            while data:
                data = data[os.write(1, data) :]
