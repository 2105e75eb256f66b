"""Events of the cluster, chosen by what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import times

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster


@dataclass(frozen=True)
class Choice:
    """Which events are meant; what is empty does not count.

    Args:
        kind: `Normal` or `Warning`.
        reason: Kubernetes' word, for instance `BackOff`.
        about: `Kind/name` of the object, or its name alone.
        text: Part of the message.
        since_seconds: Only events that were seen in the last so many seconds.
    """

    kind: str = ""
    reason: str = ""
    about: str = ""
    text: str = ""
    since_seconds: float | None = None

    def __str__(self) -> str:
        words = {"type": self.kind, "reason": self.reason, "object": self.about, "text": self.text}
        return ", ".join(f"{key}={value}" for key, value in words.items() if value) or "any"


def find(cluster: Cluster, namespace: str | None, choice: Choice) -> list[dict[str, Any]]:
    """Returns events that fit, the oldest first, each with `time`, `type`, `reason`, `object`, `message` and `count`.

    Raises:
        InputError: The type is none.
    """
    if choice.kind not in ("", "Normal", "Warning"):
        raise InputError(f"type is '{choice.kind}'; allowed: Normal and Warning.")
    kind, slash, name = choice.about.rpartition("/")
    if slash:
        kind = cluster.resources.find(kind).kind
    least = 0.0 if choice.since_seconds is None else cluster.now() - choice.since_seconds
    found = []
    for event in cluster.list("Event", namespace):
        about = event.get("involvedObject") or {}
        fits = (
            choice.kind in ("", event.get("type"))
            and choice.reason in ("", event.get("reason"))
            and name in ("", about.get("name"))
            and kind in ("", about.get("kind"))
            and choice.text in str(event.get("message", ""))
            and times.of_event(event) >= int(least)
        )
        if fits:
            found.append((times.of_event(event), event, about))
    return [
        {
            "time": times.stamp(moment),
            "type": event.get("type", ""),
            "reason": event.get("reason", ""),
            "object": f"{about.get('kind')}/{about.get('name')}",
            "message": event.get("message", ""),
            "count": (event.get("series") or {}).get("count") or event.get("count") or 1,
        }
        for moment, event, about in sorted(found, key=lambda each: each[0])
    ]
