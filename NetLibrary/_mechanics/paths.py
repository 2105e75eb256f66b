"""Where the files are that travel with the library: manifests, resources, suites."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(*parts: str) -> Path:
    """Returns the path of a file or folder of the package, in a clone, an editable install and a wheel alike.

    In a clone, `suites`, `resources` and `manifests` of the package are links to the folders beside it.

    Args:
        parts: Names below the package, for instance `manifests`, `cyperf`.
    """
    return PACKAGE.joinpath(*parts)
