"""Faults by name for the acceptance tests: each needs addresses of the matrix that is up."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from robot.libraries.BuiltIn import BuiltIn

from NetLibrary._mechanics import errors
from NetLibrary.keywords.matrix._state import state_of
from NetLibrary.lab.faults import FaultPlan, Faults, names, network, pods, processes

ROBOT_LIBRARY_SCOPE = "GLOBAL"
SETTLE = 0.4


class breakage:  # noqa: N801 - Robot wants the name of the file
    """Makes and repairs the faults of the acceptance tests."""

    def __init__(self) -> None:
        self._undo: list[Any] = []

    @property
    def _matrix(self) -> Any:
        return state_of(BuiltIn().get_library_instance("NetLibrary").session).built()

    def _facts(self) -> dict[str, Any]:
        world = self._matrix.world
        cluster = self._matrix.cluster
        lab = cluster.lab
        slices = cluster.list("EndpointSlice", "kube-system", labels="kubernetes.io/service-name=kube-dns")
        balancers = [
            i["ip"] for s in world.services for i in (s["status"].get("loadBalancer") or {}).get("ingress") or []
        ]
        return {
            "pod": {p["metadata"]["name"]: p["status"]["podIP"] for p in world.pods},
            "vip": {s["metadata"]["name"]: s["spec"].get("clusterIP") for s in world.services},
            "nodeport": {
                s["metadata"]["name"]: {p["protocol"]: p.get("nodePort") for p in s["spec"].get("ports", [])}
                for s in world.services
            },
            "node": {n.name: n for n in lab.nodes},
            "pods": str(lab.plan.all_pods),
            "dns": slices[0]["endpoints"][0]["addresses"][0],
            "balancers": balancers,
            "lab": lab,
        }

    def break_by_name(self, name: str) -> None:
        """Makes the fault of that name."""
        plan = getattr(self, "_" + name.lower().replace(" ", "_").replace("-", "_"))(self._facts())
        if isinstance(plan, FaultPlan):
            faults = Faults(self._matrix.cluster.lab)
            fault = faults.apply(plan)
            self._undo.append(lambda: faults.repair(fault))
        time.sleep(SETTLE)
        self._matrix.refresh()

    def repair_what_was_broken(self) -> None:
        """Repairs everything that this library has broken, and waits until the lab is healthy again."""
        if not self._undo:
            return
        while self._undo:
            self._undo.pop()()
        matrix = self._matrix
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            matrix.refresh()
            if all(n["status"]["conditions"][-1]["status"] == "True" for n in matrix.world.nodes):
                tables = matrix.check_all(["pod ip", "cluster ip", "names"], settle=20)
                if not any(table.wrong for table in tables):
                    break
            time.sleep(0.5)
        matrix.forget()

    # --- nodes and their links -------------------------------------------------------------------------------

    def _service_proxy_without_rules(self, facts: dict[str, Any]) -> FaultPlan:
        return processes.flush_service_rules("node2")

    def _service_proxy_stopped(self, facts: dict[str, Any]) -> FaultPlan:
        return self._renewed_behind(processes.stop_process("node2", "kube-proxy"))

    def _service_proxy_hangs(self, facts: dict[str, Any]) -> FaultPlan:
        return self._renewed_behind(processes.pause_process("node2", "kube-proxy"))

    def _renewed_behind(self, plan: FaultPlan) -> None:
        """Breaks first, and then makes a Service anew, which the broken proxy does not see."""
        faults = Faults(self._matrix.cluster.lab)
        fault = faults.apply(plan)
        self._undo.append(lambda: faults.repair(fault))
        cluster, namespace = self._matrix.cluster, self._matrix.layout.namespace
        time.sleep(1.1)  # creation times have whole seconds
        for name in ("to-on-node3", "spread"):
            old = cluster.get("Service", name, namespace)
            cluster.delete("Service", name, namespace)
            spec = {"ports": old["spec"]["ports"], "selector": old["spec"]["selector"]}
            cluster.create(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": spec,
                }
            )
        time.sleep(1.0)

    def _kubelet_stopped(self, facts: dict[str, Any]) -> FaultPlan:
        return self._with_new_probers(processes.stop_process("node2", "kubelet"))

    def _kubelet_hangs(self, facts: dict[str, Any]) -> FaultPlan:
        return self._with_new_probers(processes.pause_process("node2", "kubelet"))

    def _with_new_probers(self, plan: FaultPlan) -> FaultPlan:
        self._matrix.fleet.close()  # a prober that runs already does not need the kubelet any more
        return plan

    def _link_cut(self, facts: dict[str, Any]) -> FaultPlan:
        return network.cut_link("node3")

    def _address_changed(self, facts: dict[str, Any]) -> FaultPlan:
        old = facts["node"]["node3"].address
        return network.change_address("node3", old, old.rsplit(".", 1)[0] + ".77")

    def _one_direction_dropped(self, facts: dict[str, Any]) -> FaultPlan:
        node = facts["node"]["node1"]
        return network.drop(
            "node2", "one direction", source=[node.pods, node.address], hooks=("prerouting",), interface="eth0"
        )

    def _connections_dropped_one_way(self, facts: dict[str, Any]) -> FaultPlan:
        return network.drop(
            "node2", "new connections one way", source=[facts["node"]["node1"].pods], hooks=("forward",),
            interface="eth0", extra="ct state new",
        )  # fmt: skip

    def _udp_dropped_at_node(self, facts: dict[str, Any]) -> FaultPlan:
        return network.drop("node2", protocol="udp", hooks=("forward", "input"), interface="eth0")

    def _large_packets_dropped(self, facts: dict[str, Any]) -> FaultPlan:
        return network.drop_large("node2")

    def _new_flows_dropped(self, facts: dict[str, Any]) -> FaultPlan:
        return network.drop_new_flows("node3")

    def _packets_lost(self, facts: dict[str, Any]) -> FaultPlan:
        return network.lose("node1", 0.7, extra='iifname "eth0"')

    # --- names -----------------------------------------------------------------------------------------------

    def _dns_down(self, facts: dict[str, Any]) -> FaultPlan:
        return names.break_dns("down", list(facts["node"]))

    def _dns_down_at_node(self, facts: dict[str, Any]) -> FaultPlan:
        return names.break_dns("down", ["node1"])

    def _dns_wrong(self, facts: dict[str, Any]) -> FaultPlan:
        return names.break_dns("wrong", list(facts["node"]))

    def _dns_slow(self, facts: dict[str, Any]) -> FaultPlan:
        return names.break_dns("slow", list(facts["node"]), upstream=facts["dns"])

    def _dns_without_names(self, facts: dict[str, Any]) -> FaultPlan:
        return names.break_dns("nxdomain", list(facts["node"]))

    def _resolver_names_another_server(self, facts: dict[str, Any]) -> FaultPlan:
        matrix = self._matrix
        return pods.misdirect(matrix.cluster.get("Pod", "on-node2", matrix.layout.namespace), "192.0.2.53")

    # --- pods and backends -----------------------------------------------------------------------------------

    def _pod_unreachable(self, facts: dict[str, Any]) -> FaultPlan:
        return network.isolate_pod("node2", facts["pod"]["on-node2"])

    def _pod_refuses(self, facts: dict[str, Any]) -> FaultPlan:
        return network.isolate_pod("node3", facts["pod"]["on-node3"], verdict="reject with icmpx type port-unreachable")

    def _pod_resets(self, facts: dict[str, Any]) -> FaultPlan:
        verdict = "tcp dport 8080 reject with tcp reset"
        return network.isolate_pod("node3", facts["pod"]["on-node3"], verdict=verdict)

    def _source_pod_isolated(self, facts: dict[str, Any]) -> FaultPlan:
        return network.drop(
            "node1", "source", source=[facts["pod"]["on-node1"]], hooks=("forward", "input"), extra="ct state new"
        )

    def _pods_isolated(self, facts: dict[str, Any]) -> None:
        faults = Faults(self._matrix.cluster.lab)
        for node in facts["node"]:
            # bridged frames of one node are seen at layer 3 only where the lab's bridge passes them up
            plan = network.drop(
                node, "all pods", source=[facts["pods"]], destination=[facts["pods"]], hooks=("forward",)
            )
            fault = faults.apply(plan)
            self._undo.append(lambda fault=fault: faults.repair(fault))

    def _backend_dead_behind_service(self, facts: dict[str, Any]) -> None:
        """A hand-made endpoint that says ready and does not exist."""
        cluster, namespace = self._matrix.cluster, self._matrix.layout.namespace
        cluster.create({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "spread-dead", "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": "spread"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"},
                      {"name": "udp", "port": 8080, "protocol": "UDP"}],
            "endpoints": [{"addresses": [facts["node"]["node1"].pods.rsplit(".", 1)[0] + ".250"], "nodeName": "node1",
                           "conditions": {"ready": True}}],
        })  # fmt: skip
        self._undo.append(lambda: cluster.delete("EndpointSlice", "spread-dead", namespace))

    def _patch_ports(self, service: str, port: int, target: int) -> None:
        cluster, namespace = self._matrix.cluster, self._matrix.layout.namespace
        before = cluster.get("Service", service, namespace)["spec"]["ports"]
        after = [{**p, "targetPort": target} if p["port"] == port and p["protocol"] == "TCP" else p for p in before]
        cluster.patch("Service", service, namespace, {"spec": {"ports": after}})
        self._undo.append(lambda: cluster.patch("Service", service, namespace, {"spec": {"ports": before}}))
        time.sleep(1.0)

    def _one_port_refused(self, facts: dict[str, Any]) -> FaultPlan:
        verdict = "tcp dport 9376 reject with tcp reset"
        return network.isolate_pod("node1", facts["pod"]["on-node1"], verdict=verdict)

    def _selector_changed(self, facts: dict[str, Any]) -> None:
        cluster, namespace = self._matrix.cluster, self._matrix.layout.namespace
        before = cluster.get("Service", "to-on-node2", namespace)["spec"]["selector"]
        wrong = {"spec": {"selector": dict.fromkeys(before, "nobody")}}
        cluster.patch("Service", "to-on-node2", namespace, wrong)
        self._undo.append(lambda: cluster.patch("Service", "to-on-node2", namespace, {"spec": {"selector": before}}))
        time.sleep(0.5)

    def _policy_of_others(self, facts: dict[str, Any]) -> None:
        namespace = self._matrix.layout.namespace
        policy = {
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "default-deny", "namespace": namespace},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        }  # fmt: skip
        facts["lab"].apply([policy])  # not by the connection of this run, whose own policies are meant
        self._undo.append(lambda: self._matrix.cluster.delete("NetworkPolicy", "default-deny", namespace))
        time.sleep(1.0)

    def _pod_with_wrong_gateway(self, facts: dict[str, Any]) -> FaultPlan:
        return network.wrong_gateway("node2", facts["pod"]["on-node2"])

    def _server_hangs(self, facts: dict[str, Any]) -> FaultPlan:
        return pods.hang(self._matrix.world.pod("on-node3"))

    def _pod_starved(self, facts: dict[str, Any]) -> FaultPlan:
        return pods.starve(self._matrix.world.pod("on-node3"))

    def _service_port_dropped_at_node(self, facts: dict[str, Any]) -> FaultPlan:
        vip = [facts["vip"]["several-ports"]]
        return network.drop("node2", "port", destination=vip, protocol="tcp", ports=[81], hooks=("prerouting",))

    def _one_node_port_dropped(self, facts: dict[str, Any]) -> FaultPlan:
        ports = [facts["nodeport"]["nodeport"]["TCP"]]
        return network.drop("node2", "one node port", protocol="tcp", ports=ports, hooks=("prerouting",))

    def _link_loses_packets(self, facts: dict[str, Any]) -> FaultPlan:
        return network.lose("node1", 0.6, source=[facts["node"]["node2"].pods])

    def _wrong_target_port(self, facts: dict[str, Any]) -> None:
        self._patch_ports("several-ports", 81, 9999)

    # --- behaviour of Services -------------------------------------------------------------------------------

    def _hairpin_blocked(self, facts: dict[str, Any]) -> FaultPlan:
        address = [facts["pod"]["on-node1"]]
        return network.drop("node1", "hairpin", source=address, destination=address, hooks=("forward",))

    def _foreign_backend(self, facts: dict[str, Any]) -> FaultPlan:
        backend = facts["pod"]["on-node3"] + ":8080"
        return network.translate("node2", "foreign backend", facts["vip"]["to-on-node1"], "tcp", 80, [backend])

    def _affinity_ignored(self, facts: dict[str, Any]) -> FaultPlan:
        # not on-node2: a pod that is sent back to itself would need its address translated as well
        backends = [facts["pod"][f"on-node{i}"] + ":8080" for i in (1, 3)]
        return network.translate("node2", "affinity", facts["vip"]["sticky"], "tcp", 80, backends)

    def _stale_udp_flow(self, facts: dict[str, Any]) -> None:
        """Keeps node2's UDP flows at the first backend of the Service that the row 'udp flows' is going to make.

        That is what a proxy does that does not clear connection tracking entries: as soon as the entry is gone, a rule
        of ours makes the same one again.
        """
        thread = threading.Thread(target=self._keep_flow, daemon=True)
        self._undo.append(lambda: thread.join(1.0))
        thread.start()

    def _keep_flow(self) -> None:
        cluster, namespace = self._matrix.cluster, self._matrix.layout.namespace
        node, client = cluster.lab.node("node2"), self._facts()["pod"]["on-node2"]
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            try:
                service = cluster.get("Service", "udp-flow", namespace)["spec"]
                address = service["clusterIP"]
                backend = cluster.get("Pod", "udp-flow-one", namespace)["status"]["podIP"]
                # a flow stays with a backend that it has reached, and only this one flow: others work
                tracked = node.run(["conntrack", "-L", "-p", "udp", "-s", client, "-d", address], check=False).stdout
                flow = re.search(rf"sport=(\d+) dport=80 src={re.escape(backend)} ", tracked)
                if flow:
                    break
            except (errors.NotFound, KeyError):
                pass
            time.sleep(0.1)
        else:
            return
        faults = Faults(cluster.lab)
        plan = network.translate(
            "node2", "stale UDP flow", address, "udp", 80, [f"{backend}:8080"], source_port=int(flow[1])
        )
        fault = faults.apply(plan)
        self._undo.append(lambda: faults.repair(fault))

    def _client_address_lost(self, facts: dict[str, Any]) -> FaultPlan:
        return network.hide_clients("node2", facts["pods"])

    def _local_policy_ignored(self, facts: dict[str, Any]) -> FaultPlan:
        return network.translate(
            "node2", "policy", facts["node"]["node2"].address, "tcp", facts["nodeport"]["nodeport-local"]["TCP"],
            [facts["pod"]["on-node1"] + ":8080"], hide_client=True,
        )  # fmt: skip

    def _node_port_blocked(self, facts: dict[str, Any]) -> FaultPlan:
        ports = [facts["nodeport"]["nodeport"]["TCP"], facts["nodeport"]["nodeport-local"]["TCP"]]
        return network.drop("node2", "node port", protocol="tcp", ports=ports, hooks=("prerouting",), interface="eth0")

    def _balancer_not_announced(self, facts: dict[str, Any]) -> FaultPlan:
        return network.drop("machine", "balancer", destination=facts["balancers"], hooks=("forward",))

    def _dropped_not_refused(self, facts: dict[str, Any]) -> FaultPlan:
        addresses = [facts["vip"]["no-endpoints"], facts["vip"]["hidden"]]
        return network.drop("node2", "reject", destination=addresses, hooks=("prerouting", "output"))
