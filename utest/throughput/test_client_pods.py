"""What became of the client's pod is told in words, not by a log that cannot be read."""

from __future__ import annotations

from NetLibrary._mechanics.kube.wait import Done, Failed
from NetLibrary._mechanics.throughput.run import client_ended


def test_client_that_its_kubelet_turns_away_is_told_with_the_kubelets_words() -> None:
    words = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1950, capacity: 2000"
    pod = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Failed", "reason": "OutOfcpu", "message": words}}
    assert client_ended("iperf3")([pod]) == Failed(f"it ended (Failed): {words}")


def test_client_that_ended_badly_has_a_log_to_read() -> None:
    ended = {"name": "iperf3", "state": {"terminated": {"exitCode": 1}}}
    pod = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Failed", "containerStatuses": [ended]}}
    assert client_ended("iperf3")([pod]) == Done(pod)
