"""Types of CyPerf sessions."""

from __future__ import annotations

from enum import Enum


class CyPerfObjective(Enum):
    """The objective of a run: what its load is controlled by."""

    THROUGHPUT = "Throughput"
    CONNECTIONS_PER_SECOND = "Connections per second"
    SIMULATED_USERS = "Simulated users"
    CONCURRENT_CONNECTIONS = "Concurrent connections"


class CyPerfRole(Enum):
    """The side of the traffic that an agent plays."""

    CLIENT = "Client"
    SERVER = "Server"


class CyPerfTarget(Enum):
    """Where clients aim at the server agents."""

    POD_IP = "pod ip"
    """Address of one server pod."""
    CLUSTER_IP = "cluster ip"
    """Virtual address of the Service."""
    FQDN = "fqdn"
    """DNS name of the Service, resolved by the cluster's DNS."""
    NODE_PORT = "node port"
    """Address of a node and the Service's nodePort."""
    LOAD_BALANCER = "load balancer"
    """External address of the Service."""


class CyPerfAggregate(Enum):
    """How the rows of a statistic become one number."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    SUM = "sum"
    """Sum over the rows of the last sample (applications, agents)."""


class CyPerfReport(Enum):
    """Reports that a controller generates from a result."""

    CSV = "csv"
    PDF = "pdf"
    ALL = "all"
