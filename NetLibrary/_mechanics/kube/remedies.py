"""Which variable about pods answers a refusal: a pod that is refused, or that no node takes, can often be fitted in."""

from __future__ import annotations

import re

# What admission, quotas and the scheduler say → what helps. Sources: OpenShift, "Managing security context
# constraints"; Kubernetes, "Resource Quotas" and "Taints and Tolerations"; Gatekeeper's library of policies. Taints of
# Kubernetes itself say that a node is not well.
_ONE_KIND = "NODE_SELECTOR chooses nodes, for instance kubernetes.io/arch=amd64"
_REMEDIES = (
    (r"security context constraint.*must be in the ranges", "-v POD_USER:any leaves user IDs to the cluster"),
    (r"must specify (limits|requests)\.", "POD_REQUESTS and POD_LIMITS set resources for all pods"),
    (r"minimum (cpu|memory) usage per (container|pod) is", "POD_REQUESTS is the least that containers ask for"),
    (r"no match for platform|exec format error|predicate NodeAffinity failed", _ONE_KIND),
    (r"untolerated taint(\(s\))?(?! ?\{node\.kubernetes\.io/)", "TOLERATIONS names taints that pods tolerate"),
    (r"invalid image repo|image repository .*not allowed", "REGISTRY names the registry of all images"),
    (r"readOnlyRootFilesystem|read-?only root file ?system", "-v POD_READ_ONLY_ROOT:yes sets it for all containers"),
)


def remedy(text: str) -> str:
    """Returns what to do about a refused pod as a sentence with a blank in front; empty when nothing is known.

    Args:
        text: The words of the server.

    Example:
        >>> remedy("0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: db}.")
        ' (TOLERATIONS names taints that pods tolerate)'
        >>> remedy("0/1 nodes are available: 1 Insufficient cpu.")
        ''
    """
    found = [hint for pattern, hint in _REMEDIES if re.search(pattern, text, re.IGNORECASE | re.DOTALL)]
    return f" ({'; '.join(found)})" if found else ""
