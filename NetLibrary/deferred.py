"""KubeLibrary for suites that choose their cluster at run time.

KubeLibrary connects when it is imported, in dry runs too, and fails without a kubeconfig. This one waits until
`Share Cluster With KubeLibrary` lends it the connection. Names, arguments and documentation of its keywords are read
from KubeLibrary's source: importing it, and with it Kubernetes' client, takes longer than all else in a dry run.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot.api.deco import library
from robot.errors import DataError

_NAME = "KubeLibrary"
_Function = ast.FunctionDef


@functools.cache
def _source() -> Path:
    found = importlib.util.find_spec(_NAME)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"The package robotframework-{_NAME.lower()} is not installed.")
    return Path(found.submodule_search_locations[0]) / f"{_NAME}.py"


@functools.cache
def _functions() -> dict[str, _Function]:
    tree = ast.parse(_source().read_text(encoding="utf-8"))
    theirs = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == _NAME)
    return {node.name: node for node in theirs.body if isinstance(node, _Function) and not node.name.startswith("_")}


def _arguments(function: _Function) -> list[str | tuple[str, Any]]:
    static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in function.decorator_list)
    names = [argument.arg for argument in function.args.args][0 if static else 1 :]
    defaults = [ast.literal_eval(default) for default in function.args.defaults]
    bare: list[str | tuple[str, Any]] = [*names[: len(names) - len(defaults)]]
    bare += zip(names[len(names) - len(defaults) :], defaults, strict=True)
    if function.args.vararg:
        bare.append(f"*{function.args.vararg.arg}")
    if function.args.kwarg:
        bare.append(f"**{function.args.kwarg.arg}")
    return bare


@library(scope="GLOBAL")
class KubeLibrary:
    """KubeLibrary that connects when NetLibrary tells it to; import it `AS    KubeLibrary`.

    ```robotframework
    *** Settings ***
    Library    NetLibrary
    Library    NetLibrary.deferred.KubeLibrary    AS    KubeLibrary

    *** Test Cases ***
    Nodes Are Healthy
        Share Cluster With KubeLibrary
        ${count}    KubeLibrary.Get Healthy Nodes Count
        Should Be True    ${count} > 0
    ```
    """

    def __init__(self) -> None:
        """Prepares the library without importing or connecting anything."""
        self._instance: Any = None

    def get_keyword_names(self) -> list[str]:
        """Returns the names of KubeLibrary's keywords."""
        return list(_functions())

    def get_keyword_arguments(self, name: str) -> list[str | tuple[str, Any]] | None:
        """Returns the arguments of a keyword as KubeLibrary has them."""
        return None if name.startswith("__") else _arguments(_functions()[name])

    def get_keyword_documentation(self, name: str) -> str:
        """Returns the documentation of a keyword as KubeLibrary has it."""
        return "" if name.startswith("__") else ast.get_docstring(_functions()[name]) or ""

    def get_keyword_source(self, name: str) -> str:
        """Returns where KubeLibrary has a keyword."""
        return f"{_source()}:{_functions()[name].lineno}"

    def run_keyword(self, name: str, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Runs a keyword of KubeLibrary.

        Raises:
            DataError: Nobody has lent it a connection.
        """
        if "api_client" not in vars(self.instance) and name != "reload_config":
            raise DataError("KubeLibrary is not connected: use 'Share Cluster With KubeLibrary' first.")
        return getattr(self.instance, name)(*positional, **named)

    @property
    def instance(self) -> Any:
        """KubeLibrary's own instance, not connected by itself."""
        if self._instance is None:
            theirs = getattr(importlib.import_module(_NAME), _NAME)
            self._instance = theirs.__new__(theirs)  # its constructor would connect
        return self._instance

    def __getattr__(self, name: str) -> Any:
        """Returns what a suite asks of KubeLibrary's instance, for instance its API clients."""
        if name.startswith("_") or self._instance is None:
            raise AttributeError(name)  # Robot asks for much when it imports a library
        return getattr(self._instance, name)
