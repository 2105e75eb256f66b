"""Which Skupper runs in a cluster, and what its objects are just now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.errors import ClusterError, EnvironmentProblem, WaitFailed, WaitTimeout
from NetLibrary._mechanics.facts import STAND_IN_LABEL, images_of
from NetLibrary._mechanics.kube import Cluster, looks
from NetLibrary._mechanics.kube.wait import pods_ready
from NetLibrary._mechanics.kube.why_not_ready import is_ready
from NetLibrary._mechanics.skupper.objects import GROUP, KINDS

# A controller that was applied a moment ago
START_SECONDS = 30.0
CONTROLLER = "app.kubernetes.io/name=skupper-controller"


@dataclass(frozen=True)
class Installation:
    """What runs as Skupper in a cluster.

    Args:
        stand_in: Text that describes the stand-in; None for the real product.
        controllers: Ready controllers, as `namespace/name`.
        images: Their images.
    """

    stand_in: str | None
    controllers: tuple[str, ...]
    images: tuple[dict[str, str | None], ...]

    def __str__(self) -> str:
        what = f"stand-in ({self.stand_in})" if self.stand_in else "real"
        return f"{what}, controller {', '.join(self.controllers) or 'not found'}"


def _wait_for_controller(cluster: Cluster) -> list[dict[str, Any]]:
    """Waits for a controller that is just starting, for instance because it was installed a moment ago."""
    try:
        found: list[dict[str, Any]] = cluster.wait(
            "Pod", None, pods_ready(1, now=cluster.now), labels=CONTROLLER, timeout=START_SECONDS,
            what="Skupper's controller",
        )  # fmt: skip
        return found
    except (WaitFailed, WaitTimeout) as error:
        raise EnvironmentProblem(
            f"Cluster '{cluster.alias}' has Skupper's CRDs, but no ready controller (pods "
            f"'{CONTROLLER}'): {error} Install or repair Skupper's controller."
        ) from error


def find_installation(cluster: Cluster) -> Installation | None:
    """Returns what is installed, or None when the API group `skupper.io` is not served.

    Raises:
        EnvironmentProblem: The definitions are there, but no controller gets ready.
    """
    if GROUP not in cluster.resources.groups():
        return None
    crd = cluster.find("CustomResourceDefinition", f"sites.{GROUP}") or {"metadata": {}}
    labels, notes = crd["metadata"].get("labels") or {}, crd["metadata"].get("annotations") or {}
    stand_in = None
    if STAND_IN_LABEL in labels:
        stand_in = notes.get(STAND_IN_LABEL) or "NetLibrary's own controller and router in Python, not Skupper"
    try:
        pods = looks.look(cluster, "Pod", labels=CONTROLLER)
    except ClusterError:  # an account that sees only its own namespaces: the status of the Sites will tell
        return Installation(stand_in, (), ())
    running = [pod for pod in pods if is_ready(pod)] or _wait_for_controller(cluster)
    names = tuple(f"{p['metadata']['namespace']}/{p['metadata']['name']}" for p in running)
    return Installation(stand_in, names, tuple(images_of(running)))


def objects_in(cluster: Cluster, namespace: str, said: Callable[[str], None]) -> list[dict[str, Any]]:
    """Returns Skupper's objects of a namespace, and its pods.

    Args:
        cluster: Where it is.
        namespace: Its name.
        said: Gets a line for each kind that the account may not list.
    """
    found: list[dict[str, Any]] = []
    for kind in (*(f"{kind}.{GROUP}" for kind in KINDS), "Pod"):
        try:
            found += cluster.list(kind, namespace)
        except ClusterError as error:
            said(f"No {kind} objects: {error}")
    return found


def routers_of(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the router pods among objects."""
    return [
        obj for obj in objects
        if obj.get("kind") == "Pod" and (obj["metadata"].get("labels") or {}).get("skupper.io/component") == "router"
    ]  # fmt: skip


def versions_of(objects: Iterable[dict[str, Any]]) -> list[str]:
    """Returns which controllers look after the Sites among objects, with their versions."""
    found = [site.get("status", {}).get("controller") or {} for site in objects if site.get("kind") == "Site"]
    return sorted({f"{c.get('namespace')}/{c.get('name')} {c.get('version')}" for c in found if c})
