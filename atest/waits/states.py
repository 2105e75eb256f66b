"""Makes workloads that never get ready, each for one reason."""

from __future__ import annotations

from typing import Any

from robot.libraries.BuiltIn import BuiltIn

IMAGE = "quay.io/skupper/lanyard:2.0"
SLEEP = ["sleep", "600"]
FAILS = ["sh", "-c", "echo no configuration; exit 3"]
GREEDY = ["sh", "-c", "x=0123456789abcdef; while true; do x=$x$x; done"]


def _main(**more: Any) -> dict[str, Any]:
    return {"name": "web", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": SLEEP, **more}


def _never_ready() -> dict[str, Any]:
    return {"exec": {"command": ["false"]}, "periodSeconds": 1}


def _failing(**more: Any) -> dict[str, Any]:
    # Without the probe a container is ready for the moment in which it runs
    return _main(**{"command": FAILS, "readinessProbe": _never_ready(), **more})


PODS: dict[str, dict[str, Any]] = {
    "ended": {"restartPolicy": "Never", "containers": [_failing()]},
    "crash": {"containers": [_failing()]},
    "oom": {"containers": [_failing(command=GREEDY, resources={"limits": {"memory": "20Mi"}})]},
    "second": {"containers": [_main(name="first"), _failing()]},
    "init": {"initContainers": [_main(name="db", command=FAILS)], "containers": [_main()]},
    "sidecar": {
        "initContainers": [_main(name="proxy", command=FAILS, restartPolicy="Always")],
        "containers": [_main()],
    },
    "noimage": {"containers": [_main(image="registry.invalid/none:1")]},
    "badimage": {"containers": [_main(image="Registry/UPPER::")]},
    "neverpull": {"containers": [_main(image="registry.invalid/never:1", imagePullPolicy="Never")]},
    "noconfig": {"containers": [_main(envFrom=[{"configMapRef": {"name": "none"}}])]},
    "nosecret": {
        "volumes": [{"name": "v", "secret": {"secretName": "none"}}],
        "containers": [_main(volumeMounts=[{"name": "v", "mountPath": "/v"}])],
    },
    "nonode": {"nodeSelector": {"netlibrary.io/no-such": "node"}, "containers": [_main()]},
    "gated": {"schedulingGates": [{"name": "example.org/wait"}], "containers": [_main()]},
    "gate": {"readinessGates": [{"conditionType": "example.org/lb"}], "containers": [_main()]},
    "slowinit": {"initContainers": [_main(name="db")], "containers": [_main()]},
    "probe": {"containers": [_main(readinessProbe=_never_ready())]},
    "startup": {"containers": [_main(startupProbe={**_never_ready(), "failureThreshold": 600})]},
}
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "stuck": {
        "progressDeadlineSeconds": 4,
        "spec": {"nodeSelector": {"netlibrary.io/no-such": "node"}, "containers": [_main()]},
    },
    "account": {"spec": {"serviceAccountName": "none", "containers": [_main()]}},
    "none": {"replicas": 0, "spec": {"containers": [_main()]}},
    "paused": {"paused": True, "spec": {"containers": [_main()]}},
}


def start_state(name: str, namespace: str) -> None:
    """Creates the pod or Deployment of that name."""
    meta = {"name": name, "namespace": namespace, "labels": {"app": name}}
    if name in PODS:
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        body["spec"] = {"terminationGracePeriodSeconds": 0, **PODS[name]}
    else:
        given = dict(DEPLOYMENTS[name])
        template = {"metadata": {"labels": {"app": name}}, "spec": given.pop("spec")}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
        body["spec"] = {"selector": {"matchLabels": {"app": name}}, "template": template, **given}
    BuiltIn().get_library_instance("NetLibrary").session.cluster().create(body)
