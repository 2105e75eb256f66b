"""Converters of arguments, in a form that Robot reads fast."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from robot.api import TypeInfo


def prepared(converters: Mapping[type, Callable[[Any], Any]]) -> dict[type, Any]:
    """Returns the converters with their signatures worked out.

    Robot reads the signatures of all converters in each call of a keyword.

    Args:
        converters: Class methods with one argument, by type.
    """
    return {each: _prepared(convert) for each, convert in converters.items()}


def _prepared(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    (parameter,) = inspect.signature(convert).parameters.values()
    accepted = eval(parameter.annotation, inspect.unwrap(convert).__globals__)

    @functools.wraps(convert)
    def converted(value: Any) -> Any:
        return convert(value)

    converted.__dict__["__signature__"] = inspect.Signature([parameter.replace(name="value")])
    converted.__dict__["robot_types"] = {"value": TypeInfo.from_type_hint(accepted)}
    return converted
