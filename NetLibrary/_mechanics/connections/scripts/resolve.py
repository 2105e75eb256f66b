# mypy: ignore-errors
# Asks for a name's addresses. Prints: STATUS VALUE|VALUE|…. Runs in foreign images, from Python 3.6 on.
import socket
import sys

name, kind = sys.argv[1:3]
family = socket.AF_INET if kind == "A" else socket.AF_INET6
try:
    found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    print("NOERROR", "|".join(sorted({entry[4][0] for entry in found})))
except socket.gaierror as error:
    print("TIMEOUT" if error.errno == socket.EAI_AGAIN else "NXDOMAIN", "")
