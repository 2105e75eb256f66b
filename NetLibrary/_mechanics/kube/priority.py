"""A PriorityClass that somebody named and the cluster does not have, in words: what there is instead."""

from __future__ import annotations

import difflib
import re

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import looks
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.remedies import remedy

_MISSING = r"no PriorityClass with name (\S+) was found"
# Kubernetes' own, for pods of the system
_SYSTEM = "system-"
LIMIT = 5.0
MOST = 5


def instead(cluster: ClusterReader, text: str) -> str:
    """Returns who names a PriorityClass that does not exist and which there are, as the end of a sentence.

    Args:
        cluster: Where.
        text: Words of a refusal; an empty text comes back for those about anything else.
    """
    missing = re.search(_MISSING, text)
    if not missing:
        return ""
    named = "; the variable PRIORITY_CLASS or the manifest names it"
    try:
        found = looks.glance(cluster, "PriorityClass", None, {}, timeout=LIMIT)
    except errors.NetLibraryError:  # most accounts may not list them
        return named
    names = sorted(str(each["metadata"]["name"]) for each in found)
    others = [name for name in names if not name.startswith(_SYSTEM)]
    close = [*difflib.get_close_matches(missing[1], others, MOST, 0.5), *others]
    shown = ", ".join(repr(name) for name in list(dict.fromkeys(close))[:MOST])
    return f"{named}, and there is {shown or 'none but those of the system'}{', ...' if len(others) > MOST else ''}"


def remedy_in(cluster: ClusterReader, text: str) -> str:
    """Returns what to do about a refused pod, with what the cluster has instead; empty when nothing is known."""
    return remedy(text) + instead(cluster, text)
