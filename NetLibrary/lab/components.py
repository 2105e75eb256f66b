"""Command lines of everything that runs in a lab, and what the control plane reads. Nodes read `node_files.py`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from NetLibrary.lab.paths import Paths
from NetLibrary.lab.pki import Authority
from NetLibrary.lab.plan import AddressPlan

BALANCER_CHECKS_S = 3
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "load-balancer")

SYSTEM_NAMESPACES = ("kube-system", "kube-flannel", "metallb-system")


# Agents of the lab that run on every node beside the kubelet: name of the component in src/components.go → arguments,
# formatted with the fields `kubeconfig` (credentials of the user netlibrary:NAME), `node`, `address` and `pods`. What
# that user may do in the cluster is written in manifests/system.yaml.
NODE_AGENTS: dict[str, tuple[str, ...]] = {
    # enforces NetworkPolicies, see src/netpol
    "netpol": ("--kubeconfig={kubeconfig}", "--node={node}"),
}


@dataclass(frozen=True)
class Options:
    """What may be chosen about a lab.

    Args:
        proxy_mode: How kube-proxy programs Services: `iptables` or `nftables`; `none` runs no kube-proxy.
        mtu: Largest packet on every link.
        ip_family: Addresses of nodes, pods and Services: `ipv4`, `ipv6`, `dual` or `dual-ipv6-first`.
        network: Who connects the pods: `bridge` (the lab's own), `flannel`, `flannel-host-gw`, `kube-router`; `none`
            leaves that to whoever installs a network then.
        load_balancer: Who serves Services of type LoadBalancer: `own`, `metallb` or `none`.
        cluster_domain: Domain of the names of Services.
        host_names: What nodes' host names begin with.
        node_ports: Range of the ports that Services of type NodePort get, empty for Kubernetes' own.
        pod_security: Level of the PodSecurity admission for all namespaces but kube-system, empty for none.
        admission: Text of an AdmissionConfiguration for the API server, empty for none.
        kubernetes: Minor version, for instance `1.34`; empty for the one that the lab is made of otherwise.
        extra: More arguments for components, for instance `{"kube-proxy": ["--v=4"]}`.
    """

    proxy_mode: str = "iptables"
    mtu: int = 1500
    ip_family: str = "ipv4"
    network: str = "bridge"
    load_balancer: str = "own"
    cluster_domain: str = "cluster.local"
    host_names: str = "node"
    node_ports: str = ""
    pod_security: str = ""
    admission: str = ""
    kubernetes: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)


def certificates(plan: AddressPlan, paths: Paths, domain: str = "cluster.local") -> None:
    """Makes the certificates, and a kubeconfig for each component that talks to the API server."""
    authority = Authority(paths.pki, f"netlibrary-lab-{plan.name}")
    services = [*plan.each(str(plan.services[1]), str(plan.services_v6[1])), *plan.each(plan.host, plan.host_v6)]
    api_names = (
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{domain}",
    )
    authority.issue("apiserver", "kube-apiserver", hosts=("127.0.0.1", plan.loopback, plan.host, *services, *api_names))
    authority.issue("etcd", "etcd", hosts=("localhost", plan.loopback))
    authority.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", groups=("system:masters",))
    authority.signing_pair("service-accounts")
    users = {
        "admin": ("kubernetes-admin", ("system:masters",)),
        "kube-controller-manager": ("system:kube-controller-manager", ()),
        "kube-scheduler": ("system:kube-scheduler", ()),
        "kube-proxy": ("system:kube-proxy", ()),
        "load-balancer": ("netlibrary:load-balancer", ()),
        **{agent: (f"netlibrary:{agent}", ()) for agent in NODE_AGENTS},
    }
    for name, (user, groups) in users.items():
        authority.issue(name, user, groups=groups)
    for node in range(1, plan.nodes + 1):
        own = f"node{node}"
        addresses = plan.node_addresses(node)
        authority.issue(
            own, f"system:node:{own}", groups=("system:nodes",), hosts=(own, "localhost", "127.0.0.1", *addresses)
        )
        users[own] = ("", ())
    paths.credentials.mkdir(exist_ok=True)
    for name in users:
        target = paths.kubeconfig if name == "admin" else paths.credentials / name
        authority.kubeconfig(target, f"netlibrary-lab-{plan.name}", plan.api, name)
    if os.environ.get("SUDO_UID", "0") != "0":  # tests may run as the user who started the lab with sudo
        os.chown(paths.kubeconfig, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))


def control_plane(plan: AddressPlan, paths: Paths, program: Path, options: Options) -> dict[str, list[str | Path]]:
    """Returns the command line of each program of the control plane."""
    pki, at = paths.pki, plan.loopback
    client, peer = f"https://{at}:2379", f"https://{at}:2380"
    services = ",".join(plan.each(str(plan.services), str(plan.services_v6)))
    pods = ",".join(plan.each(str(plan.all_pods), str(plan.all_pods_v6)))
    pools = ",".join(plan.each(str(plan.balancer_pool), str(plan.balancer_pool_v6)))
    etcd_tls = [
        f"--{who}{what}"
        for who in ("", "peer-")
        for what in (
            f"cert-file={pki}/etcd.crt",
            f"key-file={pki}/etcd.key",
            f"trusted-ca-file={pki}/ca.crt",
            "client-cert-auth",
        )
    ]
    # leases are of no use with one of each; they would only delay the start
    clients = [
        "--leader-elect=false",
        f"--bind-address={at}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]
    commands: dict[str, list[str | Path]] = {
        "etcd": [
            program,
            "etcd",
            "--name=lab",
            f"--data-dir={paths.base}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=lab={peer}",
            *etcd_tls,
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
        "kube-apiserver": [
            program,
            "kube-apiserver",
            f"--etcd-servers={client}",
            f"--etcd-cafile={pki}/ca.crt",
            f"--etcd-certfile={pki}/etcd.crt",
            f"--etcd-keyfile={pki}/etcd.key",
            f"--service-cluster-ip-range={services}",
            f"--bind-address={plan.api_address}",
            f"--advertise-address={plan.api_address}",
            "--secure-port=6443",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-issuer=https://kubernetes.default.svc.{options.cluster_domain}",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--profiling=false",
            *([f"--service-node-port-range={options.node_ports}"] if options.node_ports else []),
            *([f"--admission-control-config-file={paths.base}/admission.yaml"] if admission(options) else []),
            f"--audit-policy-file={paths.base}/audit-policy.yaml",
            f"--audit-log-path={paths.audit_log}",
            "--audit-log-maxsize=64",
            "--audit-log-maxbackup=1",
        ],
        "kube-controller-manager": [
            program,
            "kube-controller-manager",
            f"--kubeconfig={paths.credentials}/kube-controller-manager",
            *clients,
            f"--authentication-kubeconfig={paths.credentials}/kube-controller-manager",
            f"--authorization-kubeconfig={paths.credentials}/kube-controller-manager",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            "--use-service-account-credentials=true",
            f"--cluster-cidr={pods}",
            f"--service-cluster-ip-range={services}",
            "--node-monitor-period=2s",
            "--node-monitor-grace-period=20s",
            *_node_ranges(plan, options),
        ],
        "kube-scheduler": [
            program,
            "kube-scheduler",
            f"--kubeconfig={paths.credentials}/kube-scheduler",
            *clients,
            f"--authentication-kubeconfig={paths.credentials}/kube-scheduler",
            f"--authorization-kubeconfig={paths.credentials}/kube-scheduler",
        ],
        "load-balancer": [
            program,
            "load-balancer",
            f"--kubeconfig={paths.credentials}/load-balancer",
            f"--pools={pools}",
            # Three checks in a row have to fail before a node's traffic moves, which resets its connections. Clouds
            # take half a minute; a kube-proxy that only restarts must not be taken for dead, on a busy machine neither.
            f"--health-period={BALANCER_CHECKS_S}s",
        ],
    }
    if options.load_balancer != "own":
        del commands["load-balancer"]
    return {name: [*command, *options.extra.get(name, [])] for name, command in commands.items()}


def _node_ranges(plan: AddressPlan, options: Options) -> list[str]:
    """Nodes bring their pod ranges with them, and other networks ask for the controller that would hand them out."""
    return [] if options.network == "bridge" else ["--allocate-node-cidrs=false"]


def admission(options: Options) -> str:
    """Returns the API server's admission configuration: the user's, one for the level of PodSecurity, or none."""
    if options.admission or not options.pod_security:
        return options.admission
    level = options.pod_security
    return json.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AdmissionConfiguration",
            "plugins": [
                {
                    "name": "PodSecurity",
                    "configuration": {
                        "apiVersion": "pod-security.admission.config.k8s.io/v1",
                        "kind": "PodSecurityConfiguration",
                        "defaults": {"enforce": level, "warn": level},
                        "exemptions": {"namespaces": list(SYSTEM_NAMESPACES)},
                    },
                }
            ],
        }
    )


def audit_policy() -> str:
    """Returns what the API server writes down: requests of service accounts, those of the system left out.

    These are the accounts with few rights that tests run under. Nodes and controllers ask all the time, and the
    administrator may do everything.
    """
    system = [f"system:serviceaccounts:{namespace}" for namespace in SYSTEM_NAMESPACES]
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "userGroups": system},
                {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
                {"level": "None"},
            ],
        }
    )


def node_programs(
    plan: AddressPlan, paths: Paths, node: int, program: Path, options: Options
) -> dict[str, list[str | Path]]:
    """Returns the command line of each program of a node."""
    base = paths.node(node)
    addresses = ",".join(plan.node_addresses(node))
    commands: dict[str, list[str | Path]] = {
        "containerd": ["containerd", "--config", base / "etc" / "containerd.toml"],
        "kubelet": [
            program,
            "kubelet",
            f"--kubeconfig={paths.credentials}/node{node}",
            f"--config={base}/etc/kubelet.json",
            f"--hostname-override=node{node}",
            f"--node-ip={addresses}",
            f"--root-dir={base}/kubelet",
            "--v=2",
        ],
        "kube-proxy": [program, "kube-proxy", f"--config={base}/etc/kube-proxy.json", "--v=2"],
    }
    if options.proxy_mode == "none":
        del commands["kube-proxy"]
    # Whoever connects the pods also enforces policies, or does not
    for agent, arguments in (NODE_AGENTS if options.network == "bridge" else {}).items():
        values = {
            "kubeconfig": paths.credentials / agent,
            "node": f"node{node}",
            "address": plan.node_addresses(node)[0],
            "pods": plan.each(plan.all_pods, plan.all_pods_v6)[0],
        }
        commands[agent] = [program, agent, *(text.format(**values) for text in arguments)]
    return {name: [*command, *options.extra.get(name, [])] for name, command in commands.items()}
