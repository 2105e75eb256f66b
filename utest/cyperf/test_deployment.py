from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from NetLibrary._mechanics.cyperf import deployment, reach
from NetLibrary._mechanics.cyperf.types import CyPerfRole, CyPerfTarget
from NetLibrary._mechanics.errors import InputError
from NetLibrary._mechanics.kube import addresses, manifests, wait

MANIFESTS = Path(__file__).parents[2] / "manifests" / "cyperf"


def render(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "namespace": "demo", "image": "example.org/agent:1", "controller": "192.0.2.1", "tags": {"netlibrary": "run-1"},
        "replicas": 2, "node_selector": None, "memory": None, "readiness": "startup", "one_per_node": False,
    } | changes  # fmt: skip
    file = given.pop("file", MANIFESTS / "server.yaml")
    return deployment.render(file, CyPerfRole.SERVER, **given)[-1]


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
    with pytest.raises(InputError, match="readiness is 'soon'; allowed are startup, traffic and none"):
        render(readiness="soon")


def test_one_agent_per_node_becomes_a_rule() -> None:
    affinity = render(one_per_node=True)["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    assert list(affinity) == ["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"][0]["topologyKey"] == "kubernetes.io/hostname"


def test_multus_variant_keeps_its_networks() -> None:
    objects = deployment.render(
        MANIFESTS / "multus.yaml", CyPerfRole.CLIENT, namespace="demo", image=None, controller="c", tags={},
        replicas=1, node_selector=None, memory=None, readiness="startup", one_per_node=False,
    )  # fmt: skip
    assert [obj["kind"] for obj in objects] == ["NetworkAttachmentDefinition"] * 2 + ["Deployment"]
    assert objects[-1]["metadata"]["name"] == "cyperf-agent-client"
    assert {obj["metadata"]["namespace"] for obj in objects} == {"demo"}


@pytest.mark.parametrize("target", list(CyPerfTarget))
def test_clients_of_another_cluster_need_a_way_in(target: CyPerfTarget) -> None:
    reach.check_reach(target, "https://one", "https://one")
    if target in (CyPerfTarget.NODE_PORT, CyPerfTarget.LOAD_BALANCER):
        reach.check_reach(target, "https://one", "https://two")
    else:
        with pytest.raises(InputError, match="only agents of the servers' own cluster reach"):
            reach.check_reach(target, "https://one", "https://two")


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

    goal = deployment.started(1)
    assert isinstance(goal([pod("a", False, False)]), wait.Pending)
    assert isinstance(goal([pod("a", True, False)]), wait.Done)
    assert isinstance(goal([pod("a", True, True), pod("b", True, True)]), wait.Pending)


def test_tags_are_valid_values() -> None:
    assert deployment.tag_value("1121-x", "a b", CyPerfRole.CLIENT) == "1121-x-a-b-client"


@pytest.mark.parametrize("port", [80, 443])
def test_services_have_both_ports(port: int) -> None:
    for service in manifests.load(MANIFESTS / "services.yaml"):
        assert addresses.service_port(service, port)["targetPort"] == port
    with pytest.raises(InputError, match=r"port is 8080; Service '.*' has 80/TCP, 443/TCP"):
        addresses.service_port(service, 8080)
