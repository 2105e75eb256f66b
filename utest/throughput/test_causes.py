"""What is said of a server that carried nothing."""

from __future__ import annotations

from scripted_api import ApiServer

from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.throughput.causes import unknown_name

SERVICES = "/api/v1/namespaces/shop/services"


def test_a_name_that_is_no_service_is_told_as_such_and_not_as_a_missing_file(api: ApiServer, cluster: Cluster) -> None:
    """iperf3 says "No such file or directory" of it."""
    api.put(SERVICES, {"metadata": {"name": "front", "namespace": "shop"}, "spec": {}})
    assert unknown_name(cluster, "iperf3-server", "shop").startswith(
        "The name 'iperf3-server' leads nowhere: there is no Service 'iperf3-server' in namespace 'shop'; "
        "there are: 'front'. "
    )
    assert unknown_name(cluster, "front.shop", "else") == ""
    assert unknown_name(cluster, "10.0.0.7", "shop") == ""
    assert unknown_name(cluster, "iperf.example.com", "shop") == ""
