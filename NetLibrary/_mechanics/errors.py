"""Every error that the mechanics raise.

NetLibraryError
├── InputError            an argument is not usable; says which one and what is allowed
├── EnvironmentProblem    the machine or the suite's surroundings lack something
├── Unavailable           the cluster does not offer what a test needs, which is no fault: the test is skipped
├── ClusterError          the API server said no (status, reason, message)
│   ├── NotFound, AlreadyExists, Conflict, Forbidden, Unauthorized, Invalid, Expired, TooManyRequests
│   └── Unreachable       no answer at all
├── NotOwned              the object is not one that this run created, so it is not deleted
├── ControllerError       the controller of a product said no, or something that makes no sense
│   ├── ControllerUnreachable, LoginRefused, Missing, NotJson, OperationFailed
│   └── LicenceMissing    it has no licence for the test; also Unavailable, so the test is skipped
├── WaitTimeout           the goal was not reached in time
├── WaitFailed            the goal cannot be reached any more
│   └── RunFailed         a run could not start, or ended as an error
├── ExecFailed            the command in the pod ended with a status other than 0
│   └── ToolMissing       because its program is not in the image
└── ExecLost              the connection to the command ended without its exit status
"""

from __future__ import annotations


class NetLibraryError(Exception):
    """Base of all errors of this package; the first line of its text is complete in itself."""


class InputError(NetLibraryError, ValueError):
    """An argument is not usable. The text names the argument and what is allowed."""


class EnvironmentProblem(NetLibraryError):
    """The surroundings lack something that the work needs, for instance a program or a kubeconfig."""


class Unavailable(NetLibraryError):
    """The cluster does not offer what a test needs, for instance a second node. No fault: the test is skipped."""


class ClusterError(NetLibraryError):
    """The API server refused a request.

    Args:
        message: What was tried, where, and what the server said.
        status: HTTP status, 0 when there was no answer.
        reason: Reason word of the Kubernetes Status object, for instance `NotFound`.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after: float | None = None  # seconds after which the server asks to come again
        self.soon_after_absence = False  # whether the server was away just before: it knows no roles for a moment then
        self.after_lost = False  # whether it was asked before and may have been done: that answer was lost


class NotFound(ClusterError):
    """The object, or its kind, does not exist (404)."""


class AlreadyExists(ClusterError):
    """An object of that name is there already (409, reason AlreadyExists)."""


class Conflict(ClusterError):
    """Somebody else changed the object meanwhile, or another manager owns the field (409)."""


class Forbidden(ClusterError):
    """The account may not do that (403)."""


class Unauthorized(ClusterError):
    """The credentials were not accepted (401)."""


class Invalid(ClusterError):
    """The API server found the object invalid (400 or 422)."""


class Expired(ClusterError):
    """The resource version asked for is gone (410); list again."""


class TooManyRequests(ClusterError):
    """The API server is overloaded or the action is not allowed just now (429)."""


class Unreachable(ClusterError):
    """No answer of the API server: connection refused, name unknown, certificate not trusted, time out, or a proxy's.

    Args:
        message: What was tried, where, and what went wrong.
        sent: Whether the request may have reached the server.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", sent: bool = True) -> None:
        super().__init__(message, status=status, reason=reason)
        self.sent = sent
        self.final = False  # whether asking again is pointless, for instance because a certificate is not trusted


class NotOwned(NetLibraryError):
    """A deletion was asked for of an object that this run did not create."""


class ControllerError(NetLibraryError):
    """The controller of a product refused a request.

    Args:
        message: What was asked for and what the controller said.
        status: HTTP status, 0 when there was none.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ControllerUnreachable(ControllerError):
    """The controller cannot be reached."""


class LoginRefused(ControllerError):
    """The controller does not accept the credentials."""


class NotJson(ControllerError):
    """The controller's answer is not JSON, for instance a web page."""


class Missing(ControllerError):
    """The controller has no such configuration, session, agent, application or result."""


class OperationFailed(ControllerError):
    """An asynchronous operation of the controller ended as an error."""


class LicenceMissing(ControllerError, Unavailable):
    """The test needs a licence that the controller does not have."""


class WaitTimeout(NetLibraryError):
    """The goal of a wait was not reached within its time limit."""


class WaitFailed(NetLibraryError):
    """The goal of a wait cannot be reached any more, so waiting on would be pointless."""


class RunFailed(WaitFailed):
    """A run of a product could not start, or ended as an error."""


class ExecFailed(NetLibraryError):
    """A command in a pod ended with an exit status other than 0.

    Args:
        message: What ran where, and what it said.
        exit_code: Exit status of the command.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ToolMissing(ExecFailed):
    """The program of a command is not in the container's image."""


class ExecLost(NetLibraryError):
    """The connection to a command in a pod ended before its exit status came."""
