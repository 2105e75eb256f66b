"""Attached connectors: a server in one namespace, offered by the Site of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conditions import Status
from .connectivity import Wiring, add_pods, site_of, usable_pods

if TYPE_CHECKING:
    from .controller import Controller

NO_BINDING = "No matching AttachedConnectorBinding in site namespace"
NO_CONNECTOR = "No matching AttachedConnector"
STARTING = "Not ready"
NO_PODS = "No matches for selector"


async def reconcile(wiring: Wiring) -> None:
    """Works through the namespace's Bindings (beside a Site) and AttachedConnectors."""
    if wiring.site is not None:  # without a Site a Binding is not touched at all
        for binding in wiring.of("AttachedConnectorBinding"):
            await _binding(wiring, binding)
    for connector in wiring.of("AttachedConnector"):
        await _attached_connector(wiring, connector)


def _pod_fault(wiring: Wiring, connector: dict, pods: list[dict]) -> str:
    """Gives what is wrong with the pods of a pair.

    Pods that were never there and pods that went away have different words, as with the real one,
    whose pod watch tells about changes only.
    """
    meta = connector["metadata"]
    key = (meta["namespace"], meta["name"], meta["uid"])
    if pods:
        wiring.controller.selected_before.add(key)
        return ""
    return NO_PODS if key in wiring.controller.selected_before else STARTING


async def _binding(wiring: Wiring, binding: dict) -> None:
    spec, name = binding["spec"], binding["metadata"]["name"]
    status = Status(binding)
    connector = wiring.controller.get("AttachedConnector", spec["connectorNamespace"], name)
    if connector is None or connector["spec"]["siteNamespace"] != wiring.namespace:
        status.error("Configured", NO_CONNECTOR)
    else:
        pods = usable_pods(wiring, spec["connectorNamespace"], connector["spec"])
        fault = _pod_fault(wiring, connector, pods) or wiring.missing_credentials(connector["spec"])
        if fault:
            status.error("Configured", fault)
        else:
            by_name = spec.get("exposePodsByName", False)
            add_pods(wiring, name, spec["routingKey"], connector["spec"], pods, by_name=by_name)
            status.ok("Configured")
    matched = wiring.has_listeners(spec["routingKey"])
    status.fields["hasMatchingListener"] = matched
    if matched:
        status.ok("Matched")
    elif status.has("Matched"):
        status.pending("Matched", "Pending")
    await wiring.controller.save(status)


def _find_binding(controller: Controller, connector: dict) -> tuple[dict | None, str]:
    """Gives the Binding of an AttachedConnector, or what keeps the two apart."""
    meta = connector["metadata"]
    site_namespace = connector["spec"]["siteNamespace"]
    binding = controller.get("AttachedConnectorBinding", site_namespace, meta["name"])
    if binding is None or site_of(controller, site_namespace) is None:
        return None, NO_BINDING
    allowed = binding["spec"]["connectorNamespace"]
    if allowed != meta["namespace"]:
        return None, (
            f"AttachedConnectorBinding {site_namespace}/{meta['name']} does not allow "
            f"AttachedConnector in {meta['namespace']} (only {allowed})"
        )
    return binding, ""


async def _attached_connector(wiring: Wiring, connector: dict) -> None:
    meta = connector["metadata"]
    status = Status(connector)
    binding, fault = _find_binding(wiring.controller, connector)
    if binding is not None:
        first = not status.true("Configured") and _words(status) not in (STARTING, NO_PODS)
        pods = usable_pods(wiring, meta["namespace"], connector["spec"])
        fault = STARTING if first else _pod_fault(wiring, connector, pods)
        if first:  # the word that shows while the real one's pod watch starts
            wiring.controller.mark(meta["namespace"])
    if fault:
        status.error("Configured", fault)
    else:
        status.ok("Configured")
    await wiring.controller.save(status)


def _words(status: Status) -> str:
    return str(status.conditions.get("Configured", {}).get("message", ""))
