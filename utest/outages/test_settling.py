"""What a disturbance has started goes on after it has returned; that is awaited."""

from __future__ import annotations

from typing import Any

import pytest

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.outages.run import settling
from NetLibrary._mechanics.outages.run.settling import Settling, changed, look, words

KEY = ("Deployment", "kube-system", "dns")


def pod(
    uid: str, *, ready: bool = True, going: bool = False, restarts: int = 0, owner: str = "ReplicaSet"
) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "dns-5f", "controller": True}]
    metadata: dict[str, Any] = {
        "name": f"dns-5f-{uid}",
        "namespace": "kube-system",
        "uid": uid,
        "ownerReferences": owners,
    }
    metadata["labels"] = {"pod-template-hash": "5f"}
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"restartCount": restarts}],
    }
    return {"metadata": metadata, "status": status}


def deployment(
    generation: int = 1, observed: int = 1, *, updated: int = 2, available: int = 2, total: int = 2
) -> dict[str, Any]:
    status = {
        "observedGeneration": observed,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "replicas": total,
    }
    metadata = {"name": "dns", "namespace": "kube-system", "generation": generation}
    return {"metadata": metadata, "spec": {"replicas": 2}, "status": status}


class Cluster:
    """Shows one state after the other; the last one stays."""

    def __init__(self, *states: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
        self.states = list(states)

    def list(self, kind: str) -> list[dict[str, Any]]:
        if kind == "Pod":
            return self.states[0][1]
        if kind == "Deployment":
            found = [self.states[0][0]]
            if len(self.states) > 1:
                self.states.pop(0)
            return found
        return []


OLD = [pod("a"), pod("b")]


@pytest.mark.parametrize(
    ("obj", "pods", "words"),
    [
        (deployment(), OLD, ""),
        (deployment(2, 1), OLD, "has not seen the change yet"),
        (deployment(2, 2, updated=1), OLD, "1 of 2 pods new"),
        (deployment(2, 2, total=3), OLD, "1 surplus pods"),
        (deployment(2, 2, available=1), OLD, "1 of 2 pods available"),
        # The status says available still, a pod of it has just been deleted
        (deployment(), [pod("a"), pod("b", going=True)], "1 of 2 pods available"),
        (deployment(2, 2), [*OLD, pod("c", going=True)], "1 old pod still ending"),
    ],
)
def test_a_workload_is_stable_when_all_of_it_is_new_available_and_the_old_is_gone(obj, pods, words):
    found = look(Cluster((obj, pods)))[KEY].open
    assert (words in found) if words else not found


def test_only_what_has_changed_since_the_start_is_awaited():
    quiet = look(Cluster((deployment(), OLD)))
    assert changed(quiet, quiet) == {}
    assert list(changed(quiet, look(Cluster((deployment(2, 1), OLD))))) == [KEY]
    assert list(changed(quiet, look(Cluster((deployment(), [pod("a"), pod("c")]))))) == [KEY]
    assert list(changed(quiet, look(Cluster((deployment(), [pod("a"), pod("b", ready=False)]))))) == [KEY]
    broken = look(Cluster((deployment(available=0), [pod("a", ready=False), pod("b", ready=False)])))
    restarted = [pod("a", ready=False, restarts=1), pod("b", ready=False)]
    # One that was broken before and goes on crashing is nobody's rollout
    assert changed(broken, look(Cluster((deployment(available=0), restarted)))) == {}


def test_a_rollout_that_goes_on_after_the_command_has_returned_is_awaited(monkeypatch):
    """`kubectl rollout restart` returns at once: the measurement ended two seconds later and saw no outage."""
    monkeypatch.setattr(settling, "PAUSE_S", 0.01)
    before = (deployment(), OLD)
    states = [
        (deployment(2, 1), OLD),
        (deployment(2, 2, updated=1, total=3), [*OLD, pod("c")]),
        (deployment(2, 2), [pod("c"), pod("d")]),
    ]
    watch = Settling(Cluster(before))
    watch.remember()
    watch.cluster = Cluster(*states)
    said: list[str] = []
    assert watch.wait(0.05, 5, say=said.append) == {}
    assert said == [
        "awaited: Deployment kube-system/dns (its controller has not seen the change yet)",
        "awaited: Deployment kube-system/dns (1 surplus pods)",
    ]
    assert words(dict.fromkeys(watch.awaited, "")) == "Deployment kube-system/dns"


def test_what_does_not_become_stable_is_said_and_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(settling, "PAUSE_S", 0.01)
    watch = Settling(Cluster((deployment(), OLD)))
    watch.remember()
    watch.cluster = Cluster((deployment(2, 1), OLD))
    assert list(watch.wait(0.01, 0.1, say=lambda text: None)) == [KEY]


def test_an_account_that_may_not_see_workloads_is_told_that_none_is_awaited():
    class Closed:
        def list(self, kind: str) -> list[dict[str, Any]]:
            raise errors.Forbidden("pods is forbidden")

    watch = Settling(Closed())
    watch.remember()
    assert "the measurement does not wait for them" in watch.note
    assert watch.wait(0, 5, say=print) == {}
