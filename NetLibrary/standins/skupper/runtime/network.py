"""The network as one Site sees it, read from the record that its adaptor publishes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import names


@dataclass
class NetworkView:
    """Sites, links and routing keys of the network.

    `connectors` and `listeners` count the entities of each routing key, `pods` are the routing
    keys of connectors that expose single pods by name.
    """

    sites: list[dict[str, Any]] = field(default_factory=list)
    connectors: dict[str, int] = field(default_factory=dict)
    listeners: dict[str, int] = field(default_factory=dict)
    links: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> NetworkView:
        """Reads the record; parts that are missing count as empty."""
        record = json.loads(text)
        view = cls()
        for address in record.get("addresses") or []:
            for kind, counts in (("connectorCount", view.connectors), ("listenerCount", view.listeners)):
                if address.get(kind):
                    counts[address["name"]] = address[kind]
        for item in record.get("siteStatus") or []:
            view.sites.append(view._site(item))
        return view

    def _site(self, item: dict[str, Any]) -> dict[str, Any]:
        site = item["site"]
        services: dict[str, dict[str, Any]] = {}
        links: list[dict[str, Any]] = []
        for router in item.get("routerStatus") or []:
            for link in router.get("links") or []:
                if link["name"].startswith(names.AUTO_MESH):
                    continue  # between two routers of one Site
                self.links.setdefault(site["identity"], {})[link["name"]] = link
                links.append(
                    _without_empty(
                        name=link["name"],
                        remoteSiteId=link.get("remoteSiteId"),
                        remoteSiteName=link.get("remoteSiteName"),
                        operational=link.get("status") == "up",
                    )
                )
            for kind, place in (("connectors", "destHost"), ("listeners", "name")):
                for entity in router.get(kind) or []:
                    key = entity["address"]
                    service = services.setdefault(key, {"routingKey": key})
                    service.setdefault(kind, []).append(entity.get(place, ""))
        return _without_empty(
            id=site["identity"],
            name=site.get("name"),
            namespace=site.get("nameSpace"),
            platform=site.get("platform"),
            version=site.get("siteVersion"),
            links=links,
            services=[services[key] for key in sorted(services)],
        )


def _without_empty(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}
