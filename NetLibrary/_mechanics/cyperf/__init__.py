"""CyPerf: the controller's REST interface, agents in Kubernetes, and the judgement of a run.

Facts about the interface: Keysight's published OpenAPI description and Python client
(package `cyperf` on PyPI, versions 7 and 26), and what that client was seen to do.
"""
