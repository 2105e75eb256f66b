"""Why traffic does not cross a Skupper network, from its objects alone.

A pure function over what the API shows, so that each finding can be tested. What the messages mean was read in the
source of Skupper 2.0 to 2.2 and seen on real clusters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from NetLibrary._mechanics.kube.why_not_ready import is_ready as pod_is_ready
from NetLibrary._mechanics.skupper.results import condition, is_ready, state_text

Object = dict[str, Any]


def diagnose(objects: Iterable[Object]) -> list[str]:
    """Returns what stands in the way of traffic, the most likely cause first.

    Args:
        objects: Skupper's objects of all namespaces that take part, as the API returns them; with the pods among them
            also ports are checked.
    Returns:
        Sentences; empty when nothing is wrong that the objects show.
    """
    view = _View(objects)
    found = [
        *_sites(view), *_tokens(view), *_pairs(view), *_connectors(view), *_keys(view), *_ports(view),
        # A Link shows no status, or "Not Operational", for up to 40 s while traffic flows already: a state, no cause
        *_links(view),
    ]  # fmt: skip
    return list(dict.fromkeys(found))


class _View:
    def __init__(self, objects: Iterable[Object]) -> None:
        self.by_kind: dict[str, list[Object]] = {}
        for obj in objects:
            self.by_kind.setdefault(obj.get("kind", ""), []).append(obj)

    def all(self, kind: str) -> list[Object]:
        return self.by_kind.get(kind, [])

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        for obj in self.all(kind):
            if _namespace(obj) == namespace and obj["metadata"]["name"] == name:
                return obj
        return None

    def active_site(self, namespace: str) -> Object | None:
        sites = [s for s in self.all("Site") if _namespace(s) == namespace]
        return next((s for s in sites if is_ready(s)), sites[0] if sites else None)


def _namespace(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _name(obj: Object) -> str:
    return f"{obj['kind']} '{_namespace(obj)}/{obj['metadata']['name']}'"


def _sites(view: _View) -> list[str]:
    found = []
    for kind in ("Listener", "Connector", "AttachedConnectorBinding", "AccessToken", "Link"):
        for obj in view.all(kind):
            if view.active_site(_namespace(obj)) is None:
                found.append(
                    f"Namespace '{_namespace(obj)}' has no Site, so {_name(obj)} has no effect: create a Site there."
                )
    for site in view.all("Site"):
        if not is_ready(site):
            found.append(f"{_name(site)} is not ready: {state_text(site)}.{_site_hint(site)}")
    return found


def _site_hint(site: Object) -> str:
    if not site.get("status"):
        return " No controller watches this namespace."
    if condition(site, "Resolved") == "False":
        return " Its link access has no address yet: does the cluster assign addresses to LoadBalancer Services?"
    return ""


def _tokens(view: _View) -> list[str]:
    found = []
    for grant in view.all("AccessGrant"):
        if not is_ready(grant):
            hint = "" if grant.get("status", {}).get("url") else (
                " It has no URL: the controller's grant server has no address (LoadBalancer Services?)."
            )  # fmt: skip
            found.append(f"{_name(grant)} is not ready: {state_text(grant)}.{hint}")
    for token in view.all("AccessToken"):
        if not is_ready(token):
            found.append(f"{_name(token)} is not redeemed: {state_text(token)}.{_token_hint(token)}")
        elif not any(view.get("Link", _namespace(token), name) for name in _links_of(token)):
            found.append(
                f"{_name(token)} was redeemed, but its Link '{token['metadata']['name']}' is gone: a token creates a "
                "Link only once, so a new token is needed."
            )
    sites = {_namespace(site) for site in view.all("Site")}
    if len(sites) > 1 and not view.all("Link") and not view.all("AccessToken"):
        names = ", ".join(f"'{name}'" for name in sorted(sites))
        found.append(f"The sites {names} are not linked: there is no Link and no AccessToken.")
    return found


def _links(view: _View) -> list[str]:
    return [
        f"{_name(link)} does not connect its sites: {state_text(link)}." for link in view.all("Link")
        if not is_ready(link)
    ]  # fmt: skip


def _links_of(token: Object) -> tuple[str, str]:
    name = token["metadata"]["name"]
    return name, f"{name}-1"  # the second form when the granting site has two routers


def _token_hint(token: Object) -> str:
    message = str(token.get("status", {}).get("message", ""))
    if "No such access granted" in message:
        return " The grant is used up: allow more redemptions or create a new grant."
    if "refused" in message and "403" in message:
        return " The code of the token is wrong."
    if "No such claim" in message:
        return " The grant no longer exists or has expired."
    if "No valid endpoints" in message:
        return " It was redeemed before the granting site had an address; the redemption is lost, create a new token."
    return ""


def _pairs(view: _View) -> list[str]:
    found = []
    for connector in view.all("AttachedConnector"):
        site, own = connector["spec"].get("siteNamespace", ""), _namespace(connector)
        name = connector["metadata"]["name"]
        binding = view.get("AttachedConnectorBinding", site, name)
        if binding is None:
            elsewhere = _binding_elsewhere(view, name, own)
            found.append(
                _wrong_site(connector, elsewhere) if elsewhere else _missing_binding(view, connector, site, name)
            )
        elif binding["spec"].get("connectorNamespace") != own:
            allowed = binding["spec"].get("connectorNamespace")
            found.append(
                f"{_name(binding)} allows the connector of namespace '{allowed}', but {_name(connector)} is in "
                f"'{own}': set its spec.connectorNamespace to '{own}'."
            )
        elif not is_ready(connector):
            found.append(_not_ready(view, connector))
    for binding in view.all("AttachedConnectorBinding"):
        home, name = binding["spec"].get("connectorNamespace", ""), binding["metadata"]["name"]
        partner = view.get("AttachedConnector", home, name)
        if partner is None:
            found.append(
                f"{_name(binding)} has no AttachedConnector '{name}' in namespace '{home}': the two are paired by "
                "equal names, and each names the other's namespace."
            )
        elif partner["spec"].get("siteNamespace") != _namespace(binding):
            found.append(_wrong_site(partner, binding))
        elif is_ready(partner) and not is_ready(binding) and binding["spec"].get("routingKey") in _wanted(view):
            found.append(f"{_name(binding)} is not ready: {state_text(binding)}.")
    return found


def _binding_elsewhere(view: _View, name: str, connector_namespace: str) -> Object | None:
    """Returns the binding of that name that waits for a connector of that namespace, in whatever namespace it is."""
    for binding in view.all("AttachedConnectorBinding"):
        if binding["metadata"]["name"] == name and binding["spec"].get("connectorNamespace") == connector_namespace:
            return binding
    return None


def _wrong_site(connector: Object, binding: Object) -> str:
    return (
        f"{_name(connector)} names the site namespace '{connector['spec'].get('siteNamespace')}', but its "
        f"binding is in '{_namespace(binding)}': set its spec.siteNamespace to '{_namespace(binding)}'."
    )


def _missing_binding(view: _View, connector: Object, site: str, name: str) -> str:
    others = [b["metadata"]["name"] for b in view.all("AttachedConnectorBinding") if _namespace(b) == site]
    text = f"{_name(connector)} has no AttachedConnectorBinding '{name}' in its site namespace '{site}'"
    if others:
        text += f" (there is {', '.join(repr(o) for o in sorted(others))}; the two are paired by equal names)"
    return f"{text}, so its pods are not offered to the network: create the missing binding."


def _not_ready(view: _View, connector: Object) -> str:
    """Says what a connector lacks, from its pods: the controller may give it no status at all when none matches."""
    hint = _pod_hint(view, connector)
    if hint and not connector.get("status"):
        return f"{_name(connector)} has no status, which Skupper sets once a pod matches.{hint}"
    return f"{_name(connector)} is not ready: {state_text(connector)}.{hint}"


def _pod_hint(view: _View, connector: Object) -> str:
    selector, namespace = str(connector["spec"].get("selector", "")), _namespace(connector)
    message = str(connector.get("status", {}).get("message", ""))
    blamed = "No matches for selector" in message or "Not ready" in message
    here = [pod for pod in view.all("Pod") if _namespace(pod) == namespace]
    chosen = [pod for pod in here if selects_text(selector, pod)]
    if any(pod_is_ready(pod) for pod in chosen):
        return ""
    if not blamed and (connector.get("status") or selector_is_unknown(selector)):
        return ""
    text = f" No ready pod matches its selector '{selector}'"
    if chosen:
        names = ", ".join(f"'{pod['metadata']['name']}' ({pod.get('status', {}).get('phase', '?')})" for pod in chosen)
        return f"{text}: those that match are not ready: {names}."
    labels = sorted({f"{k}={v}" for pod in here for k, v in (pod["metadata"].get("labels") or {}).items()})
    return f"{text}." + (f" The pods of namespace '{namespace}' have {', '.join(labels[:8])}." if labels else "")


def _connectors(view: _View) -> list[str]:
    found = []
    for connector in view.all("Connector"):
        if not is_ready(connector) and connector["spec"].get("routingKey") in _wanted(view):
            found.append(_not_ready(view, connector))
    return found


def _wanted(view: _View) -> set[str]:
    return {str(listener["spec"].get("routingKey")) for listener in view.all("Listener")}


def _keys(view: _View) -> list[str]:
    offered = {
        o["spec"].get("routingKey") for kind in ("Connector", "AttachedConnectorBinding") for o in view.all(kind)
    }
    found = []
    for listener in view.all("Listener"):
        key = listener["spec"].get("routingKey")
        if key not in offered:
            there = ", ".join(f"'{k}'" for k in sorted(filter(None, offered))) or "none"
            found.append(
                f"{_name(listener)} asks for routing key '{key}', which no Connector and no AttachedConnectorBinding "
                f"offers (offered: {there})."
            )
        elif not is_ready(listener):
            found.append(f"{_name(listener)} is not ready: {state_text(listener)}.")
    for offer in view.all("Connector") + view.all("AttachedConnectorBinding"):
        key = offer["spec"].get("routingKey")
        # Without any Listener in view somebody else's may match; then the offer is ready
        if key not in _wanted(view) and (view.all("Listener") or not is_ready(offer)):
            found.append(f"{_name(offer)} offers routing key '{key}', which no Listener asks for.")
    return found


def _ports(view: _View) -> list[str]:
    found = []
    for connector in view.all("Connector") + view.all("AttachedConnector"):
        port, selector = connector["spec"].get("port"), connector["spec"].get("selector", "")
        pods = [p for p in view.all("Pod") if _namespace(p) == _namespace(connector) and selects_text(selector, p)]
        declared = {
            entry["containerPort"]
            for pod in pods
            for container in pod["spec"]["containers"]
            for entry in container.get("ports") or []
        }
        if declared and port not in declared:
            there = ", ".join(str(number) for number in sorted(declared))
            found.append(
                f"{_name(connector)} sends to port {port} of its pods, but they declare only {there}: connections "
                f"would "
                "be accepted and closed at once."
            )
    return found


def selector_is_unknown(selector: str) -> bool:
    """Tells whether a selector has a form that is not looked into: anything but equalities."""
    return not selector or any("=" not in term or "!=" in term or "(" in term for term in selector.split(","))


def selects_text(selector: str, pod: Object) -> bool:
    """Tells whether a selector of equalities matches a pod; other forms match none, so nothing is said of them."""
    labels = pod["metadata"].get("labels") or {}
    terms = [term.replace("==", "=").partition("=") for term in selector.split(",")]
    return all(sign and labels.get(key.strip()) == value.strip() for key, sign, value in terms)
