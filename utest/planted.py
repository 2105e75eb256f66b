"""Secrets that tests plant, each with the name of its place, and a look for them in texts."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote


def marked(place: str) -> str:
    """A secret whose place can be told from an output that leaks it; with characters that every encoding changes."""
    return f"S3cr3t-{place}-&<\"'é%/+"


class Places:
    """The secrets that a test has planted, by place."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def __call__(self, place: str, value: str = "") -> str:
        return self.planted.setdefault(place, value or f"s3cr3t-{place}-Zq9x7")

    def leaks(self, text: str) -> list[str]:
        found = []
        for place, value in self.planted.items():
            encoded = base64.b64encode(value.encode()).decode()
            if any(form in text for form in (value, encoded, quote(value, safe=""), json.dumps(value)[1:-1])):
                found.append(place)
        return found
