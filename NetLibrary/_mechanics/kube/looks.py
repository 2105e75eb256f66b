"""Lists that a run can do without: one that was refused is not asked for again.

Each refusal stands in the cluster's audit log, as if somebody tried doors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from NetLibrary._mechanics import errors

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.reader import ClusterReader

Object = dict[str, Any]
# Cluster → kind and namespace → what the server said
_refused: WeakKeyDictionary[Any, dict[tuple[str, str], errors.Forbidden]] = WeakKeyDictionary()


def look(cluster: ClusterReader, kind: str, namespace: str | None = None, **selectors: str | None) -> list[Object]:
    """Lists objects; what was refused once is refused without another request, until the run asks for its rights anew.

    What a user asks for is not listed by this: a role may have been given meanwhile.

    Args:
        cluster: Where.
        kind: Kind of the objects.
        namespace: Where they are; None for everywhere.
        selectors: As for `ClusterReader.list`.
    Raises:
        errors.Forbidden: The account may not list them, in the server's words.
    """
    with _once(cluster, kind, namespace):
        return cluster.list(kind, *([namespace] if namespace else []), **selectors)


def glance(
    cluster: ClusterReader, kind: str, namespace: str | None, query: dict[str, Any], *, timeout: float
) -> list[Object]:
    """Lists objects as `look` does, without patience with a server that is busy or away.

    Args:
        cluster: Where.
        kind: Kind of the objects.
        namespace: Where they are; None for everywhere.
        query: Of the request, for instance `limit`.
        timeout: Seconds.
    Raises:
        errors.ClusterError: They cannot be listed now.
    """
    with _once(cluster, kind, namespace):
        path = cluster.resources.find(kind).path(namespace)
        answer = cluster.connection.request_object("GET", path, query=query, timeout=timeout, patient=False)
    return answer.get("items") or []


@contextlib.contextmanager
def _once(cluster: ClusterReader, kind: str, namespace: str | None) -> Iterator[None]:
    known = refusal(cluster, kind, namespace)
    if known is not None:
        raise errors.Forbidden(str(known), status=known.status, reason=known.reason)
    try:
        yield
    except errors.Forbidden as error:
        note(cluster, kind, namespace, error)
        raise


def refusal(cluster: ClusterReader, kind: str, namespace: str | None = None) -> errors.Forbidden | None:
    """Returns what the server said when it refused such a list, None where it has not."""
    return _refused.get(cluster, {}).get((kind, namespace or ""))


def note(cluster: ClusterReader, kind: str, namespace: str | None, error: errors.Forbidden) -> None:
    """Takes note of a refusal, unless it may be one of a moment."""
    if error.soon_after_absence:
        return
    # Without its traceback, which would keep alive what the run had in hand
    words = errors.Forbidden(str(error), status=error.status, reason=error.reason)
    _refused.setdefault(cluster, {})[kind, namespace or ""] = words


def forget(cluster: ClusterReader) -> None:
    """Forgets what was refused: roles may have been given since."""
    _refused.pop(cluster, None)
