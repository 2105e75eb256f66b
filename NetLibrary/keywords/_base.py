"""What all keyword mixins share: the session, and the one place where errors become Robot's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from robot.api import Error, Failure
from robot.api.deco import keyword as robot_keyword

from NetLibrary._mechanics import errors

if TYPE_CHECKING:
    from NetLibrary.keywords._session import Session

F = TypeVar("F", bound=Callable[..., Any])


class KeywordBase:
    """Base of the keyword mixins.

    Args:
        session: Clusters, recorder and clean-up of this library instance.
    """

    session: Session


def keyword(name: str | None = None, *, tags: Sequence[str] = ()) -> Callable[[F], F]:
    """Marks a method as a keyword and turns its errors into failures that read well.

    What the network or the product did wrong is a failure; what the suite, the machine or the account did wrong is
    an error. Both stop the test; their words make the difference for the reader.
    """

    def decorate(method: F) -> F:
        @functools.wraps(method)
        def translated(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except (errors.WaitFailed, errors.WaitTimeout) as error:
                raise Failure(str(error)) from error
            except errors.NetLibraryError as error:
                raise Error(str(error)) from error

        marked: F = robot_keyword(name=name, tags=tuple(tags))(translated)
        return marked

    return decorate
