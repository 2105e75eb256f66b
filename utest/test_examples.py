"""Examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import NetLibrary._mechanics


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(NetLibrary._mechanics.__path__, "NetLibrary._mechanics."):
        if ".inpod" not in found.name and ".probers." not in found.name:  # programs for foreign images
            yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples_of_a_module(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
