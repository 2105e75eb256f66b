"""What all keyword classes share: the session, and the one place where errors become Robot's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from robot.api import Error, Failure, SkipExecution
from robot.api.deco import keyword as robot_keyword

from NetLibrary._mechanics import errors, secrets
from NetLibrary.keywords._deprecation import old_arguments_accepted, old_names_of

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

F = TypeVar("F", bound=Callable[..., Any])


class KeywordBase:
    """Base of the keyword classes.

    Args:
        session: Clusters, recorder and clean-up of this library instance.
    """

    session: Session

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Adds the deprecated names of a class's keywords as keywords of their own."""
        super().__init_subclass__(**kwargs)
        for method in list(vars(cls).values()):
            for attribute, alias in old_names_of(method):
                setattr(cls, attribute, alias)


def _name_lone_types(wrapper: Callable[..., Any], method: Callable[..., Any]) -> None:
    """Makes hints of the form `X | None` into `X` where the default is None.

    Robot accepts None for such an argument anyway, and of a union's types none may say what it allows: `at_least=1GB`
    "cannot be converted to Bitrate or None" and nothing more.
    """
    hints = dict(method.__annotations__)
    for name, parameter in inspect.signature(method).parameters.items():
        hint = hints.get(name)
        if parameter.default is None and isinstance(hint, str):
            hints[name] = hint.removesuffix(" | None")
    wrapper.__annotations__ = hints


def keyword(
    name: str | None = None,
    *,
    tags: Sequence[str] = (),
    formerly: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Marks a method as a keyword and turns its errors into failures that read well.

    What the network or the product did wrong is a failure; what the suite, the machine or the account did wrong is
    an error; what the cluster does not offer is a skip. All stop the test; their words make the difference.

    Args:
        name: Name of the keyword where it differs from the method's, for instance for `CyPerf`.
        tags: Its tags.
        formerly: Names that it had in the release before; they go on working and warn.
        renamed: Arguments that had another name in the release before, old name to new; the same goes for them.
    """

    def decorate(method: F) -> F:
        @functools.wraps(method)
        def translated(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except (errors.WaitFailed, errors.WaitTimeout) as error:
                raise Failure(secrets.hide(str(error))) from error
            except errors.Unavailable as error:
                raise SkipExecution(secrets.hide(str(error))) from error
            except errors.NetLibraryError as error:
                raise Error(secrets.hide(str(error))) from error

        _name_lone_types(translated, method)
        accepted = old_arguments_accepted(translated, renamed or {}) if renamed else translated
        marked: F = robot_keyword(name=name, tags=tuple(tags))(accepted)
        marked.__dict__["formerly"] = tuple(formerly)
        return marked

    return decorate
