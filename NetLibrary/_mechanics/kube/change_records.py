"""What a run has changed on an object of others, as an annotation of the object keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from NetLibrary._mechanics.kube.ownership import Object

RECORD_PREFIX = "changed-by.netlibrary.io/"
ABSENT = object()

Path = tuple[str, ...]


@dataclass
class Step:
    """One value that was changed.

    Args:
        path: Where it is in the object.
        was: Value before the run, `ABSENT` where there was none.
        now: Value that the run set, `ABSENT` where it removed one.
    """

    path: Path
    was: Any
    now: Any

    def dump(self) -> Object:
        """Returns the step as JSON has it."""
        result: Object = {"path": list(self.path)}
        if self.was is not ABSENT:
            result["was"] = self.was
        if self.now is not ABSENT:
            result["now"] = self.now
        return result


@dataclass
class Record:
    """Everything that one run changed on one object, the oldest change first.

    Args:
        steps: The changes.
        managers: Managers of the object's fields before.
        uid: Which object was changed; a copy of it carries the record too.
    """

    steps: list[Step] = field(default_factory=list)
    managers: list[Object] = field(default_factory=list)
    uid: str = ""

    def add(self, steps: list[Step]) -> None:
        """Adds changes; what a path had before the first of them counts."""
        for step in steps:
            known = next((s for s in self.steps if s.path == step.path), None)
            if known is None:
                self.steps.append(step)
            else:
                known.now = step.now

    def dump(self, now: float) -> str:
        """Returns the text for the annotation; its time, by the cluster's clock, is a sign of life."""
        stamp = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
        known = {"time": stamp, "uid": self.uid, "changes": [s.dump() for s in self.steps]}
        return json.dumps(known, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Record:
        """Reads an annotation; what is none of ours is an empty record."""
        try:
            known = json.loads(text)
            steps = [Step(tuple(c["path"]), c.get("was", ABSENT), c.get("now", ABSENT)) for c in known["changes"]]
            return cls(steps, uid=str(known.get("uid") or ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    @classmethod
    def of(cls, obj: Object, key: str) -> Record:
        """Reads an annotation of an object; one that was copied from another object is an empty record."""
        found = cls.load((obj["metadata"].get("annotations") or {}).get(key, ""))
        return found if found.is_about(obj) else cls()

    def is_about(self, obj: Object) -> bool:
        """Tells whether it is about this very object, and not about one that it is a copy of."""
        metadata = obj["metadata"]
        # Former versions have noted no UID; nobody copies a node
        return self.uid == metadata.get("uid") if self.uid else not metadata.get("namespace")
