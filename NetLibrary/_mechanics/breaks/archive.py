"""Packs the in-pod programs so that any image with python3 can run them."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

INPOD = Path(__file__).parent / "inpod"

#: Reads the archive from stdin (its length is the first argument, as exec streams cannot be half-closed), stores it
#: under the second argument and starts the rest of the arguments in a session of their own, out of reach of whatever
#: ends the exec. Prints the process id.
LOADER = """\
import os, sys
size, path = int(sys.argv[1]), sys.argv[2]
os.makedirs(os.path.dirname(path), exist_ok=True)
data = sys.stdin.buffer.read(size)
with open(path, "wb") as out:
    out.write(data)
print(len(data), flush=True)
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

    `python -m NetLibrary._mechanics.breaks.archive > manifests/network_break/echo-server.yaml` writes it anew.
    """
    source = "".join(f"    {line}" if line.strip() else line for line in echo_server().splitlines(keepends=True))
    return (
        "# The echo server of the network-break suite, from NetLibrary/_mechanics/breaks/inpod/echo_server.py.\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: netlibrary-echo-server\ndata:\n  echo_server.py: |\n"
        f"{source}"
    )


if __name__ == "__main__":
    print(echo_server_manifest(), end="")
