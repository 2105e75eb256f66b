"""Keywords that let KubeLibrary and RequestsLibrary work on the same cluster connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Cluster


class SharingKeywords(KeywordBase):
    """Share the connection with other libraries of the same suite."""

    @keyword("Share Cluster With KubeLibrary", tags=["cluster"])
    def share_cluster_with_kubelibrary(self, *, library: str = "KubeLibrary", cluster: str | None = None) -> None:
        """Lets KubeLibrary use the library's connection to a cluster.

        KubeLibrary then acts as the same user over the same connection; no credential reaches its objects or the log.
        Import it as `NetLibrary.deferred.KubeLibrary`: the original connects when it is imported, and so fails when the
        cluster is chosen or started only during the run.

        Args:
            library: Name under which the suite imported KubeLibrary.
            cluster: Alias of the cluster.

        ```robotframework
        *** Settings ***
        Library    NetLibrary
        Library    NetLibrary.deferred.KubeLibrary    AS    KubeLibrary

        *** Test Cases ***
        Nodes Are Healthy
            Share Cluster With KubeLibrary
            ${count}    KubeLibrary.Get Healthy Nodes Count
            Should Be True    ${count} > 0
        ```
        """
        from NetLibrary._mechanics.kube import lending  # imports Kubernetes' own client

        other = _robot.library_instance(library)
        lending.lend(getattr(other, "instance", other), self.session.cluster(cluster).connection)

    @keyword("Share Cluster With RequestsLibrary", tags=["cluster"])
    def share_cluster_with_requestslibrary(
        self, alias: str = "cluster", *, library: str = "RequestsLibrary", cluster: str | None = None
    ) -> None:
        """Creates a RequestsLibrary session for the cluster's API server.

        Credentials are added when a request is sent, after RequestsLibrary has logged it, so no token reaches the log.

        Args:
            alias: Alias of the session, for `GET On Session`.
            library: Name under which the suite imported RequestsLibrary.
            cluster: Alias of the cluster.

        ```robotframework
        *** Settings ***
        Library    NetLibrary
        Library    RequestsLibrary

        *** Test Cases ***
        API Server Is Ready
            Share Cluster With RequestsLibrary
            ${answer}    GET On Session    cluster    /readyz
            Should Be Equal    ${answer.text}    ok
        ```
        """
        from NetLibrary._mechanics.kube import transport

        connection = self.session.cluster(cluster)
        session = _robot.library_instance(library).create_session(
            alias, connection.server, timeout=30, max_retries=transport.RETRIES, backoff_factor=transport.BACKOFF
        )
        prepare(session, connection)


def prepare(session: Any, cluster: Cluster) -> None:
    """Gives a `requests` session trust and credentials of a cluster, the latter out of sight."""
    from NetLibrary._mechanics.http import clean_session  # imports requests, which most runs do without
    from NetLibrary._mechanics.kube import transport

    connection = cluster.connection

    def credentials() -> list[tuple[str, str]]:
        return [(k, v) for k, v in connection.headers().items() if k not in ("User-Agent", "Accept")]

    clean_session(session, cluster.server, credentials)
    authority = transport.authority_file(connection.target)
    session.verify = str(authority) if authority and connection.target.verify else connection.target.verify
    held = connection.credentials.get()
    if held.certificate:
        session.cert = tuple(map(str, transport.client_files(held)))
