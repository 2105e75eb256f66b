"""Keywords that bring ports of pods to this machine."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any

from robot.api import logger

from NetLibrary.keywords._base import KeywordBase, keyword


class PortForwardKeywords(KeywordBase):
    """Start and stop port forwards."""

    @keyword(tags=["cluster", "port-forward"])
    def start_port_forward(
        self, target: str, namespace: str, port: str, *, local_port: int = 0,
        timeout: timedelta = timedelta(seconds=5), cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Makes a port of a pod reachable on this machine, as `kubectl port-forward` does.

        It is meant for libraries that run on this machine, such as RequestsLibrary. The connection goes through the API
        server and not over the cluster's network: it proves that the program in the pod answers and says nothing about
        the network. To test that, see [Connection Should Succeed].

        The port forward ends with the test that started it, with the suite if a suite setup started it, or with
        [Stop Port Forward]. If the pod is gone, the next connection uses another pod of the same Service or workload.

        Args:
            target: Name of a pod, or `svc/NAME`, `deploy/NAME`, `sts/NAME`, `ds/NAME` for one of its ready pods.
            namespace: Its namespace.
            port: Number or name of the port; for a Service, that of the Service.
            local_port: Port on this machine; a free one by default.
            timeout: Time within which something must listen on the port in the pod.
            cluster: Alias of the cluster.
        Returns:
            The local address, for instance `127.0.0.1:40123`.
        Raises:
            Failure: Nothing listens on that port in the pod.

        ```robotframework
        *** Settings ***
        Library    NetLibrary
        Library    RequestsLibrary

        *** Test Cases ***
        The Server Answers
            ${address}    Start Port Forward    svc/web    shop    80
            ${answer}    GET    http://${address}/healthz    expected_status=200
        ```
        """
        from NetLibrary._mechanics.kube.port_forward import PortForward

        forward = PortForward(
            self.session.cluster(cluster), namespace, target, port, local_port=local_port,
            timeout=timeout.total_seconds(),
        )  # fmt: skip
        address = f"127.0.0.1:{forward.local_port}"
        self._forwards[address] = forward
        self.session.on_scope_end(f"the port forward {address}", lambda: self._end_forward(address))
        logger.info(f"{forward.text}.")
        return address

    @keyword(tags=["cluster", "port-forward"])
    def stop_port_forward(self, address: str | None = None) -> None:
        """Ends a port forward before its test or suite ends, as Ctrl-C ends `kubectl port-forward`.

        Warns if connections over it have failed.

        Args:
            address: Address that [Start Port Forward] returned; all port forwards by default.
        """
        from NetLibrary._mechanics.errors import InputError

        if address is not None and address not in self._forwards:
            known = ", ".join(self._forwards) or "none"
            raise InputError(f"address is '{address}'; running port forwards: {known}.")
        for each in [address] if address else list(self._forwards):
            self._end_forward(each)

    @cached_property
    def _forwards(self) -> dict[str, Any]:
        return {}

    def _end_forward(self, address: str) -> None:
        forward = self._forwards.pop(address, None)
        if forward is not None:
            forward.stop()
            for problem in dict.fromkeys(forward.problems):
                logger.warn(problem)
