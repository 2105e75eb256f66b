"""Types that keyword signatures show, a file for a topic, with the converters that make texts of suites into them."""

from __future__ import annotations

from typing import Any

from NetLibrary.types.cluster import CommandOutput, ServiceType
from NetLibrary.types.connections import AddressFamily, BlockedBy, RecordType, Source
from NetLibrary.types.cyperf import CyPerfAggregate, CyPerfObjective, CyPerfReport, CyPerfRole, CyPerfTarget
from NetLibrary.types.e2sar import E2SARPath, E2SARPlacement, E2SARRisk, E2SARRisks
from NetLibrary.types.matrix import MatrixCase
from NetLibrary.types.outages import OutageLimits, OutagePath, OutageTarget, ProbeKind
from NetLibrary.types.quantities import Bitrate, Count, Percentage, TimeLimit
from NetLibrary.types.throughput import Protocol, ThroughputPath

CONVERTERS: dict[type, Any] = {
    Bitrate: Bitrate.parse,
    Percentage: Percentage.parse,
    Count: Count.parse,
    Source: Source.parse,
    TimeLimit: TimeLimit.parse,
    E2SARRisks: E2SARRisks.parse,
    OutageTarget: OutageTarget.parse,
}

__all__ = [
    "CONVERTERS",
    "AddressFamily",
    "Bitrate",
    "BlockedBy",
    "CommandOutput",
    "Count",
    "CyPerfAggregate",
    "CyPerfObjective",
    "CyPerfReport",
    "CyPerfRole",
    "CyPerfTarget",
    "E2SARPath",
    "E2SARPlacement",
    "E2SARRisk",
    "E2SARRisks",
    "MatrixCase",
    "OutageLimits",
    "OutagePath",
    "OutageTarget",
    "Percentage",
    "ProbeKind",
    "Protocol",
    "RecordType",
    "ServiceType",
    "Source",
    "ThroughputPath",
    "TimeLimit",
]
