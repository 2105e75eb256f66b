"""Lets the run's own pods through in namespaces that policies of others close, where nothing could be measured else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube.ownership import Ownership
from NetLibrary._mechanics.kube.pods import PodSettings
from NetLibrary._mechanics.kube.reader import ClusterReader
from NetLibrary._mechanics.kube.selectors import selects

Object = dict[str, Any]
# On every pod that the run makes in such a namespace, so that the opening is for these and no others
POD_OF = "netlibrary.io/pod-of"
# On pods whose own policies are what is tried: the directions that are not opened for them, `ingress` or `egress`
OWN_POLICIES = "netlibrary.io/own-policies"
DIRECTIONS = {"ingress": "Ingress", "egress": "Egress"}


class Opening:
    """The namespaces of others in one cluster that policies close.

    Args:
        cluster: Where.
        ownership: Tells whose a policy is.
        settings: Returns what every pod of the run gets.
        create: Creates an object of the run.
        delete: Deletes one: kind, name, namespace.
    """

    def __init__(
        self, cluster: ClusterReader, ownership: Ownership, settings: Callable[[], PodSettings],
        create: Callable[[Object], Object], delete: Callable[[str, str, str], None],
    ) -> None:  # fmt: skip
        self._cluster, self._ownership, self._settings = cluster, ownership, settings
        self._create, self._delete = create, delete
        self.closed: dict[str, list[str]] = {}  # namespace → policies of others that close it

    def look(self, namespace: str) -> None:
        """Opens a namespace for the run's pods where a policy of others selects all pods; elsewhere nothing is made.

        What NetworkPolicies allow adds up, so this takes nothing away from those that are there.
        """
        try:
            policies = self._cluster.list("NetworkPolicy", namespace)
        except errors.ClusterError:
            return  # who may not see them measures what they do
        closing = [each for each in policies if self._closes(each)]
        if not closing:
            return
        self.closed[namespace] = [each["metadata"]["name"] for each in closing]
        names = ", ".join(f"'{name}'" for name in self.closed[namespace])
        try:
            for direction in DIRECTIONS:
                self._open(namespace, direction, {"matchLabels": {POD_OF: self._cluster.run_id}})
        except errors.Forbidden as error:
            self._cluster.say(
                f"Namespace '{namespace}' is closed by NetworkPolicy {names}, and the run may not open it for its own "
                f"pods; anything blocked there counts as blocked. {error}"
            )
            return
        self._cluster.say(
            f"Namespace '{namespace}' is closed by NetworkPolicy {names}; policies of the run allow its own pods, and "
            "are removed with it."
        )

    def let_through(self, namespace: str, name: str, labels: dict[str, str]) -> None:
        """Opens a closed namespace for further pods too, which others make for the run.

        Args:
            namespace: The namespace; nothing is made where it is not closed.
            name: Word for the policies' names.
            labels: Labels of these pods.
        """
        if namespace in self.closed:
            for direction in DIRECTIONS:
                self._open(namespace, direction, {"matchLabels": labels}, f"-{name}")

    def leave_ingress_to_others(self, namespace: str) -> None:
        """Takes away what lets traffic in to the run's pods, to try policies of its own; `look` brings it back."""
        if namespace in self.closed:
            self._delete("NetworkPolicy", self._name("ingress"), namespace)

    def pod_settings(self, namespace: str | None) -> PodSettings:
        """Returns the settings of the run's pods in a namespace: where it is closed, with the label that opens it."""
        settings = self._settings()
        if namespace not in self.closed:
            return settings
        return replace(settings, labels={**settings.labels, POD_OF: self._cluster.run_id})

    def _name(self, direction: str, more: str = "") -> str:
        return f"netlibrary-{direction}-{self._cluster.run_id}{more}"

    def _closes(self, policy: Object) -> bool:
        """Tells whether a policy of others selects any pod of the run, and does not let everything through."""
        spec = policy["spec"]
        if self._ownership.made(policy) or not selects(spec.get("podSelector") or {}, {POD_OF: "any"}):
            return False
        rules = {"Ingress": spec.get("ingress"), "Egress": spec.get("egress")}
        return any({} not in (rules[way] or []) for way in spec.get("policyTypes") or ["Ingress"])

    def _open(self, namespace: str, direction: str, selector: Object, more: str = "") -> None:
        own = {"key": OWN_POLICIES, "operator": "NotIn", "values": [direction]}
        name = self._name(direction, more)
        spec = {
            "podSelector": {**selector, "matchExpressions": [own]},
            "policyTypes": [DIRECTIONS[direction]],
            direction: [{}],
        }
        made = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec}
        with contextlib.suppress(errors.AlreadyExists):  # of an earlier row
            self._create({**made, "metadata": {"name": name, "namespace": namespace}})
