"""Keywords and helpers that say why a CyPerf run went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robot.api import logger

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary.keywords.cyperf._shared import CyPerfBase, keyword
from NetLibrary.types import CyPerfRole

if TYPE_CHECKING:
    from NetLibrary._mechanics.cyperf.judge import Judged
    from NetLibrary.keywords.cyperf._state import Run


class CyPerfExplanationKeywords(CyPerfBase):
    """Find out why a run went wrong."""

    @keyword()
    def explain_cyperf_run(self) -> str:
        """Returns what is known about the latest run, one sentence per line: why it went wrong, if it did.

        The sources are the controller (test details, notifications, agents that were lost), the agents' pods and
        events, the nodes' connection tracking (after [Read CyPerf Nodes]), and a test connection from the client pods
        to the DUT.
        """
        text = "\n".join(self._reasons(self._last_run()))
        logger.info(text or "No problem was found.")
        return text

    def _causes(self, run: Run, judged: Judged) -> Sequence[str]:
        fine = not judged.errors and all(check.passed for check in judged.checks)
        return [] if fine else self._reasons(run)

    def _reasons(self, run: Run) -> list[str]:
        from NetLibrary._mechanics.cyperf import causes

        shared = self._cyperf
        found: list[str] = []
        servers = self.session.cluster(shared.clusters.get(CyPerfRole.SERVER)) if shared.deployed else None
        try:
            if servers is not None and shared.reader_namespace:
                found += causes.tracking(servers, shared.reader_namespace, run.tracking)
            found += causes.lost_agents(run.session.controller, shared.deployed.values())
            found += causes.controller_says(run.session)
            for role, deployed in shared.deployed.items():
                found += causes.pods(self.session.cluster(shared.clusters.get(role)), [deployed], run.begun)
            found += self._probe(run)
        except NetLibraryError as error:
            found.append(f"Looking for further causes failed: {error}")
        return list(dict.fromkeys(line for line in found if line))

    def _probe(self, run: Run) -> list[str]:
        from NetLibrary._mechanics.cyperf import causes, checklist

        clients = self._cyperf.deployed.get(CyPerfRole.CLIENT)
        host = checklist.host_of(run.tree)
        ports = checklist.effective_ports(run.tree)
        if not clients or not host or not ports:
            return []
        connection = self.session.cluster(self._cyperf.clusters.get(CyPerfRole.CLIENT))
        numbers = sorted({port for _, port, _ in ports})
        return [line for port in numbers for line in causes.probe(connection, clients, host, port)]
