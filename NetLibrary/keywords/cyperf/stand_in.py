"""Keywords for the stand-in of a CyPerf controller, and how it misbehaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api import Error

from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords.cyperf._shared import MANIFESTS, CyPerfBase, keyword


class CyPerfStandInKeywords(CyPerfBase):
    """Deploy the stand-in controller and inject faults into it."""

    @keyword(tags=["cyperf", "stand-in"])
    def deploy_cyperf_controller_stand_in(
        self, namespace: str, *, manifest: Path | None = None, timeout: timedelta | None = None,
        environment: Mapping[str, str] | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Deploys the stand-in for a CyPerf controller, for clusters without a real one.

        In a lab, its images and those of its agents are loaded first.

        Args:
            namespace: Namespace for it; the namespace must exist.
            manifest: File with its Deployment and Service; `manifests/cyperf/stand-in-controller.yaml` by default.
            timeout: How long it may take to start.
            environment: Environment variables for it, `CYPERF_STANDIN_…`.
            cluster: Alias of the cluster.
        Returns:
            Address for [Connect To CyPerf Controller], reachable from this machine and from pods.
        """
        from NetLibrary._mechanics.cyperf import reach
        from NetLibrary._mechanics.kube import addresses, manifests, wait

        connection = self.session.cluster(cluster)
        if connection.lab is not None:
            connection.lab.install("cyperf")
        for obj in manifests.load(manifest or MANIFESTS / "stand-in-controller.yaml"):
            obj["metadata"]["namespace"] = namespace
            if obj["kind"] == "Deployment" and environment:
                container = obj["spec"]["template"]["spec"]["containers"][0]
                kept = [entry for entry in container["env"] if entry["name"] not in environment]
                container["env"] = kept + [{"name": name, "value": value} for name, value in environment.items()]
            connection.apply(obj)
        connection.wait(
            "Pod", namespace, wait.pods_ready(1, now=connection.now), labels="app=cyperf-controller-stand-in",
            timeout=self._seconds(timeout), what="CyPerf controller stand-in",
        )  # fmt: skip
        service = connection.get("Service", "cyperf-controller", namespace)
        port = addresses.service_port(service, 443).get("nodePort")
        if port:
            return f"{reach.node_port_address(connection, service, [])}:{port}"
        return f"{reach.cluster_ip(service)}:443"

    @keyword(tags=["cyperf", "stand-in"])
    def set_cyperf_stand_in_faults(self, **faults: Any) -> None:
        """Injects faults into the stand-in controller, to see how suites react; `reset=True` ends all faults.

        Args:
            faults: Faults by name, for instance `licence_missing=${True}`, `operation_seconds={"start": 5}` or
                `html={"/configs": -1}`; text values are read as JSON.
        """
        controller = self._controller()
        if not controller.stand_in:
            raise Error(f"{controller.connection.base} is not a stand-in; faults can only be injected into stand-ins.")
        body = {name: _json(value) for name, value in faults.items()}
        response = controller.connection.http.put(
            f"{controller.connection.base}/stand-in/faults", json=body, timeout=10
        )
        if response.status_code != 200:
            raise InputError(f"The stand-in refused the faults: {response.json().get('message', response.text)}.")


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise InputError(f"'{value}' is not JSON.") from None
