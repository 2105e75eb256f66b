"""Types of throughput and latency."""

from __future__ import annotations

from enum import Enum


class Protocol(Enum):
    """Transport protocol of a measurement."""

    TCP = "tcp"
    UDP = "udp"


class ThroughputPath(Enum):
    """A path from a client to a server in a cluster.

    `SAME_NODE` and `OTHER_NODE` go from pod to pod, `HOST_NETWORK` goes from node to node without the pod network.
    `OUTSIDE` starts at the machine that runs the tests and goes through the load balancer, or through a NodePort where
    there is none. The others go through a Service to a pod on another node.
    """

    SAME_NODE = "same node"
    OTHER_NODE = "other node"
    HOST_NETWORK = "host network"
    CLUSTER_IP = "cluster IP"
    NODE_PORT = "node port"
    LOAD_BALANCER = "load balancer"
    OUTSIDE = "outside"
