"""Keywords for Skupper v2 networks: sites, links, listeners, attached connectors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics import secrets
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError, NotFound, WaitTimeout
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword
from NetLibrary.keywords._conclude import conclude

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.skupper import Installation
    from NetLibrary._mechanics.throughput import Measurement

WAIT = timedelta(seconds=120)


class SkupperKeywords(KeywordBase):
    """Install Skupper, link sites, wait and explain."""

    @keyword(tags=["skupper"])
    def skupper_should_be_installed(self, *, cluster: str | None = None) -> str:
        """Fails unless Skupper v2 is installed and its controller is running; a lab without it gets the stand-in.

        The suite's metadata show what was found. A stand-in is named in the log and in every record.

        Args:
            cluster: Alias of the cluster.
        Returns:
            Description of what runs there.
        """
        from NetLibrary._mechanics.skupper import find_installation
        from NetLibrary._mechanics.skupper.objects import GROUP

        connection = self.session.cluster(cluster)
        found = find_installation(connection)
        if connection.is_lab and (found is None or found.stand_in):
            # Also where it is there already: a newer NetLibrary brings a newer stand-in, else nothing happens
            connection.lab.install("skupper")
            found = find_installation(connection)
        if found is None:
            raise EnvironmentProblem(
                f"Skupper is not installed in cluster '{connection.alias}' ({connection.server}): it does not serve "
                f"the API group '{GROUP}'.\nInstall Skupper v2 there, or run on the lab (-v CLUSTER:lab), which has a "
                "stand-in."
            )
        self._announce(connection, found)
        return str(found)

    def _announce(self, cluster: Cluster, found: Installation) -> None:
        self.__dict__.setdefault("_skupper_installed", {})[cluster.alias] = found
        self.session.note_images(found.images)
        if found.stand_in:
            self.session.note_stand_in("skupper", found.stand_in)
        name = "Skupper" if cluster.alias == "default" else f"Skupper {cluster.alias}"
        _robot.set_suite_metadata(name, str(found))
        logger.info(f"Skupper in cluster '{cluster.alias}': {found}.")

    @keyword(tags=["skupper"])
    def wait_until_skupper_is_ready(
        self, kind: str, name: str, namespace: str, *, timeout: timedelta = WAIT, cluster: str | None = None
    ) -> dict[str, Any]:
        """Waits until a Skupper object is ready; the failure says what prevents it.

        A temporary `Error` does not end the wait, since Skupper's controller often reports one for a moment.

        Args:
            kind: `Site`, `Link`, `Listener`, `Connector`, `AttachedConnector`, `AttachedConnectorBinding`,
                `AccessGrant` or `AccessToken`.
            name: Name of the object.
            namespace: Its namespace.
            timeout: Longest time to wait.
            cluster: Alias of the cluster.
        Returns:
            The object.
        """
        from NetLibrary._mechanics.skupper.objects import KINDS

        if kind not in KINDS:
            raise InputError(f"kind is '{kind}'; allowed: {', '.join(KINDS)}.")
        return self._wait(self.session.cluster(cluster), kind, name, namespace, timeout)

    @keyword(tags=["skupper"])
    def grant_access(
        self, name: str, namespace: str, *, redemptions: int = 1, expires_after: timedelta = timedelta(minutes=15),
        timeout: timedelta = WAIT, cluster: str | None = None,
    ) -> None:  # fmt: skip
        """Creates an AccessGrant for a site once the site has an address, and waits until it can be redeemed.

        Args:
            name: Name of the AccessGrant.
            namespace: Namespace of the site that others link to.
            redemptions: How often the grant may be redeemed.
            expires_after: How long the grant is valid.
            timeout: Longest time to wait for the site and the grant together.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.skupper.objects import made

        if redemptions < 1:
            raise InputError(f"redemptions is {redemptions}; allowed: 1 and more.")
        connection = self.session.cluster(cluster)
        site = self._site(connection, namespace)
        self._wait(connection, "Site", site, namespace, timeout, endpoints=True)
        window = f"{max(1, int(expires_after.total_seconds()))}s"
        connection.apply(made("AccessGrant", name, namespace, redemptionsAllowed=redemptions, expirationWindow=window))
        self._wait(connection, "AccessGrant", name, namespace, timeout)

    @keyword(tags=["skupper"])
    def redeem_access(
        self, grant: str, granting_namespace: str, namespace: str, *, name: str | None = None,
        timeout: timedelta = WAIT, granting_cluster: str | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Redeems one site's grant at another site, which links the two.

        The token's code never reaches the log.

        Args:
            grant: Name of the AccessGrant.
            granting_namespace: Namespace of the grant.
            namespace: Namespace of the linking site.
            name: Name of the AccessToken and the Link; `token-<grant>` by default.
            timeout: Longest time to wait.
            granting_cluster: Alias of the grant's cluster.
            cluster: Alias of the linking site's cluster.
        Returns:
            Name of the Link.
        """
        from NetLibrary._mechanics.skupper.objects import made

        giver, taker = self.session.cluster(granting_cluster), self.session.cluster(cluster)
        site = self._site(taker, namespace)
        # A token without a Site to redeem it gets its answer late; Configured comes within a moment
        self._wait_for_configured(taker, site, namespace, timeout)
        status = self._wait(giver, "AccessGrant", grant, granting_namespace, timeout)["status"]
        secrets.learn(status["code"])
        token = name or f"token-{grant}"
        taker.apply(made("AccessToken", token, namespace, url=status["url"], code=status["code"], ca=status["ca"]))
        self._wait(taker, "AccessToken", token, namespace, timeout)
        return token

    @keyword(tags=["skupper"])
    def skupper_should_have_no_findings(self, *namespaces: str, cluster: str | None = None) -> None:
        """Fails with a list of everything that prevents traffic between the given namespaces.

        Args:
            namespaces: Namespaces that take part in the network, all in one cluster.
            cluster: Alias of the cluster.
        """
        from NetLibrary._mechanics.facts import images_of
        from NetLibrary._mechanics.skupper import diagnose
        from NetLibrary._mechanics.skupper.run import routers_of, versions_of
        from NetLibrary._mechanics.skupper.show import status_table
        from NetLibrary._mechanics.verdict import Check

        objects = self._objects({(self.session.cluster(cluster), name) for name in namespaces})
        if not any(obj.get("kind") == "Site" for obj in objects):
            where = ", ".join(f"'{name}'" for name in namespaces) or "no namespace"
            raise InputError(f"namespaces is {where}, where there is no Site; there is no Skupper network to check.")
        found = diagnose(objects)
        conclude(
            self.session,
            kind="skupper",
            name=f"network of {', '.join(namespaces)}",
            parameters={"namespaces": list(namespaces)},
            checks=[Check("findings", 0, len(found), "", not found, "The Skupper network is not complete:")],
            causes=found,
            summary={"findings": len(found), "versions": versions_of(objects)},
            tables=[status_table(objects)],
            images=images_of(routers_of(objects)),
        )

    @keyword(tags=["skupper"])
    def log_skupper_network(self, measured: Measurement | None = None, *, direct: Measurement | None = None) -> None:
        """Shows the state of Skupper's objects in the watched namespaces and the path of the traffic.

        The table lists Sites, Links, Listeners, connectors and bindings with their status. The picture shows each path
        from a Listener to the pods behind it, labelled with the results of measurements. If the namespaces have been
        removed, the state is that of the last call.

        Args:
            measured: Result of a measurement through the network.
            direct: Result of a measurement of the direct path.

        ```robotframework
        *** Test Cases ***
        Through The Network
            Watch Skupper Namespaces    hub    client    work
            ${result}    Measure Throughput    iperf3    client    duration=1s    carried_by=skupper
            Log Skupper Network    ${result}
        ```
        """
        from NetLibrary._mechanics.report import Picture, html_table
        from NetLibrary._mechanics.skupper.objects import KINDS
        from NetLibrary._mechanics.skupper.show import draw_ways, status_table, ways

        objects = self._objects(self._places)
        if any(obj.get("kind") in KINDS for obj in objects):
            self.__dict__["_skupper_seen"] = objects
        objects = self.__dict__.get("_skupper_seen", objects)
        table = status_table(objects)
        html = html_table(table.columns, table.rows, table.caption)
        _robot.log_html(html)
        self.session.headline(html)
        found = ways(objects)
        if not found:
            return
        rates = {"through": measured.bits_per_second if measured else None,
                 "direct": direct.bits_per_second if direct else None}  # fmt: skip
        picture = Picture(draw_ways(_robot.picture_path("network"), found, **rates), "Way of the traffic")
        html = _robot.picture_html(picture.path, picture.caption)
        _robot.log_html(html)
        self.session.headline(html)

    @keyword(tags=["skupper"])
    def watch_skupper_namespaces(self, *namespaces: str, cluster: str | None = None) -> None:
        """Names the namespaces that form a network, so that traffic failures are explained from their objects.

        Args:
            namespaces: Namespaces with sites or attached connectors.
            cluster: Alias of the cluster.
        """
        connection = self.session.cluster(cluster)
        for name in namespaces:  # routers, which the controller makes there
            connection.opening.let_through(name, "skupper", {"skupper.io/component": "router"})
        places = {(connection, name) for name in namespaces}
        self._places |= places
        if self._explain not in self.session.explainers:
            self.session.explainers.append(self._explain)
        self.session.carriers["skupper"] = self._facts

    @keyword(tags=["skupper"])
    def forget_skupper_namespaces(self) -> None:
        """Ends the effect of [Watch Skupper Namespaces]."""
        self._places.clear()

    # --- helpers ------------------------------------------------------------------------------------

    @property
    def _places(self) -> set[tuple[Cluster, str]]:
        found: set[tuple[Cluster, str]] = self.__dict__.setdefault("_skupper_places", set())
        return found

    @_places.setter
    def _places(self, value: set[tuple[Cluster, str]]) -> None:
        self.__dict__["_skupper_places"] = value

    def _explain(self) -> list[str]:
        return self._findings(self._places)

    def _facts(self) -> dict[str, Any]:
        """Which Skupper carries the traffic, for the records: versions, and the images of controllers and routers."""
        from NetLibrary._mechanics.facts import images_of
        from NetLibrary._mechanics.skupper.run import routers_of, versions_of

        objects = self._objects(self._places)
        installed = self.__dict__.get("_skupper_installed", {})
        images = {image["reference"]: image for one in installed.values() for image in one.images}
        images |= {image["reference"]: image for image in images_of(routers_of(objects))}
        return {"versions": versions_of(objects), "images": list(images.values())}

    def _objects(self, places: set[tuple[Cluster, str]]) -> list[dict[str, Any]]:
        from NetLibrary._mechanics.skupper.run import objects_in

        found: list[dict[str, Any]] = []
        for connection, namespace in sorted(places, key=lambda place: (place[0].alias, place[1])):
            found += objects_in(connection, namespace, logger.debug)
        return found

    def _findings(self, places: set[tuple[Cluster, str]]) -> list[str]:
        from NetLibrary._mechanics.skupper import diagnose

        return diagnose(self._objects(places))

    def _wait(
        self, cluster: Cluster, kind: str, name: str, namespace: str, timeout: timedelta, *, endpoints: bool = False
    ) -> dict[str, Any]:
        from NetLibrary._mechanics.skupper import ready, site_with_endpoints, state_text
        from NetLibrary._mechanics.skupper.objects import GROUP

        goal = site_with_endpoints() if endpoints else ready()
        what = f"{kind} '{namespace}/{name}'"
        try:
            found: dict[str, Any] = cluster.wait(
                f"{kind}.{GROUP}", namespace, goal, name=name, timeout=timeout.total_seconds(), what=what,
                progress=logger.info,
            )  # fmt: skip
            return found
        except WaitTimeout as error:
            last = state_text(cluster.find(f"{kind}.{GROUP}", name, namespace))
            findings = self._findings(self._places | {(cluster, namespace)})
            raise WaitTimeout(
                "\n".join([f"{what} was not Ready within {timeout.total_seconds():g} s: {last}.", *findings])
            ) from error

    def _wait_for_configured(self, cluster: Cluster, site: str, namespace: str, timeout: timedelta) -> None:
        from NetLibrary._mechanics.kube.wait import condition
        from NetLibrary._mechanics.skupper.objects import GROUP

        cluster.wait(
            f"Site.{GROUP}", namespace, condition("Configured"), name=site, timeout=timeout.total_seconds(),
            what=f"Site '{namespace}/{site}' Configured", progress=logger.info,
        )  # fmt: skip

    def _site(self, cluster: Cluster, namespace: str) -> str:
        from NetLibrary._mechanics.skupper.objects import GROUP

        sites = cluster.list(f"Site.{GROUP}", namespace)
        if not sites:
            raise NotFound(f"Namespace '{namespace}' in cluster '{cluster.alias}' has no Site.", status=404)
        active = [s for s in sites if s.get("status", {}).get("status") == "Ready"] or sites
        return str(active[0]["metadata"]["name"])
