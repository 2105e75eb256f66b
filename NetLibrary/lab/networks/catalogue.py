"""What each network is made of: programs, images, objects."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from NetLibrary.lab.components import Options
from NetLibrary.lab.images import Recipe
from NetLibrary.lab.plan import AddressPlan

NETWORKS = ("bridge", "flannel", "flannel-host-gw", "kube-router", "none")
LOAD_BALANCERS = ("own", "metallb", "none")
# Program → folder of its module below src, package
PROGRAMS = {
    "flanneld": ("flannel", "."),
    "flannel": ("flannel-cni", "github.com/containernetworking/plugins/plugins/meta/flannel"),
    "kube-router": ("kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
    "metallb-controller": ("metallb", "go.universe.tf/metallb/controller"),
    "metallb-speaker": ("metallb", "go.universe.tf/metallb/speaker"),
    # Measures; loaded when a keyword asks for it
    "fortio": ("fortio", "fortio.org/fortio"),
}
# MetalLB watches all of its kinds, used or not: kind, plural, version
METALLB_KINDS = (
    ("AddressPool", "addresspools", "v1beta1"),
    ("BFDProfile", "bfdprofiles", "v1beta1"),
    ("BGPAdvertisement", "bgpadvertisements", "v1beta1"),
    ("BGPPeer", "bgppeers", "v1beta2"),
    ("Community", "communities", "v1beta1"),
    ("IPAddressPool", "ipaddresspools", "v1beta1"),
    ("L2Advertisement", "l2advertisements", "v1beta1"),
)
_MANIFESTS = Path(__file__).with_name("manifests")


def programs_of(options: Options) -> list[str]:
    """Returns the names of the programs that a lab's network and load balancer need beyond the lab's own."""
    network = {"flannel": ["flanneld", "flannel"], "flannel-host-gw": ["flanneld", "flannel"]}
    network["kube-router"] = ["kube-router"]
    balancer = ["metallb-controller", "metallb-speaker"] if options.load_balancer == "metallb" else []
    return [*network.get(options.network, []), *balancer]


def recipes(options: Options, built: Mapping[str, Path]) -> list[Recipe]:
    """Returns the images of a lab's network and load balancer.

    Args:
        options: What was chosen.
        built: Programs by name.
    """
    found = []
    if options.network.startswith("flannel"):
        found.append(
            Recipe(
                "flannel",
                ("ghcr.io/flannel-io/flannel:v0.28.10",),
                files={"/opt/bin/flanneld": built["flanneld"], "/flannel": built["flannel"]},
                programs=("nft",),
                iptables=True,
                entrypoint=("/opt/bin/flanneld",),
            )
        )
    if options.network == "kube-router":
        found.append(
            Recipe(
                "kube-router",
                ("docker.io/cloudnativelabs/kube-router:v2.1.0",),
                files={"/usr/local/bin/kube-router": built["kube-router"]},
                programs=("ip", "conntrack", "ipset"),
                iptables=True,
                entrypoint=("/usr/local/bin/kube-router",),
            )
        )
    if options.load_balancer == "metallb":
        found += [
            Recipe(
                f"metallb-{part}",
                (f"quay.io/metallb/{part}:v0.13.12",),
                files={f"/{part}": built[f"metallb-{part}"]},
                entrypoint=(f"/{part}",),
            )
            for part in ("controller", "speaker")
        ]
    return found


def tool(name: str, program: Path) -> Recipe:
    """Returns the image of a program that measures, as its makers publish it: the program and nothing else.

    Args:
        name: Name of the program; there is `fortio`.
        program: Where it is.
    """
    return Recipe(
        name,
        ("docker.io/fortio/fortio:1.68.2",),
        files={"/usr/bin/fortio": program},
        shell=False,
        entrypoint=("/usr/bin/fortio",),
    )


def objects(plan: AddressPlan, options: Options) -> list[dict[str, Any]]:
    """Returns the objects of a lab's network and load balancer, definitions of kinds first."""
    pool = plan.node_network
    values = {
        "{pods}": str(plan.all_pods),
        # Daemons reach the API server without a Service: kube-proxy may not be there
        "{api}": plan.api_address,
        "{backend}": "host-gw" if options.network == "flannel-host-gw" else "vxlan",
        "{nftables}": "true" if options.proxy_mode == "nftables" else "false",
        "{mtu}": str(options.mtu),
        "{services}": "true" if options.proxy_mode == "none" else "false",
        "{service_range}": str(plan.services),
        "{first}": str(ipaddress.IPv4Address(int(pool.network_address) + 100)),
        "{last}": str(ipaddress.IPv4Address(int(pool.network_address) + 249)),
    }
    files = {"flannel": "flannel", "flannel-host-gw": "flannel", "kube-router": "kube-router"}
    names = [files[options.network]] if options.network in files else []
    names += ["metallb"] if options.load_balancer == "metallb" else []
    found = [_kind(*kind) for kind in METALLB_KINDS] if options.load_balancer == "metallb" else []
    for name in names:
        text = (_MANIFESTS / f"{name}.yaml").read_text()
        for mark, value in values.items():
            text = text.replace(mark, value)
        found += [obj for obj in yaml.safe_load_all(text) if obj]
    return found


def _kind(kind: str, plural: str, version: str) -> dict[str, Any]:
    """Returns the definition of a kind that takes any fields; the lab writes the only objects of it."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {**anything, "properties": {"spec": anything, "status": anything}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.metallb.io"},
        "spec": {
            "group": "metallb.io",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
            ],
        },
    }
