"""What a user named and the cluster does not have, in words: what there is instead."""

from __future__ import annotations

from collections.abc import Iterator

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.hindrances import Advisor, Hint
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.why_not_ready import Object


def missing_namespace(cluster: ClusterReader, name: str) -> str:
    """Returns words about a namespace that does not exist; an empty text when it does, or may not be looked at."""
    # That one is being deleted, so that nothing starts in it, is certain; it is there all the same
    return next((hint.text for hint in _about_namespace(cluster, name) if not hint.certain), "")


def unusable_namespace(cluster: ClusterReader, name: str) -> str:
    """Returns words about a namespace that does not exist or is being deleted, so that nothing can be made in it."""
    return next((hint.text for hint in _about_namespace(cluster, name)), "")


def _about_namespace(cluster: ClusterReader, name: str) -> Iterator[Hint]:
    return Advisor(cluster, "", name, None, None, readiness=True).nothing_there()


def no_such_namespace(cluster: ClusterReader, name: str) -> errors.InputError:
    """Returns the error about a namespace that somebody named and that does not exist; it names similar ones."""
    words = unusable_namespace(cluster, name) or f"there is no namespace '{name}'"
    return errors.InputError(f"{words[0].upper()}{words[1:]}.")


def unreadable_namespace(name: str) -> str:
    """Returns a sentence about a namespace that an account may not even read; most often its name is misspelt."""
    return f"The account may not even read namespace '{name}': is this its name, and is there such a namespace?"


def required(cluster: ClusterReader, kind: str, name: str, namespace: str | None = None) -> Object:
    """Returns an object that a user named.

    Raises:
        errors.NotFound: It does not exist; the text names what there is instead.
    """
    try:
        return cluster.get(kind, name, namespace)
    except errors.NotFound as error:
        full = cluster.resources.find(kind).kind
        advisor = Advisor(cluster, full, namespace, name, None, readiness=False)
        text = next((hint.text for hint in advisor.nothing_there()), "")
        if not text:
            where = f" in namespace '{namespace}'" if namespace else ""
            there = sorted(str(each["metadata"]["name"]) for each in advisor.objects_there())
            some = ", ".join(repr(each) for each in there[:5]) + (", ..." if len(there) > 5 else "")
            text = f"there is no {full} '{name}'{where}; there is {some or 'none at all'}"
        place = f"Cluster '{cluster.alias}': " if cluster.alias != "default" else ""
        raise errors.NotFound(f"{place}{text[0].upper()}{text[1:]}.", status=404) from error


def labels_without_pods(cluster: ClusterReader, labels: str, namespace: str) -> str:
    """Returns words about labels that no pod has, with those that there are."""
    hints = Advisor(cluster, "Pod", namespace, None, labels, readiness=False).nothing_there()
    return next((hint.text for hint in hints), f"no pod in '{namespace}' has the labels '{labels}'")
