"""Networks and load balancers that other people wrote, built from their Go modules and installed by own manifests.

| name              | pods are connected by                | policies | from |
| ----------------- | ------------------------------------ | -------- | ---- |
| `bridge`          | a bridge and routes, set by the lab  | enforced | this project |
| `flannel`         | flannel, VXLAN                       | ignored  | flannel-io/flannel |
| `flannel-host-gw` | flannel, routes between nodes        | ignored  | flannel-io/flannel |
| `kube-router`     | kube-router, routes learnt by BGP    | enforced | cloudnativelabs/kube-router |
| `none`            | what is installed then               |          | |
"""

from __future__ import annotations

from NetLibrary.lab.networks.catalogue import LOAD_BALANCERS, NETWORKS, objects, programs_of, recipes

__all__ = ["LOAD_BALANCERS", "NETWORKS", "objects", "programs_of", "recipes"]
