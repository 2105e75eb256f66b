"""Tables in these pages that are made from the rules of the library: `python docs/_tables.py` writes them anew."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent
# A comment names the module whose `markdown()` is the table below it
TABLE = re.compile(r"<!-- table: (\S+) -->\n(?:(?:\|[^\n]*\n)*)")


def filled(text: str) -> str:
    """Returns a page with its tables as the rules are now."""
    return TABLE.sub(lambda m: f"<!-- table: {m[1]} -->\n{importlib.import_module(m[1]).markdown()}", text)


def main() -> None:
    """Writes the tables of all pages."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        if (new := filled(text)) != text:
            page.write_text(new)
            print(page.name)


if __name__ == "__main__":
    main()
