"""What the disruption keywords share: who may be disturbed, breaking for a time, and the argument `for`."""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from robot.api import SkipExecution, logger

from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase
from NetLibrary.keywords._outages import measured_step

NODE_READY_S = 90.0
F = TypeVar("F", bound=Callable[..., Any])


class _For(inspect.Parameter):
    """The argument `for`: a good word in suites, and one that Python keeps for itself."""

    name = "for"


def lasting(method: F) -> F:
    """Shows the argument `for_` of a keyword as `for`."""

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        if "for" in kwargs:
            kwargs["for_"] = kwargs.pop("for")
        return method(*args, **kwargs)

    signature = inspect.signature(method)
    shown = [
        _For("for_", each.kind, default=each.default, annotation=each.annotation) if each.name == "for_" else each
        for each in signature.parameters.values()
    ]
    called.__dict__["__signature__"] = signature.replace(parameters=shown)
    hints = method.__annotations__
    called.__doc__ = (method.__doc__ or "").replace("for_:", "for:")
    called.__annotations__ = {"for" if name == "for_" else name: hint for name, hint in hints.items()}
    return called  # type: ignore[return-value]


class DisruptionBase(KeywordBase):
    """Helpers; the classes of the keywords have no state of their own."""

    def _faults(self, cluster: str | None) -> Any:
        lab = self._lab(cluster, "breaking a node")
        from NetLibrary.lab.faults import Faults

        faults = Faults(lab)
        watched = vars(self.session).setdefault("faulty_labs", set())
        if str(lab.kubeconfig) not in watched:
            watched.add(str(lab.kubeconfig))
            self.session.on_close("faults of the lab", lambda: _repair_mine(faults), on_this_machine=True)
        return faults

    def _break(self, plan: Any, duration: timedelta | None, cluster: str | None, *, ready: str = "") -> str:
        """Breaks, and with a duration mends again; both are steps of a measurement that runs."""
        from NetLibrary._mechanics.disruption import workloads

        faults = self._faults(cluster)
        with measured_step(self.session, f"{plan.node}: {plan.kind}"):
            fault = faults.apply(plan)
        logger.info(f"Broken: {fault.text}")
        if duration is None:
            return str(fault.identity)
        try:
            time.sleep(duration.total_seconds())
        finally:
            connection = self.session.cluster(cluster)
            since = connection.now()
            with measured_step(self.session, restored(fault)):
                faults.repair(fault)
                if ready:
                    workloads.wait_node_ready(connection, ready, timeout=NODE_READY_S, say=logger.info, since=since)
        return str(fault.identity)

    def _allow(self, cluster: str | None, what: str) -> None:
        """Skips what would disturb a cluster that is not ours to disturb."""
        connection = self.session.cluster(cluster)
        if connection.is_lab:
            return
        allowed = _robot.variable("ALLOW_DISRUPTION", False)
        if str(allowed).lower() not in ("true", "yes", "1", "on"):
            raise SkipExecution(
                f"Skipped: {what} would disturb the cluster '{connection.server}', which is not a lab. Give -v "
                "ALLOW_DISRUPTION:True if it may be disturbed."
            )

    def _is_own(self, connection: Any, kind: str, name: str, namespace: str | None) -> bool:
        """Tells whether the run created an object, or what it belongs to."""
        found = connection.find(kind, name, namespace)
        return found is not None and connection.ownership.owns(connection.resources.find(kind), found)

    def _lab(self, cluster: str | None, what: str) -> Any:
        connection = self.session.cluster(cluster)
        if not connection.is_lab:
            raise SkipExecution(
                f"Skipped: {what} needs the lab (-v CLUSTER:lab). On the cluster '{connection.server}' use "
                "'Run Command During Measurement' with its own tool."
            )
        return connection.lab


def restored(fault: Any) -> str:
    """Returns the name of the step in which a fault is mended."""
    return f"{fault.node}: {fault.kind} restored"


def _repair_mine(faults: Any) -> None:
    for fault in faults.repair_all(pid=os.getpid()):
        logger.warn(f"Restored at the end of the run: {fault.text}")
