"""Asks before the first object is made whether the account may do what a suite needs.

The files in `manifests/access` are both what an administrator applies and what is asked for here.
"""

from __future__ import annotations

import fnmatch
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import yaml

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import looks
from NetLibrary._mechanics.kube.absences import STARTING
from NetLibrary._mechanics.kube.cluster import Cluster
from NetLibrary._mechanics.kube.missing import no_such_namespace, unreadable_namespace, unusable_namespace
from NetLibrary._mechanics.polling import settle

ACCESS = Path(__file__).parents[2] / "manifests" / "access"
SCOPE, ROWS, WITHOUT = "netlibrary.io/scope", "netlibrary.io/rows", "netlibrary.io/optional"
# Rights of a role that single rows need: "VERB RESOURCE" or "RESOURCE" → names of the rows
ONLY_FOR = "netlibrary.io/only-for"
# Rights of a role that a suite can do without: RESOURCE → what is missing then
OPTIONAL_FOR = "netlibrary.io/optional-for"
# Of a suite that makes several namespaces, whatever their names begin with
SEVERAL = "netlibrary.io/several-namespaces"
# Of a suite that works in more than one existing namespace, how many these are
SO_MANY = "netlibrary.io/namespaces"
# What one existing namespace means to a suite to which it is not simply the namespace to work in
ABOUT_NAMESPACE = "netlibrary.io/about-namespace"
# Where these rights are needed shows only when a row looks for what it disturbs; it asks itself then
ASKED_BY_ROWS = "asked-by-rows"
# Without these a suite runs and knows a little less: heartbeats for a sweep, what kube-proxy says, Services of others
OPTIONAL = {
    ("coordination.k8s.io", "leases"): "its heartbeat; a sweep then goes by the age of the run's objects",
}
# Policies of networks' own kinds, as (API group, resource)
OTHER_POLICIES = [
    (group, f"{kind}networkpolicies")
    for group, kinds in {
        "policy.networking.k8s.io": ("admin", "baselineadmin", "cluster"),
        "cilium.io": ("cilium", "ciliumclusterwide"),
        "crd.projectcalico.org": ("", "global"),
        "crd.antrea.io": ("", "cluster"),
    }.items()
    for kind in kinds
]
# Where there are such, tables of policies are not judged; who may not list them does not know
OPTIONAL |= dict.fromkeys(OTHER_POLICIES, "policies of the network's own kinds")
# Kinds that make pods. Suites that make none of a kind read it only to say why pods are missing
MAKERS = {("apps", kind) for kind in ("daemonsets", "deployments", "replicasets", "statefulsets")} | {("batch", "jobs")}
OPTIONAL_IN_CLUSTER = {
    ("apps", "daemonsets"): "which network plugin runs, for advice in its commands",
    ("", "namespaces"): "labels of namespaces, by which policies choose whom they allow",
    ("", "services"): "addresses of Services in other namespaces",
    ("discovery.k8s.io", "endpointslices"): "endpoints in other namespaces",
}


@dataclass(frozen=True)
class Right:
    """One thing that an account must be allowed to do.

    Args:
        verb: For instance `create`.
        group: API group; empty for the core.
        resource: Plural, with the subresource: `pods/exec`.
        namespace: Where; empty for everywhere.
        rows: Names of the tests that need it, as glob patterns with `|` between them; `*` for all.
        role: ClusterRole of the access file that grants it.
        optional: What is missing without it, where the suite runs all the same.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    rows: str
    role: str
    optional: str = ""

    def is_for(self, test: str) -> bool:
        """Tells whether a test needs it."""
        return any(fnmatch.fnmatchcase(test.lower(), pattern.lower()) for pattern in self.rows.split("|"))

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what} " + (
            f"in namespace '{self.namespace}'" if self.namespace else "in the whole cluster"
        )


def suites() -> list[str]:
    """Returns the names of the suites whose rights are known."""
    return sorted(file.stem for file in ACCESS.glob("*.yaml"))


def needed(suite: str, namespace: str | None = None) -> list[Right]:
    """Returns the rights of a suite.

    Args:
        suite: Its name.
        namespace: The one namespace to work in; without it the suite makes its own. Suites that need several make them
            anyway.
    Raises:
        errors.InputError: No such suite is known.
    """
    roles = _roles(suite)
    if any(role["metadata"]["annotations"].get(SEVERAL) for role in roles):
        namespace = None
    return [right for role in roles for right in _rights_of(role, namespace)]


def about_namespace(suite: str) -> str:
    """Returns a sentence on what one existing namespace means to the suite; empty where it just works in it."""
    return " ".join(str(role["metadata"]["annotations"].get(ABOUT_NAMESPACE, "")) for role in _roles(suite)).strip()


def _roles(suite: str) -> list[dict[str, Any]]:
    if suite not in suites():
        raise errors.InputError(f"suite is '{suite}'; allowed: {', '.join(suites())}.")
    return list(yaml.safe_load_all((ACCESS / f"{suite}.yaml").read_text(encoding="utf-8")))


def _rights_of(role: Mapping[str, Any], namespace: str | None) -> Iterator[Right]:
    """Yields the rights that a role grants, with the rows that need them, as its annotations tell."""
    name, notes = role["metadata"]["name"], role["metadata"]["annotations"]
    scope = str(notes[SCOPE])
    if (scope == "own-namespaces" and namespace) or scope == ASKED_BY_ROWS:
        return
    where = (namespace or "") if scope == "namespace" else scope.partition("namespace=")[2]
    only: dict[str, str] = yaml.safe_load(notes.get(ONLY_FOR, "{}"))
    for rule in role["rules"]:
        for group, resource in itertools.product(rule["apiGroups"], rule["resources"]):
            what = f"{resource}.{group}" if group else resource
            optional = _missing_without(notes, scope, group, resource, rule["verbs"])
            for verb in rule["verbs"]:
                rows = only.get(f"{verb} {what}") or only.get(what) or str(notes.get(ROWS, "*"))
                yield Right(verb, group, resource, where, rows, name, optional)


def _missing_without(notes: Mapping[str, str], scope: str, group: str, resource: str, verbs: Sequence[str]) -> str:
    """Returns what a suite that can do without a resource does not know then, else an empty text."""
    here: dict[str, str] = yaml.safe_load(notes.get(OPTIONAL_FOR, "{}"))
    found = notes.get(WITHOUT) or here.get(f"{resource}.{group}" if group else resource)
    found = found or OPTIONAL.get((group, resource))
    if scope == "namespace" and (group, resource) in MAKERS and verbs == ["list"]:
        found = found or "why pods are missing"
    if scope == "cluster":
        found = found or OPTIONAL_IN_CLUSTER.get((group, resource))
    return found or ""


def missing(cluster: Cluster, rights: list[Right]) -> list[Right]:
    """Returns those of the rights that the account does not have; all are asked for at once."""
    lacking: list[Right] = []

    def granted() -> bool:
        asked = list(dict.fromkeys((r.verb, r.group, r.resource, r.namespace) for r in rights))
        with ThreadPoolExecutor(max_workers=12, thread_name_prefix="rights") as pool:
            answers = pool.map(lambda each: _allowed(cluster, *each), asked)
            # An account that may not even ask is told by the requests themselves
            allowed = {each: answer is not False for each, answer in zip(asked, answers, strict=True)}
        lacking[:] = [r for r in rights if not allowed[(r.verb, r.group, r.resource, r.namespace)]]
        return not lacking

    # A server that has just begun knows no roles yet
    if not granted() and cluster.connection.absences.returned_within(STARTING):
        settle(granted, timeout=STARTING, every=1.0, what="Rights of the account, soon after the API server began")
    lists = {right for right in rights if right.verb == "list" and not right.namespace}
    if lists and not lists & set(lacking):
        looks.forget(cluster)
    return lacking


_REVIEW = "SelfSubjectAccessReview"
# What an account may do is asked for again after a minute: roles are given while a run goes on
_REMEMBERED_SECONDS = 60.0
_remembered: WeakKeyDictionary[Cluster, dict[tuple[str, str, str], tuple[float, bool]]] = WeakKeyDictionary()


def may(cluster: Cluster, verb: str, kind: str, namespace: str | None = None, *, timeout: float | None = None) -> bool:
    """Tells whether the account may do something, for a look that a suite can do without.

    A refused look would stand in the cluster's audit log each time, as if somebody tried doors.

    Args:
        cluster: Where.
        verb: For instance `list`.
        kind: Kind of the objects, with a subresource behind a slash: `Node/proxy`.
        namespace: Where they are; None for everywhere.
        timeout: Seconds that the answer may take, without patience with a server that is away.
    Raises:
        errors.ClusterError: The server gives no answer.
    """
    known = _remembered.setdefault(cluster, {})
    question = (verb, kind, namespace or "")
    asked, allowed = known.get(question, (float("-inf"), False))
    if time.monotonic() - asked > _REMEMBERED_SECONDS:
        name, _, part = kind.partition("/")
        resource = cluster.resources.find(name)
        plural = f"{resource.plural}/{part}" if part else resource.plural
        answer = _allowed(cluster, verb, resource.group, plural, namespace or "", timeout)
        allowed = answer is not False
        known[question] = (time.monotonic(), allowed)
    # Who may not ask has only the answers to the looks themselves
    return allowed


def _allowed(
    cluster: Cluster, verb: str, group: str, resource: str, namespace: str, timeout: float | None = None
) -> bool | None:
    """Asks the server; None where the account may not even ask, which stands in the audit log too."""
    if looks.refusal(cluster, _REVIEW):
        return None
    plural, _, subresource = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": namespace}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": _REVIEW,
        "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
    }
    try:
        answer = cluster.connection.request_object(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body,
            **({"timeout": timeout, "patient": False} if timeout else {}),
        )  # fmt: skip
    except errors.Forbidden as error:
        looks.note(cluster, _REVIEW, None, error)
        return None
    return bool((answer.get("status") or {}).get("allowed"))


def table(lacking: list[Right]) -> list[list[str]]:
    """Returns rows of right, who needs it, and what grants it."""
    return [[str(right), _needed_by(right), right.role] for right in lacking]


@dataclass(frozen=True)
class Verdict:
    """Whether an account may run a suite.

    Args:
        lacking: The rights that it does not have.
        doubt: What speaks against the name of a namespace that was given, as a sentence; empty for nothing.
        about: What the namespaces that were given mean to the suite, where that is not obvious.
        cause: What is wrong where a mere lack of roles is unlikely; empty where nothing points to it.
    """

    lacking: list[Right]
    doubt: str = ""
    about: str = ""
    cause: str = ""

    @property
    def hopeless(self) -> bool:
        """No row can run."""
        return bool(self.doubt) or any(right.rows == "*" and not right.optional for right in self.lacking)

    @property
    def state(self) -> str:
        """In words."""
        if self.hopeless:
            return "cannot run"
        if not self.lacking:
            return "can run"
        return "can run in part" if all(right.optional for right in self.lacking) else "can run without some rows"


def judge(cluster: Cluster, suite: str, namespaces: Sequence[str]) -> Verdict:
    """Returns whether an account may run a suite.

    Args:
        cluster: Where.
        suite: Name of the suite.
        namespaces: Those to work in; without any, the suite makes its own. A suite that needs several takes one alone
            for the beginning of the names of those that it makes.
    """
    roles = _roles(suite)
    notes = {key: value for role in roles for key, value in role["metadata"]["annotations"].items()}
    makes_its_own = bool(notes.get(SEVERAL)) or 0 < len(namespaces) < int(notes.get(SO_MANY, 1))
    places: list[str | None] = [*dict.fromkeys(namespaces)] if namespaces and not makes_its_own else [None]
    lacking = missing(cluster, [right for place in places for right in needed(suite, place)])
    doubt = next(filter(None, (doubt_about_namespace(cluster, place, lacking) for place in places)), "")
    about = about_namespace(suite) if makes_its_own and namespaces else ""
    cause = "" if about else likely_cause(suite, places[0], lacking)
    return Verdict(lacking, doubt, about, cause)


def doubt_about_namespace(cluster: Cluster, namespace: str | None, lacking: list[Right]) -> str:
    """Returns what speaks against the name of a namespace that somebody gave, as a sentence; empty for nothing."""
    if not namespace:
        return ""
    if unusable_namespace(cluster, namespace):
        # One that does not exist is made, where that is allowed
        return "" if may(cluster, "create", "Namespace") else str(no_such_namespace(cluster, namespace))
    # Roles of the whole cluster grant some rights in a namespace of any name, but hardly this one
    if any((each.verb, each.resource, each.namespace) == ("get", "namespaces", namespace) for each in lacking):
        return unreadable_namespace(namespace)
    return ""


def likely_cause(suite: str, namespace: str | None, lacking: list[Right]) -> str:
    """Returns what is wrong where a mere lack of roles is unlikely, as a sentence; empty where nothing points to it."""
    if not namespace and ("create", "namespaces") in {(right.verb, right.resource) for right in lacking}:
        return about_namespace(suite) or "An account that owns one namespace names it with -v NAMESPACE:…"
    return ""


def _needed_by(right: Right) -> str:
    if right.optional:
        return f"optional: {right.optional}"
    return "all rows" if right.rows == "*" else right.rows.replace("|", ", ")
