"""The lab: a real Kubernetes of several nodes on one machine, started from nothing in seconds.

`Lab` starts, stops and hands out clusters; `Node` lets a test look into a node and break it; `Recipe` describes an
image.

Example:
    >>> from NetLibrary.lab import Lab
    >>> Lab("demo").name
    'demo'
"""

from NetLibrary.lab.cluster import Lab, Use, all_labs
from NetLibrary.lab.components import Options
from NetLibrary.lab.images import Recipe
from NetLibrary.lab.node import Node, Ran, Vantage
from NetLibrary.lab.processes import CommandFailed, Component, Identity

__all__ = [
    "CommandFailed",
    "Component",
    "Identity",
    "Lab",
    "Node",
    "Options",
    "Ran",
    "Recipe",
    "Use",
    "Vantage",
    "all_labs",
]
