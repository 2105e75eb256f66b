"""A small client for the lab's own API server, for the start alone: no discovery, no library to load."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import AddressPlan

# kind → where its objects are created; {} is the namespace
COLLECTIONS = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


class NoAnswer(EnvironmentProblem):
    """The API server does not answer."""


class ApiServer:
    """The administrator's connection to a lab's API server.

    Args:
        plan: Where it listens.
        paths: Where the administrator's certificate is.
    """

    def __init__(self, plan: AddressPlan, paths: Paths) -> None:
        self._host, self._paths = plan.api_address, paths
        self._tls: ssl.SSLContext | None = None

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.create_default_context(cafile=str(self._paths.pki / "ca.crt"))
            context.load_cert_chain(str(self._paths.pki / "admin.crt"), str(self._paths.pki / "admin.key"))
            self._tls = context
        return self._tls

    def request(self, method: str, path: str, body: Any = None, timeout: float = 10.0) -> tuple[int, bytes]:
        """Sends one request.

        Returns:
            HTTP status and body.
        Raises:
            NoAnswer: Nothing answered.
        """
        try:
            connection = http.client.HTTPSConnection(self._host, 6443, timeout=timeout, context=self._context())
            try:
                data = json.dumps(body) if body is not None else None
                connection.request(
                    method, path, data, {"Content-Type": "application/json", "Accept": "application/json"}
                )
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"The API server at {self._host}:6443 does not answer: {error}.") from error

    def ready(self) -> bool:
        """Tells whether the API server serves requests.

        Raises:
            NoAnswer: It answers with a certificate that this machine's Python will never accept.
        """
        try:
            return self.request("GET", "/readyz", timeout=2.0)[0] == 200
        except NoAnswer as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise
            return False

    def get(self, path: str) -> dict:
        """Returns an object or a list."""
        status, body = self.request("GET", path)
        if status != 200:
            raise EnvironmentProblem(
                f"GET {path}: the API server answered {status}: {body.decode(errors='replace')[:300]}"
            )
        return json.loads(body)

    def create(self, obj: dict) -> None:
        """Creates an object of one of the kinds above; one that is there already stays as it is."""
        path = COLLECTIONS[obj["kind"]].format(obj["metadata"].get("namespace", ""))
        status, body = self.request("POST", path, obj)
        if status not in (200, 201, 202, 409):
            name = obj["metadata"]["name"]
            raise EnvironmentProblem(
                f"{obj['kind']} '{name}' cannot be created: {status} {body.decode(errors='replace')[:500]}"
            )
