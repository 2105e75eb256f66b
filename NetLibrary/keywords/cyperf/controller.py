"""Keywords for the controller: connect, share the connection, use a proxy, list agents."""

from __future__ import annotations

import functools
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from robot.api import logger
from robot.api.types import Secret

from NetLibrary._mechanics.errors import ControllerError
from NetLibrary.keywords import _robot
from NetLibrary.keywords.cyperf._shared import CyPerfBase, keyword

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf.controller import Controller
    from NetLibrary._mechanics.cyperf.types import Agent

STAND_IN = "its controller and agents are NetLibrary's own, no product of Keysight"


class CyPerfControllerKeywords(CyPerfBase):
    """Connect to a controller and query it."""

    @keyword(renamed={"wait_for": "answer_within"})
    def connect_to_cyperf_controller(
        self, address: str, *, username: str | None = None, password: Secret | None = None,
        refresh_token: Secret | None = None, certificate: Path | None = None, accept_eula: bool = False,
        agents_address: str | None = None, requests_alias: str | None = None,
        timeout: timedelta = timedelta(seconds=30), answer_within: timedelta = timedelta(0),
    ) -> str:  # fmt: skip
        """Connects to a CyPerf controller, which the CyPerf keywords use from then on.

        The token is renewed whenever it expires. Neither it nor the credentials reach a log: credentials are accepted
        only as `Secret`, which suites create from environment variables.

        Args:
            address: Host, `host:port` or URL of the controller.
            username: User name, together with `password`.
            password: Password of the user.
            refresh_token: Refresh or offline token, instead of user name and password.
            certificate: File with certificate authorities to trust; without it, any certificate is accepted, since the
                appliance comes with a self-signed one.
            accept_eula: Whether to accept the licence agreement if nobody has accepted it yet.
            agents_address: Address at which agents reach the controller, if it is a different one.
            requests_alias: Alias for a session of RequestsLibrary, see
                [Share CyPerf Controller With RequestsLibrary].
            timeout: Longest time for one answer.
            answer_within: Longest time to wait for a controller that does not answer yet.
        Returns:
            Version of the controller.

        ```robotframework
        *** Variables ***
        ${PASSWORD: Secret}    %{CYPERF_PASSWORD}

        *** Test Cases ***
        Controller Answers
            ${version}    Connect To CyPerf Controller    cyperf.example    username=admin    password=${PASSWORD}
            Log    ${version}
        ```
        """
        from NetLibrary._mechanics.cyperf.controller import Controller
        from NetLibrary._mechanics.cyperf.rest import Connection

        connection = Connection(
            address, username=username, password=password.value if password else None,
            refresh_token=refresh_token.value if refresh_token else None, certificate=certificate,
            timeout=timeout.total_seconds(),
        )  # fmt: skip
        controller = Controller(connection)
        _open(controller, accept_eula, answer_within.total_seconds())
        shared = self._cyperf
        shared.controllers[connection.base] = shared.controller = controller
        shared.agents_address = agents_address or connection.base.partition("://")[2]
        if controller.stand_in:
            self.session.note_stand_in("CyPerf", f"{STAND_IN} (version {controller.version})")
        text = f"CyPerf controller {connection.base}, version {controller.version}"
        logger.info(text)
        _robot.set_suite_metadata("CyPerf controller", text + (" (STAND-IN)" if controller.stand_in else ""))
        if requests_alias:
            self._share(requests_alias, "RequestsLibrary")
        return controller.version

    @keyword()
    def share_cyperf_controller_with_requestslibrary(
        self, alias: str = "cyperf", *, library: str = "RequestsLibrary"
    ) -> None:
        """Creates a RequestsLibrary session for the controller; see also [Share Cluster With RequestsLibrary].

        The token is added when a request is sent, after RequestsLibrary has logged it, and renewed when it expires.

        Args:
            alias: Alias of the session, for `GET On Session`.
            library: Name under which the suite imported RequestsLibrary.

        ```robotframework
        *** Settings ***
        Library    NetLibrary
        Library    RequestsLibrary

        *** Test Cases ***
        Controller Tells Its Time
            Share CyPerf Controller With RequestsLibrary
            ${answer}    GET On Session    cyperf    /api/v2/time
        ```
        """
        self._share(alias, library)

    def _share(self, alias: str, library: str) -> None:
        from NetLibrary._mechanics.cyperf.shared_session import prepare

        connection = self._controller().connection
        prepare(_robot.library_instance(library).create_session(alias, connection.base), connection)

    @keyword()
    def use_cyperf_controller_proxy(
        self, host: str, *, username: str | None = None, password: Secret | None = None,
        timeout: timedelta = timedelta(minutes=2),
    ) -> None:  # fmt: skip
        """Lets agents reach the controller through a Controller Proxy, which the controller connects to on port 443.

        Agents that are deployed afterwards register at the proxy. If the controller does not know the proxy yet and
        credentials are given, it is added to the controller and removed at the end of the run.

        Args:
            host: Address of the proxy.
            username: User name at the proxy.
            password: Password of that user.
            timeout: How long the controller may take to connect.

        ```robotframework
        *** Test Cases ***
        Agents Register Through The Proxy
            Use CyPerf Controller Proxy    10.0.0.7    username=admin    password=${PROXY_PASSWORD}
            Deploy CyPerf Agents    Client    cyperf
        ```
        """
        controller = self._controller()
        if username and password and password.value:
            added = controller.add_proxy(host, username, password.value, timeout=timeout.total_seconds())
            if added is not None:
                self.session.on_close(
                    f"Controller Proxy '{host}'", functools.partial(controller.remove_proxy, added)
                )  # fmt: skip
        self._cyperf.agents_address = host

    @keyword()
    def get_cyperf_agents(self, *, tag: str | None = None, offline: bool = False) -> list[Agent]:
        """Returns the agents that the controller lists and shows them in the log.

        Args:
            tag: Only agents with this tag, `key=value` or `key:value`.
            offline: Whether to include agents that have not been seen for a long time.
        """
        from NetLibrary._mechanics.cyperf import show

        agents = self._controller().agents(tag=tag, offline=offline)
        self._show(show.agents(agents, "Agents of the CyPerf controller"))
        return agents


def _open(controller: Controller, accept_eula: bool, seconds: float) -> None:
    from NetLibrary._mechanics import polling

    refused: list[ControllerError] = []

    def answers() -> bool:
        try:
            controller.open(accept_eula=accept_eula)
        except ControllerError as error:
            if error.status not in (0, 502, 503, 504):
                raise
            refused[:] = [error]
            return False
        return True

    if not polling.settle(answers, timeout=seconds, every=0.5, what="Answer of the CyPerf controller"):
        raise refused[0]
