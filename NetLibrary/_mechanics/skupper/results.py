"""The status of Skupper's objects and goals for waiting on it.

Skupper writes one of three words into `status.status`: Pending, Error, Ready. An Error is often transient (a pod
watch that just starts, an event that is retried), so a wait ends early only where the Site itself asks for what its
controller does not offer.
"""

from __future__ import annotations

from typing import Any

from NetLibrary._mechanics.kube.wait import Done, Failed, Goal, Outcome, Pending

# Kinds whose whole readiness is this condition instead of `status.status`
_BY_CONDITION = {"AccessToken": "Redeemed", "Certificate": "Ready"}
_REFUSED = "Unsupported value for LinkAccess"


def is_ready(obj: dict[str, Any]) -> bool:
    """Tells whether an object of Skupper is ready."""
    status = obj.get("status", {})
    wanted = _BY_CONDITION.get(obj.get("kind", ""))
    if wanted:
        return condition(obj, wanted) == "True" and status.get("status") != "Error"
    return bool(status.get("status") == "Ready")


def condition(obj: dict[str, Any], kind: str) -> str:
    """Returns the status of a condition, or an empty text when it is not there."""
    for entry in obj.get("status", {}).get("conditions", []):
        if entry["type"] == kind:
            return str(entry["status"])
    return ""


def state_text(obj: dict[str, Any] | None) -> str:
    """Returns how an object stands, for instance `Pending (No matching connectors); Configured=True`."""
    if obj is None:
        return "it does not exist"
    status = obj.get("status", {})
    if not status:
        return "no status: no Skupper controller has processed it"
    head = str(status.get("status", "no status word"))
    if status.get("message") not in (None, "", "OK"):
        head += f" ({status['message']})"
    conditions = ", ".join(
        f"{c['type']}={c['status']}" for c in status.get("conditions", []) if c["type"] != "Ready"
    )  # fmt: skip
    return f"{head}; {conditions}" if conditions else head


def ready() -> Goal:
    """Goal: the object is ready; its value is the object."""

    def goal(objects: list[dict[str, Any]]) -> Outcome:
        if not objects:
            return Pending("it does not exist")
        if is_ready(objects[0]):
            return Done(objects[0])
        text = state_text(objects[0])
        return Failed(text) if _is_refused(objects[0]) else Pending(text)

    return goal


def _is_refused(obj: dict[str, Any]) -> bool:
    # The status may be about a value from before the last change
    seen = {entry.get("observedGeneration") for entry in obj.get("status", {}).get("conditions", [])}
    text = str(obj.get("status", {}).get("message", ""))
    return text.startswith(_REFUSED) and seen <= {None, obj["metadata"].get("generation")}


def site_with_endpoints() -> Goal:
    """Goal: a Site is ready and has addresses that others can link to.

    Redeeming a token before that wastes the redemption: it is counted before the certificate is made.
    """
    base = ready()

    def goal(objects: list[dict[str, Any]]) -> Outcome:
        outcome = base(objects)
        if isinstance(outcome, Done) and not objects[0]["status"].get("endpoints"):
            return Pending("ready, but without an address to link to")
        return outcome

    return goal
