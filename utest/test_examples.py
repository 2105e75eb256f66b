"""Examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import NetLibrary._mechanics
import NetLibrary.types


def modules() -> Iterator[str]:
    for package in (NetLibrary._mechanics, NetLibrary.types):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".inpod" not in found.name and ".probers." not in found.name:  # programs for foreign images
                yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples_of_a_module(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
