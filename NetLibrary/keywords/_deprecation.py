"""Names of the release before: keywords and arguments that go on working for one release and warn."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from robot.api import Error, logger
from robot.utils import printable_name

# Stands for an old argument that was not given; Robot shows it in the signature
NOT_GIVEN = None


def old_names_of(method: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yields a keyword for each deprecated name of a keyword: (attribute, method).

    Robot Framework warns by itself when a keyword's documentation begins with `*DEPRECATED`.
    """
    for old in getattr(method, "formerly", ()):
        yield old.lower().replace(" ", "_").replace("-", "_"), _alias(method, old)


def _alias(method: Callable[..., Any], old: str) -> Callable[..., Any]:
    new = getattr(method, "robot_name", None) or printable_name(method.__name__, code_style=True)

    @functools.wraps(method)
    def alias(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    alias.__doc__ = f"*DEPRECATED!* Use [{new}] instead; this name goes with the next release.\n\n{_body(method)}"
    alias.__dict__.update(robot_name=old, formerly=())
    return alias


def _body(method: Callable[..., Any]) -> str:
    """Returns the documentation behind the summary: the same arguments need the same explanation."""
    text = inspect.cleandoc(method.__doc__ or "")
    return text.partition("\n\n")[2]


def old_arguments_accepted(method: Callable[..., Any], renamed: Mapping[str, str]) -> Callable[..., Any]:
    """Returns a method that also takes arguments by their old names, and warns.

    Args:
        method: The keyword's method.
        renamed: Old name to new name.
    """
    signature = inspect.signature(method)
    unknown = sorted(set(renamed.values()) - set(signature.parameters))
    if unknown:
        raise TypeError(f"{method.__name__} has no argument {', '.join(unknown)}")

    @functools.wraps(method)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        for old, new in renamed.items():
            value = kwargs.pop(old, NOT_GIVEN)
            if value is NOT_GIVEN:
                continue
            if new in kwargs:
                raise Error(f"'{old}' is the old name of '{new}'; give only '{new}'.")
            logger.warn(f"The argument '{old}' is deprecated and goes with the next release; use '{new}'.")
            kwargs[new] = value
        return method(*args, **kwargs)

    parameters = list(signature.parameters.values())
    # Behind the named arguments, before **named ones
    place = len(parameters) - (parameters[-1].kind is inspect.Parameter.VAR_KEYWORD)
    parameters[place:place] = [
        signature.parameters[new].replace(name=old, kind=inspect.Parameter.KEYWORD_ONLY, default=NOT_GIVEN)
        for old, new in renamed.items()
    ]
    accepting.__dict__["__signature__"] = signature.replace(parameters=parameters)
    hints = dict(method.__annotations__)
    accepting.__annotations__ = {**hints, **{old: hints[new] for old, new in renamed.items() if new in hints}}
    accepting.__doc__ = _documented(method.__doc__ or "", renamed)
    accepting.__dict__["renamed"] = dict(renamed)
    return accepting


def _documented(text: str, renamed: Mapping[str, str]) -> str:
    """Adds the old names to the section `Args` of a docstring."""
    lines = inspect.cleandoc(text).split("\n")
    added = [f"    {old}: Deprecated name of `{new}`." for old, new in renamed.items()]
    if "Args:" not in lines:
        return "\n".join([*lines, "", "Args:", *added])
    end = lines.index("Args:") + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    return "\n".join([*lines[:end], *added, *lines[end:]])
