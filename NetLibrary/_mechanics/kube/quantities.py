"""Kubernetes quantities such as `100m`, `1Ki` and `2e3`, read by the parser of the `kubernetes` package."""

from __future__ import annotations

import math

from NetLibrary._mechanics.errors import InputError


def quantity(text: str | int | float, argument: str = "quantity") -> float:
    """Reads a quantity.

    Args:
        text: As a manifest has it.
        argument: Name of the argument or field, for the message.

    Raises:
        InputError: It is none.

    Example:
        >>> quantity("100m"), quantity("1Ki"), quantity("5G"), quantity(2)
        (0.1, 1024.0, 5000000000.0, 2.0)
    """
    from kubernetes.utils.quantity import parse_quantity  # the package is loaded when it is first used

    try:
        value = float(parse_quantity(text))
    except (ValueError, ArithmeticError, TypeError, AttributeError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{argument} is '{text}'; allowed: a number with an optional suffix "
            "n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi or Ei."
        )
    return value
