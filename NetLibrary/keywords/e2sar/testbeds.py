"""Keywords for the place where E2SAR runs happen: namespace, image, NetworkPolicies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from robot.api import logger
from robot.api.types import Secret

from NetLibrary._mechanics import defaults
from NetLibrary._mechanics.errors import Unavailable
from NetLibrary._mechanics.paths import shipped
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords.e2sar._state import state_of

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube.cluster import Cluster

STAND_IN_NOTE = "own Python, direct mode only"


class E2SARTestbedKeywords(KeywordBase):
    """Prepare namespaces and apply NetworkPolicies."""

    @keyword("Prepare E2SAR Namespace", tags=["e2sar"])
    def prepare_e2sar_namespace(
        self, namespace: str | None = None, *, manifests: Path | None = None, image: str | None = None,
        sender_image: str | None = None, receiver_image: str | None = None,
        service: str = defaults.E2SAR_SERVICE, direct_mode: bool = True, uri: Secret | None = None,
        inspect: bool = True, timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Creates the namespace for E2SAR runs and inspects the image and the nodes before anything is started.

        A short-lived pod reports the image's version of `e2sar_perf`, the pods' MTU and the kernel's limits for socket
        buffers; parameters are checked against these later.

        Args:
            namespace: Its name; `e2sar-` and the run's ID by default.
            manifests: Folder with the scenario's manifests; the library's `manifests/e2sar` by default.
            image: Image with `e2sar_perf`; by default, the stand-in on a lab and `ibaldin/e2sar:0.1.4` elsewhere.
            sender_image: Different image for the senders, to test two versions together.
            receiver_image: Different image for the receivers.
            service: Name of the headless Service of the receivers.
            direct_mode: Whether senders send directly to the receivers; if not, the test is skipped, with what is
                missing and what was found out about the control plane.
            uri: EJFAT URI of the control plane, with its token; used only without direct mode.
            inspect: Whether to inspect the image and the nodes.
            timeout: Longest time for the inspection.
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
        from NetLibrary._mechanics.e2sar import objects
        from NetLibrary._mechanics.e2sar.testbed import Testbed

        if not direct_mode:
            from NetLibrary._mechanics import secrets
            from NetLibrary._mechanics.e2sar.control_plane import refusal

            named = uri.value if uri else ""
            secrets.learn(named, named.partition("//")[2].partition("@")[0])
            raise Unavailable(refusal(named))
        state, connection = state_of(self.session), self.session.cluster(cluster)
        space = namespace or free_namespace(connection, f"e2sar-{self.session.run_id}")
        files = objects.Files(manifests or shipped("manifests", "e2sar"), service)
        testbed = Testbed(connection, space, files, _robot.output_dir() / "e2sar", logger.info)
        testbed.keep = self.session.keep
        testbed.tick = lambda: state.progress(testbed)
        chosen = image or (defaults.E2SAR_STAND_IN_IMAGE if connection.is_lab else defaults.E2SAR_IMAGE)
        if chosen == defaults.E2SAR_STAND_IN_IMAGE:
            if connection.is_lab:
                connection.lab.install("e2sar")
            self.session.note_stand_in("e2sar_perf", f"{chosen}, {STAND_IN_NOTE}")
        testbed.prepare()
        state.testbeds[space], state.namespace = testbed, space
        state.images = {"sender": sender_image or chosen, "receiver": receiver_image or chosen}
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
        self, policy: str, *, port: int = defaults.E2SAR_PORT, namespace: str | None = None, cluster: str | None = None
    ) -> None:
        """Applies one of the prepared NetworkPolicies, replacing the one before.

        Args:
            policy: `allow` (UDP from the senders), `deny-all`, `deny-udp`, `tcp-only` (the right port, the wrong
                protocol), `no-egress` (senders may only query DNS) or `none`.
            port: UDP port of the receivers.
            namespace: Namespace of the runs; the one prepared last by default.
            cluster: Deprecated; a prepared namespace knows its cluster.
        """
        if cluster is not None:
            logger.warn("The argument 'cluster' is deprecated and goes with the next release: the namespace knows it.")
        word = policy.lower().replace(" ", "-").replace("_", "-")
        state_of(self.session).testbed(namespace).apply_policy(word, port)

    @keyword("E2SAR Network Policies Should Be Enforced", tags=["e2sar"])
    def e2sar_network_policies_should_be_enforced(
        self, *, timeout: timedelta | None = None, namespace: str | None = None
    ) -> None:
        """Skips the test if NetworkPolicies have no effect: events arrive although all traffic is denied.

        One short run finds out; it is done once for each namespace, and not at all if an earlier run has already shown
        it.

        Args:
            timeout: Longest time for each wait.
            namespace: Namespace of the runs; the one prepared last by default.

        ```robotframework
        *** Test Cases ***
        Policy Keeps Events Away
            Prepare E2SAR Namespace
            E2SAR Network Policies Should Be Enforced
            Apply E2SAR Network Policy    deny-udp
            Transfer E2SAR Events    delivered_at_least=0 %    delivered_at_most=0 %    expected_cause=network policy
        ```
        """
        from NetLibrary._mechanics.e2sar import parameters as p
        from NetLibrary._mechanics.e2sar.run import RunSettings, require_policies

        state = state_of(self.session)
        pods = {role: p.PodSettings(image) for role, image in state.images.items()}
        settings = RunSettings(sender_pod=pods["sender"], receiver_pod=pods["receiver"], timeout=state.limit(timeout))
        require_policies(state.testbed(namespace), settings)

    @keyword("Delete E2SAR Senders And Receivers", tags=["e2sar"], formerly=["Remove E2SAR Senders And Receivers"])
    def delete_e2sar_senders_and_receivers(self, *, namespace: str | None = None) -> None:
        """Ends and removes all senders and receivers of a namespace without judging them, as a teardown does.

        Their logs stay in the output folder; with SKIP_TEARDOWN their Jobs stay in the cluster too.

        Args:
            namespace: Namespace; the one prepared last by default.
        """
        state_of(self.session).testbed(namespace).clear()


def free_namespace(cluster: Cluster, name: str) -> str:
    """Returns a name whose namespace is not on its way out, as that of an earlier suite of the run may be."""
    for wanted in (name, *(f"{name}-{number}" for number in range(2, 100))):
        found = cluster.find("Namespace", wanted)
        if not found or not found["metadata"].get("deletionTimestamp"):
            return wanted
    return name
