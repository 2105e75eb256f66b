"""Writes the keyword documentation: `python -m NetLibrary._mechanics.docs FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path


def main(folder: Path) -> int:
    """Writes library and resource documentation as HTML and checks that nothing is undocumented.

    Args:
        folder: Where to write; made when missing.
    Returns:
        Number of keywords without documentation.
    """
    from robot.libdoc import libdoc
    from robot.libdocpkg import LibraryDocumentation

    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[2]
    sources = ["NetLibrary", *(str(path) for path in sorted((root / "resources").glob("*.resource")))]
    bare = []
    for source in sources:
        name = Path(source).stem
        libdoc(source, str(folder / f"{name}.html"))
        bare += [f"{name}: {kw.name}" for kw in LibraryDocumentation(source).keywords if not kw.doc]
    for line in bare:
        print(f"without documentation: {line}")
    return len(bare)


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]))))
