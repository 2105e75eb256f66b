"""Makes the examples of a page of the documentation into a suite that runs."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path

# What a lab cannot have, or what its load would decide: the text of the page, and what stands for it in a test
IN_A_LAB = {
    "example.com ": "kubernetes.default ",  # no name server of the internet
    "tolerance=15 %": "tolerance=80 %",
    "[p99_ms] < 50": "[p99_ms] < 2000",
    "p99_at_most=5 ms    p999_at_most=20 ms": "p99_at_most=2 s    p999_at_most=5 s",
    "time_at_most=100 ms": "time_at_most=3 s",
    "time_at_most=1 s": "time_at_most=3 s",
    "at_least=1000 ": "at_least=100 ",
}


def suite_of_page(page: Path, target: Path, settings: str = "") -> Path:
    """Writes all blocks of a page in Robot syntax into one suite, in their order; sections may come again.

    Args:
        page: The page.
        target: Suite to write.
        settings: What comes before them; with it, limits that the load of a machine would decide are loosened.
    Returns:
        The suite.
    """
    blocks = re.findall(r"^```robotframework\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    text = "\n".join([settings, *blocks])
    for written, meant in IN_A_LAB.items() if settings else ():
        if written not in text:
            raise AssertionError(f"'{written}' is no longer in {page.name}; take it out of this test as well.")
        text = text.replace(written, meant)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


def make_authority(folder: Path, *names: str) -> tuple[str, str]:
    """Makes a certificate that signs itself, for some names, in `authority.pem`; returns it and its key in base64."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "authority.pem", folder / "authority.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30", "-nodes",
         "-subj", "/CN=shop", "-addext", f"subjectAltName={','.join(f'DNS:{name}' for name in names)}",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return base64.b64encode(certificate.read_bytes()).decode(), base64.b64encode(key.read_bytes()).decode()
