"""Links: connections from this Site's router to another Site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conditions import Status

if TYPE_CHECKING:
    from .connectivity import Wiring

NO_SITE = "No active site in namespace"


async def reconcile(wiring: Wiring) -> None:
    """Puts the namespace's Links into the router's configuration and works out their statuses."""
    for link in wiring.of("Link"):
        status = Status(link)
        if wiring.site is None:
            status.error("Configured", NO_SITE)
        elif fault := _fault(wiring, link):
            status.error("Configured", fault)
        else:
            _connect(wiring, link)
            status.ok("Configured")
            _operational(wiring, link, status)
        await wiring.controller.save(status)


def _fault(wiring: Wiring, link: dict) -> str:
    spec = link["spec"]
    credentials = spec.get("tlsCredentials")
    if credentials and wiring.get("Secret", credentials) is None:
        return f'TLS credentials secret "{credentials}" not found'
    if (spec.get("settings") or {}).get("proxy-configuration"):
        return "Secret not found for proxy configuration"  # the stand-in has no proxy support
    return ""


def _connect(wiring: Wiring, link: dict) -> None:
    spec = link["spec"]
    assert wiring.site is not None
    edge = (wiring.site.get("spec") or {}).get("edge", False)
    role = "edge" if edge else "inter-router"
    endpoint = next((e for e in spec["endpoints"] if e.get("name") == role), None)
    if endpoint is None:
        return  # as with the real one, such a link is configured and never works
    wiring.add(
        "connector",
        name=link["metadata"]["name"],
        role=role,
        host=endpoint.get("host", ""),
        port=str(endpoint.get("port", "")),
        cost=max(1, int(spec.get("cost") or 1)),
        sslProfile=spec.get("tlsCredentials", ""),
        verifyHostname=True,
    )


def _operational(wiring: Wiring, link: dict, status: Status) -> None:
    assert wiring.site is not None
    if wiring.view is None:
        return
    known = wiring.view.links.get(wiring.site["metadata"]["uid"], {})
    state = known.get(link["metadata"]["name"])
    if state is None and not status.has("Operational"):
        return
    if state is not None and state.get("status") == "up":
        status.ok("Operational")
        status.fields["remoteSiteId"] = state.get("remoteSiteId", "")
        status.fields["remoteSiteName"] = state.get("remoteSiteName", "")
    else:
        status.pending("Operational", "Not operational")
