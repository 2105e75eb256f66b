"""Types of work on a cluster: its objects and commands in its pods."""

from __future__ import annotations

from enum import Enum


class ServiceType(Enum):
    """Type of a Service; each type includes everything that the one before it offers."""

    ClusterIP = "ClusterIP"
    NodePort = "NodePort"
    LoadBalancer = "LoadBalancer"


class CommandOutput(str):
    """The standard output of a command, as text; the attributes hold the rest.

    | attribute | what |
    | --- | --- |
    | `exit_status` | its exit status |
    | `stderr` | its standard error |
    | `seconds` | how long it ran |
    """

    exit_status: int
    stderr: str
    seconds: float

    @classmethod
    def of(cls, stdout: str, exit_status: int, stderr: str, seconds: float) -> CommandOutput:
        """Returns an output with all its attributes."""
        output = cls(stdout)
        output.exit_status, output.stderr, output.seconds = exit_status, stderr, seconds
        return output
