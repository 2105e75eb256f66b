"""Compares measurements with one of them: which that is, and how the comparison is concluded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords._conclude import conclude

if TYPE_CHECKING:
    from NetLibrary._mechanics.report import Table
    from NetLibrary._mechanics.verdict import Check
    from NetLibrary.keywords._session import Session

T = TypeVar("T")


def against(reference: str, measured: Mapping[str, T], figure: Callable[[T], float], nothing: str) -> dict[str, float]:
    """Returns the figure of each measurement as a multiple of that of the reference.

    Args:
        reference: Name of the measurement that the others are compared with.
        measured: The measurements by name.
        figure: What is compared.
        nothing: Words for a reference whose figure is 0, for instance `carried no data, so no
            share of it can be calculated`.

    Raises:
        InputError: There is no such measurement, or nothing to compare with.
    """
    if reference not in measured:
        raise InputError(f"reference is '{reference}'; there are {', '.join(measured) or 'no results'}.")
    base = figure(measured[reference])
    if base <= 0:
        raise InputError(f"'{reference}' {nothing}.")
    return {each: figure(run) / base for each, run in measured.items()}


def conclude_comparison(
    session: Session, name: str, reference: str, checks: Sequence[Check], summary: Mapping[str, Any], table: Table,
    picture: Path,
) -> None:  # fmt: skip
    """Records a comparison of measurements, with its table and its picture."""
    from NetLibrary._mechanics.report import Picture

    conclude(
        session,
        kind="comparison",
        name=name,
        parameters={"reference": reference},
        checks=list(checks),
        summary={key.replace(" ", "_"): value for key, value in summary.items()},
        tables=[table],
        pictures=[Picture(picture, name)],
    )
