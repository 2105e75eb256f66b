"""Conditions of a custom resource and the status words rolled up from them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

REQUIRED: dict[str, tuple[str, ...]] = {
    "Site": ("Configured", "Running"),  # and Resolved when links are accepted
    "Link": ("Configured", "Operational"),
    "Listener": ("Configured", "Matched"),
    "MultiKeyListener": ("Configured", "Operational"),
    "Connector": ("Configured", "Matched"),
    "AttachedConnector": ("Configured",),
    "AttachedConnectorBinding": ("Configured", "Matched"),
    "AccessGrant": ("Processed", "Resolved"),
    "AccessToken": ("Redeemed",),
    "RouterAccess": ("Configured", "Resolved"),
    "SecuredAccess": ("Configured", "Resolved"),
}
WITHOUT_READY = ("MultiKeyListener", "AccessToken")

READY, PENDING, ERROR = "Ready", "Pending", "Error"


def now() -> str:
    """Gives the time in the form of Kubernetes (RFC 3339, UTC, seconds)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Status:
    """The status of one object while it is worked out.

    Example:
        >>> status = Status({"kind": "Connector", "metadata": {}})
        >>> status.ok("Configured")
        >>> status.patch()["status"], status.patch()["message"]
        ('Pending', 'Not Matched')
    """

    def __init__(self, obj: dict, required: tuple[str, ...] | None = None) -> None:
        self.obj = obj
        self.required = REQUIRED[obj["kind"]] if required is None else required
        self.before: dict = obj.get("status") or {}
        self.fields: dict[str, Any] = {}
        self.conditions: dict[str, dict] = {c["type"]: dict(c) for c in self.before.get("conditions") or []}

    def ok(self, kind: str) -> None:
        """Sets a condition true."""
        self.set(kind, True, READY, "OK")

    def pending(self, kind: str, message: str) -> None:
        """Sets a condition false because something has still to happen."""
        self.set(kind, False, PENDING, message)

    def error(self, kind: str, message: str) -> None:
        """Sets a condition false because something is wrong."""
        self.set(kind, False, ERROR, message)

    def set(self, kind: str, true: bool, reason: str, message: str) -> None:
        """Sets a condition; the transition time moves only when its truth does."""
        word = "True" if true else "False"
        old = self.conditions.get(kind)
        changed = old is None or old["status"] != word
        self.conditions[kind] = {
            "type": kind,
            "status": word,
            "reason": reason,
            "message": message,
            "lastTransitionTime": now() if changed or old is None else old["lastTransitionTime"],
            "observedGeneration": self.obj["metadata"].get("generation", 1),
        }

    def has(self, kind: str) -> bool:
        """Tells whether the condition is there, true or false."""
        return kind in self.conditions

    def true(self, kind: str) -> bool:
        """Tells whether the condition is true."""
        return self.conditions.get(kind, {}).get("status") == "True"

    def roll_up(self) -> tuple[str, str]:
        """Gives status word and message: the first required condition that is not true decides."""
        for kind in self.required:
            condition = self.conditions.get(kind)
            if condition is None:
                return PENDING, f"Not {kind}"
            if condition["status"] != "True" or condition["reason"] == ERROR:
                return condition["reason"], condition["message"]
        return READY, "OK"

    def result(self) -> dict:
        """Gives the whole status as it should be."""
        after = {k: v for k, v in self.before.items() if k not in self.fields}
        after.update({k: v for k, v in self.fields.items() if v})  # false and 0 are left out
        if self.obj["kind"] != "Certificate":
            word, message = self.roll_up()
            after["status"], after["message"] = word, message
            if self.obj["kind"] not in WITHOUT_READY:
                self.set("Ready", word == READY, word, message)
        after["conditions"] = list(self.conditions.values())
        return after

    def patch(self) -> dict:
        """Gives the merge patch that turns the status into the result; empty when nothing moves."""
        return merge_patch(self.before, self.result())


def merge_patch(before: dict, after: dict) -> dict:
    """Gives the JSON merge patch (RFC 7386) that turns one object into the other."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            patch[key] = merge_patch(old, value)
        else:
            patch[key] = value
    return patch
