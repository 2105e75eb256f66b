"""Answers for the API server what it asks about new pods, as the admission of clusters of several makers does."""

from __future__ import annotations

import base64
import copy
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from NetLibrary._mechanics.kube.quantities import quantity
from NetLibrary.lab.pki import Authority

Object = dict[str, Any]
# Changes a pod in its place; returns why it is refused, or nothing
Rule = Callable[[Object], str]
EXEMPT = ["kube-system", "default"]
RANGE = range(1000660000, 1000670000)


def serve(folder: Path, address: str, rule: Rule) -> tuple[Object, ThreadingHTTPServer]:
    """Starts a webhook; returns what sends each new pod of a user's namespace to it, and the server."""
    authority = Authority(folder, "webhook")
    authority.issue("server", "webhook", hosts=(address,))

    class Handler(_Handler):
        ruled = staticmethod(rule)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server = ThreadingHTTPServer((address, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return configuration(f"https://{address}:{server.server_address[1]}/", authority.pem), server


def configuration(url: str, trust: bytes) -> Object:
    """Returns the object that sends each new pod to a webhook."""
    hook = {
        "name": "pods.webhook.example",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 30,  # the machine is busy
        "failurePolicy": "Fail",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(trust).decode()},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": EXEMPT}]
        },
    }
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "odd"}, "webhooks": [hook]}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    ruled: Rule

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        before = review["request"]["object"]
        before["metadata"].setdefault("namespace", review["request"]["namespace"])
        pod = copy.deepcopy(before)
        refused = type(self).ruled(pod)
        answer: Object = {"uid": review["request"]["uid"], "allowed": not refused}
        if refused:
            answer["status"] = {"code": 403, "message": refused}
        elif pod != before:
            pod["metadata"].setdefault("labels", {})
            patch = [{"op": "add", "path": f"/{part}", "value": pod[part]} for part in ("metadata", "spec")]
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _containers(pod: Object) -> list[Object]:
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def _contexts(pod: Object) -> list[Object]:
    return [each.get("securityContext") or {} for each in (pod["spec"], *_containers(pod))]


def _capabilities(pod: Object) -> set[str]:
    return {each for context in _contexts(pod) for each in (context.get("capabilities") or {}).get("add") or []}


def mesh(pod: Object) -> str:
    """Adds containers in front of the pod's own, as meshes do, and a label."""
    proxy = {
        "name": "mesh-proxy",
        "image": "docker.io/library/busybox:1.36",
        "command": ["sh", "-c", "trap exit TERM; while :; do sleep 1; done"],
        "securityContext": {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
            "runAsUser": 1337, "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip
    pod["spec"]["containers"].insert(0, proxy)  # a name says which is whose
    first = {**proxy, "name": "mesh-init", "command": ["true"]}
    pod["spec"]["initContainers"] = [first, *(pod["spec"].get("initContainers") or [])]
    pod["metadata"].setdefault("labels", {})["mesh.example/injected"] = "true"
    return ""


def openshift(pod: Object) -> str:
    """The security context constraint `restricted-v2`: ids of the namespace's range alone, group 0, no host."""
    spec, wrong = pod["spec"], []
    if spec.get("hostNetwork"):
        wrong.append(".spec.securityContext.hostNetwork: Invalid value: true: Host network is not allowed to be used")
    if any("hostPath" in volume for volume in spec.get("volumes") or []):
        wrong.append('spec.volumes[0]: Invalid value: "hostPath": hostPath volumes are not allowed to be used')
    users = {context["runAsUser"] for context in _contexts(pod) if "runAsUser" in context}
    for user in users - set(RANGE):
        ends = f"[{RANGE[0]}, {RANGE[-1]}]"
        wrong.append(f".containers[0].runAsUser: Invalid value: {user}: must be in the ranges: {ends}")
    for capability in sorted(_capabilities(pod) - {"NET_BIND_SERVICE"}):
        what = "capability may not be added"
        wrong.append(f'.containers[0].capabilities.add: Invalid value: "{capability}": {what}')
    if wrong:
        listed = ", ".join(f"provider restricted-v2: {each}" for each in wrong)
        return f"unable to validate against any security context constraint: [{listed}]"
    spec["securityContext"] = {
        "fsGroup": RANGE[0], "seLinuxOptions": {"level": "s0:c26,c5"}, "seccompProfile": {"type": "RuntimeDefault"},
        **(spec.get("securityContext") or {}),
    }  # fmt: skip
    for each in _containers(pod):
        given = each.get("securityContext") or {}
        each["securityContext"] = {
            "runAsUser": RANGE[0], "runAsNonRoot": True, **given, "allowPrivilegeEscalation": False,
            "capabilities": {**(given.get("capabilities") or {}), "drop": ["ALL"]},
        }  # fmt: skip
    return ""


def _at_least_250m(cpu: str) -> str:
    return cpu if quantity(cpu) > 0.25 else "250m"


def autopilot(pod: Object) -> str:
    """Nothing of the host, nodes by few labels; requests of 250m at least and 500m by default, and limits like them.

    So it is where pods may not use more than they ask for, as before version 1.30.2. The least amount of memory there,
    512Mi, would not fit on a lab.
    """
    spec, wrong = pod["spec"], {}
    if spec.get("hostNetwork"):
        wrong["[denied by autogke-no-host-namespaces]"] = ["enabling hostNetwork is not allowed in Autopilot."]
    if any("hostPath" in volume for volume in spec.get("volumes") or []):
        wrong["[denied by autogke-no-write-mode-hostpath]"] = ["hostPath volume in mode write is not allowed."]
    for capability in sorted(_capabilities(pod) & {"NET_RAW", "NET_ADMIN", "IPC_LOCK", "SYS_ADMIN"}):
        text = f"linux capability '{capability}' on container '{_containers(pod)[0]['name']}' not allowed"
        wrong["[denied by autogke-default-linux-capabilities]"] = [text]
    chosen = [spec.get("nodeSelector"), (spec.get("affinity") or {}).get("nodeAffinity")]
    if "kubernetes.io/hostname" in json.dumps(chosen):
        said = "node affinity is not allowed on labels with keys: 'kubernetes.io/hostname'"
        wrong["[denied by autogke-node-affinity-selector-limitation]"] = [said]
    if wrong:
        said = "GKE Warden rejected the request because it violates one or more constraints."
        return f"{said}\nViolations details: {json.dumps(wrong)}"
    for each in _containers(pod):
        asked = (each.get("resources") or {}).get("requests") or {}
        both = {"memory": "128Mi", **asked, "cpu": _at_least_250m(asked.get("cpu", "500m"))}
        each["resources"] = {"requests": both, "limits": dict(both)}
    pod["metadata"].setdefault("annotations", {})["autopilot.gke.io/resource-adjustment"] = "{}"
    return ""


def node_local_dns(pod: Object) -> str:
    """Pods ask a cache on their own node for names, at an address that is the same on each."""
    searched = [f"{pod['metadata']['namespace']}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    if pod["spec"].get("dnsPolicy", "ClusterFirst") in ("ClusterFirst", "ClusterFirstWithHostNet"):
        pod["spec"] |= {
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": ["169.254.20.10"],
                "searches": searched,
                "options": [{"name": "ndots", "value": "5"}],
            },
        }
    return ""


def chosen_nodes(pod: Object) -> str:
    """All pods go to some nodes, as the default node selector of a project has it."""
    pod["spec"]["nodeSelector"] = {**(pod["spec"].get("nodeSelector") or {}), "disk": "ssd"}
    return ""


def few_questions(pod: Object) -> str:
    """Names with two dots are asked for as they are first, which spares a busy DNS many questions.

    With one dot, images of Alpine find no Service of another namespace: musl then leaves the search list out.
    """
    config = pod["spec"].get("dnsConfig") or {}
    pod["spec"]["dnsConfig"] = {**config, "options": [*(config.get("options") or []), {"name": "ndots", "value": "2"}]}
    return ""
