"""State of the matrix keywords: the matrix that was built last."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from NetLibrary._mechanics.errors import InputError

if TYPE_CHECKING:
    from NetLibrary._mechanics.matrix.run import Matrix
    from NetLibrary.keywords._session import Session


class State:
    """The matrix of a session, and how many there were."""

    def __init__(self) -> None:
        self.matrix: Matrix | None = None
        self.number = 0

    def built(self) -> Matrix:
        """Returns the matrix.

        Raises:
            InputError: There is none.
        """
        if self.matrix is None or not self.matrix.sources:
            raise InputError("There is no Service matrix; use 'Build Service Matrix' first.")
        return self.matrix

    def close(self) -> Matrix | None:
        """Ends the probers of the matrix, if there is one, and returns it; its objects stay."""
        matrix, self.matrix = self.matrix, None
        if matrix is not None:
            matrix.close()
        return matrix


_STATES: WeakKeyDictionary[Session, State] = WeakKeyDictionary()


def state_of(session: Session) -> State:
    """Returns the state that all matrix keywords of a session share."""
    return _STATES.setdefault(session, State())
