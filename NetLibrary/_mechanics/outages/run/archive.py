"""Packs the in-pod programs so that any image with python3 can run them."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

INPOD = Path(__file__).parent / "inpod"

#: Reads the files from stdin (sizes and paths are arguments, as not every exec stream can be half-closed), stores them
#: and starts the prober in a session of its own: what ends the exec, a restart of kubelet or runtime for instance, does
#: not end the measurement. Prints the process id.
LOADER = """\
import os, subprocess, sys
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
for item in sys.argv[2:]:
    name, _, size = item.partition("=")
    with open(os.path.join(folder, name), "wb") as out:
        out.write(sys.stdin.buffer.read(int(size)))
os.chdir(folder)
open("lease", "w").close()
errors = open("errors", "wb")
p = subprocess.Popen([sys.executable, "prober.pyz", "config.json", "records"], stdin=subprocess.DEVNULL,
                     stdout=errors, stderr=errors, start_new_session=True)
print(p.pid, flush=True)
os._exit(0)
"""

#: Copies the records from an offset on to stdout as they grow, keeps the lease fresh while somebody listens, and ends
#: with the prober (which it says, as an interrupted exec may report success too), or when nobody has listened for 20 s.
FOLLOWER = """\
import os, select, sys, time
folder, offset, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.chdir(folder)
heard = time.monotonic()
def alive():
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
while not os.path.exists("records"):
    if not alive():
        sys.stderr.write("gone " + open("errors").read()[-2000:])
        sys.exit(3)
    time.sleep(0.05)
source = open("records", "rb")
source.seek(offset)
out = sys.stdout.buffer
while True:
    running = alive()
    data = source.read(262144)
    if data:
        out.write(data)
        out.flush()
        continue
    if not running:
        sys.stderr.write("gone " + open("errors").read()[-2000:])
        sys.exit(0)
    if select.select([0], [], [], 0.1)[0]:
        if not os.read(0, 4096):
            sys.exit(5)
        heard = time.monotonic()
        os.utime("lease")
    if time.monotonic() - heard > 20:
        sys.exit(4)
"""


@functools.lru_cache
def archive() -> bytes:
    """Returns the prober as a zip archive that `python3 FILE` runs.

    The bytes depend on the sources alone (no times), so that two runs send the same program.

    >>> archive()[:2]
    b'PK'
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for source in sorted(INPOD.glob("*.py")):
            if source.name not in ("echo_server.py", "__main__.py"):
                target.writestr(_entry(f"inpod/{source.name}"), source.read_bytes())
        target.writestr(_entry("__main__.py"), b"import sys\nfrom inpod.prober import main\nsys.exit(main())\n")
    return buffer.getvalue()


def echo_server() -> str:
    """Returns the echo server's source, which is one file."""
    return (INPOD / "echo_server.py").read_text(encoding="utf-8")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def echo_server_manifest() -> str:
    """Returns the ConfigMap that carries the echo server; `manifests/network_break/echo-server.yaml` holds the same.

    `python -m NetLibrary._mechanics.outages.run.archive > manifests/network_break/echo-server.yaml` writes it anew.
    """
    source = "".join(f"    {line}" if line.strip() else line for line in echo_server().splitlines(keepends=True))
    return (
        "# The echo server of the network-break suite, from NetLibrary/_mechanics/outages/run/inpod/echo_server.py.\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: netlibrary-echo-server\ndata:\n  echo_server.py: |\n"
        f"{source}"
    )


if __name__ == "__main__":
    print(echo_server_manifest(), end="")
