"""Keywords that drive CyPerf and judge its application traffic."""

from NetLibrary.keywords.cyperf.agents import CyPerfAgentKeywords
from NetLibrary.keywords.cyperf.controller import CyPerfControllerKeywords
from NetLibrary.keywords.cyperf.sessions import CyPerfSessionKeywords
from NetLibrary.keywords.cyperf.stand_in import CyPerfStandInKeywords
from NetLibrary.keywords.cyperf.statistics import CyPerfStatisticKeywords
from NetLibrary.keywords.cyperf.verdicts import CyPerfVerdictKeywords


class CyPerfKeywords(
    CyPerfControllerKeywords,
    CyPerfAgentKeywords,
    CyPerfSessionKeywords,
    CyPerfStatisticKeywords,
    CyPerfVerdictKeywords,
    CyPerfStandInKeywords,
):
    """All CyPerf keywords."""
