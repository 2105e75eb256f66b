from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_api import ApiServer

from NetLibrary._mechanics.cyperf import objects, reach
from NetLibrary._mechanics.errors import InputError, Unavailable
from NetLibrary._mechanics.kube import Cluster, addresses, manifests, wait
from NetLibrary.types import CyPerfRole, CyPerfTarget

MANIFESTS = Path(__file__).parents[2] / "manifests" / "cyperf"


def render(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "namespace": "demo", "image": "example.org/agent:1", "controller": "192.0.2.1", "tags": {"netlibrary": "run-1"},
        "replicas": 2,
    } | changes  # fmt: skip
    file = given.pop("file", MANIFESTS / "server.yaml")
    return objects.render(file, CyPerfRole.SERVER, **given)[-1]


def container(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = obj["spec"]["template"]["spec"]["containers"][0]
    return found


def test_manifest_is_made_to_fit() -> None:
    made = render()
    environment = {entry["name"]: entry["value"] for entry in container(made)["env"]}
    assert environment["AGENT_CONTROLLER"] == "192.0.2.1"
    assert environment["AGENT_TAGS"] == "K8s-Group=CyPerf-Agent-Server,node-owner=User,netlibrary=run-1"
    assert container(made)["image"] == "example.org/agent:1"
    assert made["metadata"]["namespace"] == "demo"
    assert made["spec"]["replicas"] == 2
    assert made["spec"]["template"]["spec"]["nodeSelector"] == {"agenttype": "server"}
    assert container(made)["securityContext"]["capabilities"]["add"] == ["NET_ADMIN", "IPC_LOCK", "NET_RAW"]


def test_the_two_notions_of_readiness() -> None:
    assert container(render())["readinessProbe"]["exec"]["command"] == ["cat", "/appsec/startup_ready"]
    assert container(render(readiness="traffic"))["readinessProbe"]["httpGet"]["path"] == "/CyPerfHTTPHealthCheck"
    assert "readinessProbe" not in container(render(readiness="none"))
    with pytest.raises(InputError, match="readiness is 'soon'; allowed: startup, traffic and none"):
        render(readiness="soon")


def test_one_agent_per_node_becomes_a_rule() -> None:
    affinity = render(one_per_node=True)["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    assert list(affinity) == ["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"][0]["topologyKey"] == "kubernetes.io/hostname"


def test_multus_variant_keeps_its_networks() -> None:
    made = objects.render(
        MANIFESTS / "multus.yaml", CyPerfRole.CLIENT, namespace="demo", image=None, controller="c", tags={},
        replicas=1,
    )  # fmt: skip
    assert [obj["kind"] for obj in made] == ["NetworkAttachmentDefinition"] * 2 + ["Deployment"]
    assert made[-1]["metadata"]["name"] == "cyperf-agent-client"
    assert {obj["metadata"]["namespace"] for obj in made} == {"demo"}


@pytest.mark.parametrize("target", list(CyPerfTarget))
def test_clients_of_another_cluster_need_a_way_in(target: CyPerfTarget) -> None:
    reach.check_reach(target, "https://one", "https://one")
    if target in (CyPerfTarget.NODE_PORT, CyPerfTarget.LOAD_BALANCER):
        reach.check_reach(target, "https://one", "https://two")
    else:
        with pytest.raises(InputError, match="only agents of the servers' own cluster reach"):
            reach.check_reach(target, "https://one", "https://two")


def test_requests_and_limits_of_a_users_manifest_are_left_alone(tmp_path: Path) -> None:
    def given(**wanted: str | None) -> dict[str, Any]:
        text = (MANIFESTS / "server.yaml").read_text(encoding="utf-8")
        file = tmp_path / "server.yaml"
        own = "requests: {memory: 2Gi, cpu: 2, ephemeral-storage: 1Gi}"
        file.write_text(text.replace("requests: {memory: 2Gi}", own), encoding="utf-8")
        made = render(file=file, resources=objects.resources_of(**wanted))
        return dict(container(made)["resources"])

    own = {"memory": "2Gi", "cpu": 2, "ephemeral-storage": "1Gi"}
    assert given() == {"requests": own, "limits": {"memory": "4Gi"}}
    assert given(cpu_limit="3.5") == {"requests": own, "limits": {"memory": "4Gi", "cpu": "3.5"}}
    assert given(memory="8Gi")["requests"] == {**own, "memory": "8Gi"}
    # A request above its limit would be refused by the API server.
    assert given(memory_limit="256Mi") == {"requests": {**own, "memory": "256Mi"}, "limits": {"memory": "256Mi"}}
    with pytest.raises(InputError, match="cpu_limit is 'many'"):
        given(cpu_limit="many")


def test_interfaces_and_a_controller_that_is_told_later() -> None:
    made = render(controller=None, environment={"AGENT_TEST_INTERFACE": "net1"})
    environment = {entry["name"]: entry["value"] for entry in container(made)["env"]}
    assert environment == {
        "AGENT_TAGS": "K8s-Group=CyPerf-Agent-Server,node-owner=User,netlibrary=run-1", "AGENT_TEST_INTERFACE": "net1",
    }  # fmt: skip


def test_cluster_without_multus_skips_its_variant(cluster: Cluster) -> None:
    with pytest.raises(Unavailable, match=r"no kind NetworkAttachmentDefinition \(k8s.cni.cncf.io/v1\). Multus brings"):
        objects.check_kinds(cluster, manifests.load(MANIFESTS / "multus.yaml"))


def test_sidecars_are_left_alone() -> None:
    mesh = {"name": "istio-proxy", "image": "example.org/mesh:1"}
    made = render()
    made["spec"]["template"]["spec"]["containers"].insert(0, mesh)
    assert objects.agent_container(made, CyPerfRole.SERVER)["name"] == "cyperf-agent-server"
    container(made)["name"] = "x"
    made["spec"]["template"]["spec"]["containers"][1]["name"] = "renamed"
    assert objects.agent_container(made, CyPerfRole.SERVER)["name"] == "renamed", "told by AGENT_CONTROLLER"


def test_a_log_that_could_not_be_read_is_not_kept_as_the_log(api: ApiServer, connect: Callable[..., Cluster]) -> None:
    deployed = objects.Deployed(CyPerfRole.SERVER, "demo", "cyperf-agent-server", "t", "i", 1, container="agent")
    pod = {"metadata": {"name": "p", "labels": {"run": "cyperf-agent-server"}}, "spec": {}, "status": {}}
    api.put("/api/v1/namespaces/demo/pods", pod)
    api.logs["p"] = "agent started"
    cluster = connect()
    assert objects.keep_logs(cluster, deployed) == []
    assert "container=agent" in api.requests[-1][1] or api.requests[-1][2].get("container") == "agent"
    api.refuse("GET", "/log", 500, "InternalError", "no route to the kubelet", times=9)
    assert "no route to the kubelet" in objects.keep_logs(cluster, deployed)[0]
    assert deployed.logs == {"p": "agent started"}
    assert deployed.seen == {"p"}


def test_nodes_of_the_device_are_avoided_whatever_labels_they_have() -> None:
    affinity = render(avoid=["node1", "node2"])["spec"]["template"]["spec"]["affinity"]
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [
        {
            "matchFields": [
                {"key": "metadata.name", "operator": "NotIn", "values": ["node1"]},
                {"key": "metadata.name", "operator": "NotIn", "values": ["node2"]},
            ]
        }
    ]


def test_manifest_without_the_role_is_refused() -> None:
    with pytest.raises(InputError, match="has 0 Deployments for Server agents"):
        render(file=MANIFESTS / "client.yaml")


@pytest.mark.parametrize("file", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.name)
def test_manifests_stand_alone(file: Path) -> None:
    for obj in manifests.load(file):
        assert obj["metadata"]["namespace"] == "cyperf"


def test_pods_that_run_but_wait_for_traffic_count_as_started() -> None:
    def pod(name: str, running: bool, ready: bool) -> dict[str, Any]:
        state = {"running": {}} if running else {"waiting": {"reason": "ContainerCreating"}}
        return {
            "metadata": {"name": name},
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "c", "state": state}],
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            },
        }  # fmt: skip

    goal = objects.started(1, time.time)
    assert isinstance(goal([pod("a", False, False)]), wait.Pending)
    assert isinstance(goal([pod("a", True, False)]), wait.Done)
    assert isinstance(goal([pod("a", True, True), pod("b", True, True)]), wait.Pending)


def test_pods_of_the_template_before_are_not_taken_for_the_new_ones() -> None:
    def deployment(generation: int, observed: int, updated: int, replicas: int) -> list[dict[str, Any]]:
        status = {"observedGeneration": observed, "updatedReplicas": updated, "replicas": replicas}
        return [{"metadata": {"generation": generation}, "status": status}]

    goal = objects.rolled_out(1)
    assert isinstance(goal([]), wait.Pending)
    assert isinstance(goal(deployment(2, 1, 1, 1)), wait.Pending)
    assert isinstance(goal(deployment(2, 2, 0, 1)), wait.Pending)
    assert isinstance(goal(deployment(2, 2, 1, 2)), wait.Pending)
    assert isinstance(goal(deployment(2, 2, 1, 1)), wait.Done)
    refused = deployment(2, 2, 0, 0)
    refused[0]["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
    outcome = goal(refused)
    assert isinstance(outcome, wait.Pending)
    assert "exceeded quota" in outcome.text


def test_tags_are_valid_values() -> None:
    assert objects.tag_value("1121-x", "a b", CyPerfRole.CLIENT) == "1121-x-a-b-client"


@pytest.mark.parametrize("port", [80, 443])
def test_services_have_both_ports(port: int) -> None:
    for service in manifests.load(MANIFESTS / "services.yaml"):
        assert addresses.service_port(service, port)["targetPort"] == port
    with pytest.raises(InputError, match=r"port is 8080; Service '.*' has 80/TCP, 443/TCP"):
        addresses.service_port(service, 8080)
