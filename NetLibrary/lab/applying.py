"""Applies objects to a lab by its own kubectl, definitions of new kinds first."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence


def apply_objects(kubectl: Callable[..., str], objects: Sequence[dict]) -> None:
    """Applies objects by server-side apply; waits for definitions of new kinds before objects of them.

    Args:
        kubectl: Runs kubectl with words and `stdin=`.
        objects: The objects, in any order.
    """
    definitions = [o for o in objects if o["kind"] == "CustomResourceDefinition"]
    rest = [o for o in objects if o["kind"] != "CustomResourceDefinition"]
    for group in (definitions, rest):
        if group:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": group})
            kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
        if group is definitions and group:
            names = [f"crd/{o['metadata']['name']}" for o in definitions]
            kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
