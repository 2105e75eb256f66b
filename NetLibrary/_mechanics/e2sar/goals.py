"""Ends of waits for the pods of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from NetLibrary._mechanics.kube import addresses
from NetLibrary._mechanics.kube.wait import Done, Failed, Goal, Outcome, Pending, about_start, pods_ready
from NetLibrary._mechanics.kube.why_not_ready import is_ready, problem

Object = dict[str, Any]


def container_begun(role: str, now: Callable[[], float]) -> Goal:
    """Goal: the container runs or has run. Value: the pod."""
    trouble = pods_ready(1, now=now)

    def goal(pods: list[Object]) -> Outcome:
        for pod in pods:
            for status in pod.get("status", {}).get("containerStatuses", []):
                state = status.get("state", {})
                if status["name"] == role and ("running" in state or "terminated" in state):
                    return Done(pod)
        if not pods:
            return Pending("no pod yet")
        outcome = trouble(pods)
        return outcome if isinstance(outcome, Failed) else Pending("; ".join(problem(pod).text for pod in pods[:2]))

    return about_start(goal)


def container_over(role: str, *, seen: bool, tick: Callable[[], None]) -> Goal:
    """Goal: the container has ended, or its pod failed as a whole; out of reach once the pod is gone."""
    known = [seen]

    def goal(pods: list[Object]) -> Outcome:
        tick()
        if not pods:
            return Failed(f"The pod of {role} was deleted while it ran") if known[0] else Pending("no pod yet")
        known[0] = True
        pod = pods[-1]
        for status in pod.get("status", {}).get("containerStatuses", []):
            if status["name"] == role and "terminated" in status.get("state", {}):
                return Done(pod)
        if pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
            return Done(pod)
        return Pending(problem(pod).text if not is_ready(pod) else "running")

    return goal


def endpoint_ready(address: str) -> Goal:
    """Goal: an EndpointSlice lists the address as ready."""

    def goal(slices: list[Object]) -> Outcome:
        for each in slices:
            for endpoint in each.get("endpoints") or []:
                if address in endpoint.get("addresses", []) and endpoint.get("conditions", {}).get("ready"):
                    return Done(address)
        return Pending(f"{address} is not listed as ready")

    return goal


def has_load_balancer(family: int) -> Goal:
    """Goal: a Service has an address or host name of a load balancer. Value: the Service."""

    def goal(services: list[Object]) -> Outcome:
        for each in services:
            if addresses.of_load_balancer(each, family):
                return Done(each)
        return Pending("it has no address yet")

    return goal
