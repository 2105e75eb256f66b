"""Errors of the CyPerf mechanics.

NetLibraryError
└── CyPerfError           the controller said no, or said something that makes no sense
    ├── Unreachable       nobody answers there
    ├── Unauthorized      the credentials are not accepted
    ├── NotJson           an answer that is no JSON, for instance a web page
    ├── Missing           there is no such configuration, session, agent, application, result
    └── LicenceMissing    the controller has no licence for the test
"""

from __future__ import annotations

from NetLibrary._mechanics.errors import NetLibraryError, WaitFailed


class CyPerfError(NetLibraryError):
    """The controller refused a request.

    Args:
        message: What was asked for and what the controller said.
        status: HTTP status, 0 when there was none.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(CyPerfError):
    """The controller cannot be reached."""


class Unauthorized(CyPerfError):
    """The controller does not accept the credentials."""


class NotJson(CyPerfError):
    """The answer is not JSON."""


class Missing(CyPerfError):
    """What was asked for does not exist."""


class LicenceMissing(CyPerfError):
    """The test needs a licence that the controller does not have."""


class OperationFailed(CyPerfError):
    """An asynchronous operation ended as an error."""


class RunFailed(WaitFailed):
    """A test run could not start, or ended as an error."""
