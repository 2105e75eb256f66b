"""Keywords for the place where E2SAR runs happen: namespace, image, NetworkPolicies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from robot.api import logger

from NetLibrary._mechanics.e2sar import objects
from NetLibrary._mechanics.e2sar import parameters as p
from NetLibrary._mechanics.e2sar.testbed import Testbed
from NetLibrary._mechanics.paths import shipped
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords.e2sar._state import state_of

STAND_IN_NOTE = "own Python, direct mode only"


class E2SARTestbedKeywords(KeywordBase):
    """Prepare a namespace, put NetworkPolicies into force."""

    @keyword("Prepare E2SAR Namespace", tags=["e2sar"])
    def prepare_e2sar_namespace(
        self, namespace: str | None = None, *, manifests: Path | None = None, image: str | None = None,
        inspect: bool = True, timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Makes the namespace for E2SAR runs and looks at image and place before anything is started.

        A short pod of the image tells the version of `e2sar_perf`, the pods' MTU and the kernel's limits for socket
        buffers; parameters are checked against these later.

        Args:
            namespace: Its name; `e2sar-` and the run's id by default.
            manifests: Folder of the scenario; `manifests/e2sar` of the library by default.
            image: Image with `e2sar_perf`; on a lab the stand-in, elsewhere `ibaldin/e2sar:0.1.4` by default.
            inspect: Whether to look at image and place.
            timeout: Limit of the inspection.
            cluster: Alias of the cluster.

        Returns:
            The namespace.

        Raises:
            Error: The image has no `e2sar_perf` or one that is not supported.

        ```robotframework
        *** Test Cases ***
        Everything Arrives
            Prepare E2SAR Namespace
            Transfer E2SAR Events    events=1000    rate=20 Mbit/s
        ```
        """
        state, connection = state_of(self.session), self.session.cluster(cluster)
        space = namespace or f"e2sar-{self.session.run_id}"
        files = objects.Files(manifests or shipped("manifests", "e2sar"))
        testbed = Testbed(connection, space, files, _robot.output_dir() / "e2sar", logger.info)
        testbed.tick = lambda: state.progress(testbed)
        chosen = image or (objects.STAND_IN_IMAGE if connection.is_lab else objects.REAL_IMAGE)
        if chosen == objects.STAND_IN_IMAGE:
            if connection.is_lab:
                connection.lab.install("e2sar")
            self.session.note_stand_in("e2sar_perf", f"{chosen}, {STAND_IN_NOTE}")
        testbed.prepare()
        state.testbeds[space], state.image, state.namespace = testbed, chosen, space
        self.session.on_close(f"E2SAR logs of '{space}'", testbed.close)
        if inspect:
            found = testbed.inspect(chosen, timeout=state.limit(timeout))
            if found.stand_in:
                self.session.note_stand_in("e2sar_perf", f"{chosen}, {STAND_IN_NOTE}")
            around = found.around
            text = f"{chosen}: {found.version or 'no version'}"
            _robot.set_suite_metadata("e2sar_perf", text)
            logger.info(
                f"{text}; pod MTU {around.pod_mtu}, rmem_max {around.rmem_max}, wmem_max {around.wmem_max} bytes."
            )
        return space

    @keyword("Apply E2SAR Network Policy", tags=["e2sar"])
    def apply_e2sar_network_policy(
        self, policy: str, *, port: int = p.PORT, namespace: str | None = None, cluster: str | None = None
    ) -> None:
        """Puts one of the prepared NetworkPolicies into force, in place of the one before.

        Args:
            policy: `allow` (UDP of the senders), `deny-udp`, `tcp-only` (the right port, the wrong protocol),
                `no-egress` (senders may only ask DNS) or `none`.
            port: UDP port of the receivers.
            namespace: Namespace of the runs; the one prepared last by default.
            cluster: Deprecated; a prepared namespace knows its cluster.
        """
        if cluster is not None:
            logger.warn("The argument 'cluster' is deprecated and goes with the next release: the namespace knows it.")
        testbed = state_of(self.session).testbed(namespace)
        word = policy.lower().replace(" ", "-").replace("_", "-")
        made = None if word == "none" else testbed.files.policy(word, testbed.namespace, port)
        testbed.cluster.delete("NetworkPolicy", objects.POLICY_NAME, testbed.namespace)
        if made:
            testbed.cluster.create(made)
