"""E2SAR keywords: the place, senders and receivers step by step, whole runs."""

from __future__ import annotations

from NetLibrary.keywords.e2sar.endpoints import E2SAREndpointKeywords
from NetLibrary.keywords.e2sar.runs import E2SARRunKeywords
from NetLibrary.keywords.e2sar.testbeds import E2SARTestbedKeywords


class E2SARKeywords(E2SARTestbedKeywords, E2SAREndpointKeywords, E2SARRunKeywords):
    """All of them."""
