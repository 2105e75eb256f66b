"""KubeLibrary for suites that choose their cluster at run time.

KubeLibrary connects when it is imported, in dry runs too, and fails without a kubeconfig. This one waits until
`Share Cluster With KubeLibrary` tells it where to connect. Everything else is KubeLibrary as it is.
"""

from __future__ import annotations

import KubeLibrary as Package
from robot.api.deco import library


@library(scope="GLOBAL", version=Package.KubeLibrary.ROBOT_LIBRARY_VERSION, auto_keywords=True)
class KubeLibrary(Package.KubeLibrary):
    """KubeLibrary that connects when NetLibrary tells it to; import it `AS    KubeLibrary`.

    ```robotframework
    *** Settings ***
    Library    NetLibrary
    Library    NetLibrary.deferred.KubeLibrary    AS    KubeLibrary
    ```
    """

    def __init__(self) -> None:
        """Prepares the library without connecting."""
        # The parent's constructor would connect; `reload_config` does the same later
