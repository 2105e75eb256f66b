"""Sites: one active per namespace, with a router and what it needs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from . import names, objects
from .conditions import REQUIRED, Status
from .kube import ApiError
from .version import CONTROLLER

if TYPE_CHECKING:
    from .connectivity import Wiring
    from .controller import Controller


def accepts_links(site: dict) -> bool:
    """Tells whether the Site wants to be reached by other sites."""
    return (site.get("spec") or {}).get("linkAccess", "") not in ("", "none")


def groups_of(site: dict) -> list[str]:
    """Gives the names of the Site's routers: one, or two for high availability."""
    ha = (site.get("spec") or {}).get("ha", False)
    return [names.ROUTER, f"{names.ROUTER}-2"] if ha else [names.ROUTER]


def issuer_of(site: dict) -> str:
    """Gives the name of the Secret whose authority signs the Site's link certificates."""
    return (site.get("spec") or {}).get("defaultIssuer") or names.SITE_CA


def site_status(site: dict) -> Status:
    """Begins the status of a Site; Resolved counts only when links are accepted."""
    extra = ("Resolved",) if accepts_links(site) else ()
    return Status(site, REQUIRED["Site"] + extra)


def active_site(controller: Controller, namespace: str) -> dict | None:
    """Gives the namespace's oldest Site, if it has no fault that keeps it from working."""
    found = controller.of("Site", namespace)
    if not found or found[0]["metadata"].get("deletionTimestamp"):
        return None
    return None if _fault(controller, found[0]) else found[0]


def _fault(controller: Controller, site: dict) -> str | None:
    spec, meta = site.get("spec") or {}, site["metadata"]
    link_access = spec.get("linkAccess", "")
    if link_access not in ("", "none", "default") and not controller.grants.access.enabled(link_access):
        return f"Unsupported value for LinkAccess: {link_access}"
    if spec.get("edge") and spec.get("ha"):
        return "Edge sites cannot have HA enabled"
    for group in groups_of(site):
        config = controller.get("ConfigMap", meta["namespace"], group)
        owners = (config or {}).get("metadata", {}).get("ownerReferences") or []
        if config is not None and not any(o["uid"] == meta["uid"] for o in owners):
            return f'{group} is not owned by skupper site "{meta["uid"]}"'
    return None


async def prepare(controller: Controller, namespace: str) -> dict | None:
    """Makes what a Site needs before anything else, and gives the active one."""
    found = controller.of("Site", namespace)
    for other in found[1:]:
        status = site_status(other)
        active = found[0]["metadata"]["name"]
        status.error("Configured", f"An active site already exists in the namespace ({active})")
        await controller.save(status)
    if not found or found[0]["metadata"].get("deletionTimestamp"):
        return None
    site = found[0]
    status = site_status(site)
    if fault := _fault(controller, site):
        status.error("Configured", fault)
        await controller.save(status)
        return None
    try:
        await _make(controller, site)
    except ApiError as error:
        if error.status not in (400, 403, 404, 422):
            raise  # the server is busy or away: nothing that the Site's owner could change
        status.error("Configured", error.message or str(error))
        await controller.save(status)
        raise
    if not status.true("Configured"):
        status.ok("Configured")
        _identify(controller, site, status)
        await controller.save(status)
    return site


def _identify(controller: Controller, site: dict, status: Status) -> None:
    status.fields["defaultIssuer"] = issuer_of(site)
    status.fields["controller"] = {
        "name": CONTROLLER,
        "namespace": controller.namespace,
        "version": controller.version,
    }


async def _make(controller: Controller, site: dict) -> None:
    meta, spec = site["metadata"], site.get("spec") or {}
    namespace, owners = meta["namespace"], [objects.owner_reference(site)]
    account = spec.get("serviceAccount") or names.ROUTER
    ensure = controller.ensure
    work = []
    if account == names.ROUTER:
        service_account, role, binding = objects.account(namespace, owners)
        # a pod is refused while its account does not exist, a binding while its role does not
        await asyncio.gather(ensure(service_account), ensure(role))
        work.append(ensure(binding))
    work += [
        ensure(
            objects.deployment(
                namespace,
                group,
                account,
                site,
                spread=(spec.get("settings") or {}).get("disable-anti-affinity") != "true",
            )
        )
        for group in groups_of(site)
    ]
    work += [ensure(obj) for obj in _certificates(namespace, owners)]
    work.append(
        ensure(
            objects.service(
                namespace,
                names.LOCAL_SERVICE,
                owners,
                dict(names.ROUTER_SELECTOR),
                [objects.port("amqps", names.PORT_AMQPS, names.PORT_AMQPS)],
            )
        )
    )
    if accepts_links(site):
        work.append(ensure(_router_access(site, owners)))
    await asyncio.gather(*work)
    if len(groups_of(site)) == 1:
        second = f"{names.ROUTER}-2"
        for kind in ("SecuredAccess", "Service", "Deployment", "ConfigMap"):
            left = controller.get(kind, namespace, second)  # from a time with high availability
            if left is not None and left["metadata"].get("ownerReferences") == owners:
                await controller.api.delete(kind, namespace, second)


def _certificates(namespace: str, owners: list[dict]) -> list[dict]:
    hosts = [
        names.LOCAL_SERVICE,
        f"{names.LOCAL_SERVICE}.{namespace}",
        f"{names.LOCAL_SERVICE}.{namespace}.svc",
        f"{names.LOCAL_SERVICE}.{namespace}.svc.cluster.local",
    ]
    return [
        objects.certificate(
            namespace, names.SITE_CA, owners, ca="", subject=f"{names.SITE_CA} {namespace}", signing=True
        ),
        objects.certificate(namespace, names.LOCAL_CA, owners, ca="", subject=names.LOCAL_CA, signing=True),
        objects.certificate(
            namespace,
            names.LOCAL_SERVER,
            owners,
            ca=names.LOCAL_CA,
            subject=names.LOCAL_SERVICE,
            hosts=hosts,
            server=True,
        ),
    ]


def _router_access(site: dict, owners: list[dict]) -> dict:
    spec = site["spec"]
    access_type = "" if spec["linkAccess"] == "default" else spec["linkAccess"]
    content: dict[str, Any] = {
        "roles": [
            {"name": "inter-router", "port": names.PORT_INTER_ROUTER},
            {"name": "edge", "port": names.PORT_EDGE},
        ],
        "tlsCredentials": names.SITE_SERVER,
        "generateTlsCredentials": True,
        "issuer": issuer_of(site),
    }
    if access_type:
        content["accessType"] = access_type
    return objects.build(
        names.API_VERSION,
        "RouterAccess",
        site["metadata"]["namespace"],
        names.ROUTER,
        owners,
        annotations={names.ANNOTATION_CONTROLLED: "true"},
        spec=content,
    )


async def configure(controller: Controller, site: dict, wiring: Wiring) -> None:
    """Writes the routers' configuration and the Site's status."""
    namespace = site["metadata"]["namespace"]
    owners = [objects.owner_reference(site)]
    for group in groups_of(site):
        text = json.dumps(wiring.config(group), indent=1)
        await controller.ensure(objects.config_map(namespace, group, owners, text))
    fresh = controller.get("Site", namespace, site["metadata"]["name"])
    if fresh is None:
        return
    status = site_status(fresh)
    _identify(controller, fresh, status)
    status.ok("Configured")
    _running(controller, status, namespace)
    _resolved(controller, status, namespace)
    view = wiring.view
    if view is not None:
        status.fields["network"] = view.sites
        status.fields["sitesInNetwork"] = len(view.sites)
    await controller.save(status)


def _running(controller: Controller, status: Status, namespace: str) -> None:
    pods = [
        pod
        for pod in controller.of("Pod", namespace)
        if names.ROUTER_SELECTOR.items() <= (pod["metadata"].get("labels") or {}).items()
        and not pod["metadata"].get("deletionTimestamp")
    ]
    if not pods and not status.has("Running"):
        return
    faults = [_pod_fault(pod) for pod in pods]
    if "" in faults:  # one ready router is enough
        status.ok("Running")
    else:
        status.pending("Running", faults[0] if faults else "No router pod is ready")


def _pod_fault(pod: dict) -> str:
    """Gives why a pod is not ready; empty when it is."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
        return ""
    for condition in conditions:
        if condition["status"] == "False" and condition.get("message"):
            return str(condition["message"])
    return f"Pod {pod['metadata']['name']} not ready"


def _resolved(controller: Controller, status: Status, namespace: str) -> None:
    endpoints: list[dict] = []
    for router_access in controller.of("RouterAccess", namespace):
        endpoints += (router_access.get("status") or {}).get("endpoints") or []
    status.fields["endpoints"] = endpoints
    if not accepts_links(status.obj):
        return
    if endpoints:
        status.ok("Resolved")
    else:
        status.pending("Resolved", "Pending")
