"""The lab's own API server as its start and its status ask it."""

from __future__ import annotations

import ssl
from typing import Any

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.plain_api import ApiError, PlainApi, path_of
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import AddressPlan

PORT = 6443


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
        self._made: PlainApi | None = None

    def _api(self) -> PlainApi:
        """Returns the connection; its certificates are there once the lab has made them."""
        if self._made is None:
            context = ssl.create_default_context(cafile=str(self._paths.pki / "ca.crt"))
            context.load_cert_chain(str(self._paths.pki / "admin.crt"), str(self._paths.pki / "admin.key"))
            host = f"[{self._host}]" if ":" in self._host else self._host
            self._made = PlainApi(f"https://{host}:{PORT}", context, agent="netlibrary-lab")
        return self._made

    def _ask(self, method: str, path: str, body: Any = None, timeout: float = 10.0) -> dict:
        try:
            return self._api().request(method, path, body, timeout=timeout)
        except OSError as error:
            raise NoAnswer(f"The API server at {self._host}:{PORT} cannot be asked: {error}.") from error
        except ApiError as error:
            if error.status == 0:
                reason = error.__cause__ or error
                raise NoAnswer(f"The API server at {self._host}:{PORT} does not answer: {reason}.") from reason
            raise

    def ready(self) -> bool:
        """Tells whether the API server serves requests.

        Raises:
            NoAnswer: It answers with a certificate that this machine's Python will never accept.
        """
        try:
            self._ask("GET", "/readyz", timeout=2.0)
        except NoAnswer as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise
            return False
        except ApiError:
            return False
        return True

    def get(self, path: str) -> dict:
        """Returns an object or a list."""
        try:
            return self._ask("GET", path)
        except ApiError as error:
            raise EnvironmentProblem(f"GET {path}: the API server answered {error}.") from error

    def create(self, obj: dict) -> None:
        """Creates an object; one that is there already stays as it is."""
        try:
            self._ask("POST", path_of(obj["kind"], obj["metadata"].get("namespace")), obj)
        except ApiError as error:
            if error.status != 409:
                name = obj["metadata"]["name"]
                raise EnvironmentProblem(f"{obj['kind']} '{name}' cannot be created: {error}.") from error
