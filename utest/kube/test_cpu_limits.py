"""Containers at the ends of paths: which are asked, and what is made of what they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from NetLibrary._mechanics.errors import ClusterError
from NetLibrary._mechanics.held_back import Held
from NetLibrary._mechanics.kube.cpu_limits import READY, Containers, HeldEnd

COUNTED = "/sys/fs/cgroup/cpu.stat:nr_periods {}\n/sys/fs/cgroup/cpu.stat:nr_throttled {}\n/sys/fs/cgroup/cpu.max:25000 100000\n"


def pod(name: str, *containers: str, limit: str = "250m") -> dict[str, Any]:
    limits = {"resources": {"limits": {"cpu": limit} if limit else {"memory": "1Gi"}}}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"containers": [{"name": each, **limits} for each in containers or ("web",)]},
    }


class Waiting:
    """A command that counted once, and counts again when it is told to."""

    def __init__(self, first: str, again: Callable[[], str]) -> None:
        self.left, self.again, self.closed = [*first.splitlines(), READY], again, False

    def lines(self, timeout: float) -> Iterator[str]:
        yield from self.left

    def write(self, data: str) -> None:
        self.left = self.again().splitlines()

    def close(self) -> None:
        self.closed = True


class Cluster:
    """Answers with what containers count; those that it does not know refuse."""

    def __init__(self, **counted: tuple[int, int]) -> None:
        self.counted, self.asked = counted, []  # type: ignore[var-annotated]

    def start_exec(self, namespace: str, name: str, command: list[str], *, container: str) -> Any:
        done = self.exec(namespace, name, command, container=container)
        return Waiting(done.stdout, lambda: self.exec(namespace, name, command, container=container).stdout)

    def exec(self, namespace: str, name: str, command: list[str], *, container: str, **_: Any) -> Any:
        self.asked.append((name, container))
        if name not in self.counted:
            raise ClusterError("403 Forbidden", status=403)
        return SimpleNamespace(stdout=COUNTED.format(*self.counted[name]))


def test_containers_that_were_held_back_meanwhile_are_found_new_ones_since_their_start() -> None:
    pods = [(pod("prober"), True), (pod("old"), False)]
    cluster = Cluster(prober=(10, 5), old=(100, 90), new=(20, 10))
    containers = Containers(cluster, lambda: pods)
    containers.start()
    cluster.counted.update(prober=(110, 25), old=(200, 90))
    pods[1:] = [(pod("old"), False), (pod("new"), False)]
    assert containers.held() == [
        HeldEnd("web", "shop/new", False, Held(10, 20, 0.25)),
        HeldEnd("web", "shop/prober", True, Held(20, 100, 0.25)),
    ]


def test_containers_without_a_cpu_limit_are_not_asked() -> None:
    cluster = Cluster()
    containers = Containers(cluster, lambda: [(pod("prober", limit=""), True)])
    containers.start()
    assert containers.held() == [] and cluster.asked == []


def test_an_account_that_may_run_no_commands_learns_nothing_and_goes_on() -> None:
    containers = Containers(Cluster(), lambda: [(pod("prober"), True)])
    containers.start()
    assert containers.held() == []


def test_what_could_not_be_read_before_is_not_counted_since_the_start_of_the_container() -> None:
    cluster = Cluster()
    containers = Containers(cluster, lambda: [(pod("prober"), True)])
    containers.start()
    cluster.counted["prober"] = (100, 90)
    assert containers.held() == []
