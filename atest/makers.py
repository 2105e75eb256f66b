"""Makes one lab into clusters as several makers sell them, and runs suites there."""

from __future__ import annotations

import json

from kinds import kinds
from oddities import oddities

from NetLibrary.lab import Lab


class makers(oddities):  # noqa: N801 - Robot looks for a class of the module's name
    """Keywords of the suite about clusters of several makers, besides those about odd ones."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def __init__(self) -> None:
        super().__init__()
        self._kinds = kinds()

    @property
    def _lab(self) -> Lab:
        return Lab(self._kinds.get_lab_name())

    def start_lab(self, options: str) -> None:
        """Starts the lab of all rows, with options of `lab up`."""
        self._kinds.start_lab_of_kind(options)

    def stop_lab(self) -> None:
        """Takes the lab down."""
        self._kinds.stop_lab()

    def taint_nodes(self, taint: str, *nodes: str) -> None:
        """Taints nodes until the end of the test."""
        key = taint.partition("=")[0].partition(":")[0]
        self._lab.kubectl("taint", "nodes", *nodes, taint)
        self._undo.append(lambda: self._lab.kubectl("taint", "nodes", *nodes, f"{key}-"))

    def move_dns_as_openshift(self) -> None:
        """Gives the cluster's DNS another namespace, name and labels, at the address that pods know."""
        lab = self._lab
        old = json.loads(lab.kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "json"))
        for part in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "annotations"):
            old["metadata"].pop(part, None)
        old.pop("status", None)
        mine = ["-l", "kubernetes.io/service-name=kube-dns", "-o", "json"]
        endpoints = json.loads(lab.kubectl("-n", "kube-system", "get", "endpointslices", *mine))["items"]
        back = json.dumps(old)
        lab.kubectl("create", "namespace", "openshift-dns")
        lab.kubectl("-n", "kube-system", "delete", "service", "kube-dns")
        self._undo += [
            lambda: lab.kubectl("apply", "-f", "-", stdin=back),
            lambda: lab.kubectl("delete", "namespace", "openshift-dns"),
        ]
        labels = {"dns.operator.openshift.io/owning-dns": "default"}
        spec = {key: value for key, value in old["spec"].items() if key != "selector"}
        new = {**old, "metadata": {"name": "dns-default", "namespace": "openshift-dns", "labels": labels}, "spec": spec}
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(new))
        for number, each in enumerate(endpoints):
            metadata = {"name": f"dns-default-{number}", "namespace": "openshift-dns",
                        "labels": {"kubernetes.io/service-name": "dns-default"}}  # fmt: skip
            lab.kubectl("apply", "-f", "-", stdin=json.dumps({**each, "metadata": metadata}))


__all__ = ["makers"]
