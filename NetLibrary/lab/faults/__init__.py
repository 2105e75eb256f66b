"""Faults: breaks a lab on purpose, one well-defined way at a time, and always repairs it.

Every fault is written to the lab's fault journal before anything is changed, together with the steps that undo it.
It is undone when its `with` block ends, when the session that made it closes, by `python -m NetLibrary.lab.faults
repair`, and, because its rules live in the nodes' namespaces only, by taking the lab down.

Example:
    >>> from NetLibrary.lab.faults import Faults, network, processes   # doctest: +SKIP
    >>> faults = Faults(lab)                                           # doctest: +SKIP
    >>> with faults.applied(network.cut_link("node2")):                # doctest: +SKIP
    ...     ...                                                        # doctest: +SKIP
"""

from NetLibrary.lab.faults.inject import Faults
from NetLibrary.lab.faults.plan import Fault, FaultPlan, Step

__all__ = ["Fault", "FaultPlan", "Faults", "Step"]
