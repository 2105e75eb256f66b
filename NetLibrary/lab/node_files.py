"""Configuration files of what runs on a node: container runtime, network plugins, kubelet and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path

from NetLibrary.lab import folders
from NetLibrary.lab.components import Options
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import AddressPlan

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def cni_folder() -> Path | None:
    """Returns where the distribution keeps the CNI plugins."""
    return next(
        (p for p in (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni")) if (p / "bridge").exists()),
        None,
    )


def resolver() -> Path:
    """Returns a resolv.conf whose servers can be reached from a node; a loopback address is the machine's alone."""
    for path in RESOLVERS:
        if path.exists() and not any(
            line.split()[1].startswith(("127.", "::1"))
            for line in path.read_text().splitlines()
            if line.startswith("nameserver") and len(line.split()) > 1
        ):
            return path
    return RESOLVERS[0]


def write(plan: AddressPlan, paths: Paths, node: int, options: Options, cgroup: str, snapshotter: str) -> None:
    """Writes the configuration of a node's container runtime, network plugins, kubelet and kube-proxy."""
    base = paths.node(node)
    for folder in ("etc", "cni", "manifests", "kubelet", "logs"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    plugins = cni_folder()
    if options.network == "bridge":
        (base / "cni" / "10-lab.conflist").write_text(json.dumps(_cni(plan, base, node, options), indent=1))
    else:
        plugins = folders.prepare(base, plugins)
    (base / "etc" / "containerd.toml").write_text(_containerd(base, plugins, snapshotter))
    kubelet = _kubelet(plan, paths, base, node, cgroup, options.cluster_domain)
    (base / "etc" / "kubelet.json").write_text(json.dumps(kubelet, indent=1))
    (base / "etc" / "kube-proxy.json").write_text(json.dumps(_kube_proxy(plan, paths, node, options), indent=1))


def _cni(plan: AddressPlan, base: Path, node: int, options: Options) -> dict:
    ranges = [[{"subnet": subnet}] for subnet in plan.node_pods(node)]
    routes = plan.each({"dst": "0.0.0.0/0"}, {"dst": "::/0"})
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                # not ipMasq: it translates traffic to pods of other nodes as well (see network.py for our rule)
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "mtu": options.mtu,
                "ipam": {"type": "host-local", "dataDir": str(base / "ipam"), "ranges": ranges, "routes": routes},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
            {"type": "bandwidth", "capabilities": {"bandwidth": True}},
        ],
    }


def _containerd(base: Path, plugins: Path | None, snapshotter: str) -> str:
    # restrict_oom_score_adj: a machine may lack CAP_SYS_RESOURCE. opt: the default makes /opt/containerd. The two
    # "unprivileged" settings are the defaults of containerd 2 and of most clusters.
    unused = [
        "io.containerd.snapshotter.v1.aufs",
        "io.containerd.snapshotter.v1.btrfs",
        "io.containerd.snapshotter.v1.devmapper",
        "io.containerd.snapshotter.v1.zfs",
        "io.containerd.internal.v1.tracing",
        "io.containerd.nri.v1.nri",
    ]
    return f"""version = 2
root = "{base}/containerd"
state = "{base}/run"
disabled_plugins = {json.dumps(unused)}
[grpc]
  address = "{base}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{base}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{base}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def _kubelet(plan: AddressPlan, paths: Paths, base: Path, node: int, cgroup: str, domain: str) -> dict:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "::" if plan.v6 else "0.0.0.0",
        "port": 10250,
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": f"unix://{base}/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{paths.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{paths.pki}/node{node}.crt",
        "tlsPrivateKeyFile": f"{paths.pki}/node{node}.key",
        "clusterDomain": domain,
        "clusterDNS": [plan.dns],
        "resolvConf": str(resolver()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "oomScoreAdj": 0,
        # several nodes share one disk: its filling up must not empty them one after the other
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
        # under the default, kubelets of one machine remove each other's folders
        "podLogsDir": f"{base}/logs",
        "volumePluginDir": f"{base}/volumes",
        "staticPodPath": f"{base}/manifests",
        "serializeImagePulls": False,
        "maxPods": 250,
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 20,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    }


def _kube_proxy(plan: AddressPlan, paths: Paths, node: int, options: Options) -> dict:
    pods = ",".join(plan.each(str(plan.all_pods), str(plan.all_pods_v6)))
    timing = {"minSyncPeriod": "0.1s", "syncPeriod": "30s"}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": plan.node_addresses(node)[0],
        "healthzBindAddress": "[::]:10256" if plan.v6 else "0.0.0.0:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": f"{paths.credentials}/kube-proxy"},
        "hostnameOverride": f"node{node}",
        "clusterCIDR": pods,
        "mode": options.proxy_mode,
        "iptables": timing,
        "nftables": timing,
        # these sysctls belong to the machine, not to a node
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
