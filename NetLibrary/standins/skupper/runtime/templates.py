"""Label templates: ConfigMaps whose labels and annotations go onto objects that the controller makes."""

from __future__ import annotations

from . import names
from .selectors import matches

OWN_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


def apply(obj: dict, templates: list[dict]) -> None:
    """Adds labels and annotations of the templates that mean this object; never replaces its own."""
    meta = obj["metadata"]
    for template in templates:
        if not _means(template.get("data") or {}, obj):
            continue
        source = template["metadata"]
        for field, marks in (("labels", (names.LABEL_TEMPLATE,)), ("annotations", OWN_ANNOTATIONS)):
            for key, value in (source.get(field) or {}).items():
                if key not in marks:
                    meta.setdefault(field, {}).setdefault(key, value)


def _means(data: dict[str, str], obj: dict) -> bool:
    meta = obj["metadata"]
    excluded = [word for word in data.get("exclusions", "").replace("\n", ",").split(",") if word.strip()]
    if obj["kind"] in excluded or meta["name"] in excluded:
        return False
    if data.get("kind") and data["kind"] != obj["kind"]:
        return False
    if data.get("name") and data["name"] != meta["name"]:
        return False
    return matches(data.get("labelSelector", ""), meta.get("labels") or {})
