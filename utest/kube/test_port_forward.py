"""Port forwards: bytes both ways, pods that come and go, and who does not listen."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer
from scripted_exec import Command

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, port_forward
from NetLibrary._mechanics.kube.port_forward import PortForward

PODS = "/api/v1/namespaces/shop/pods"
REFUSED = "failed to connect to localhost:80 inside namespace: dial tcp 127.0.0.1:80: connect: connection refused"


def web(name: str = "web-0", *, ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


class Pod:
    """A program behind the port, and the kubelet before it."""

    def __init__(self, answer: Callable[[bytes], bytes] | None = lambda data: data.upper()) -> None:
        self.answer, self.ports = answer, []  # type: ignore[var-annotated]

    def __call__(self, connection: Command) -> None:
        port = int(connection.query["ports"])
        self.ports.append(port)
        for channel in (0, 1):
            connection._send(2, bytes([channel]) + struct.pack("<H", port))
        if self.answer is None:
            connection._send(2, b"\x01" + REFUSED.encode())
            connection.close_frame()
            return
        while (data := connection.read()) is not None:
            connection._send(2, b"\x00" + self.answer(data))
            if data.endswith(b"bye"):
                connection.close_frame()
                return


@pytest.fixture
def pod(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Pod:
    monkeypatch.setattr(port_forward, "TRIAL_SECONDS", 0.1)
    monkeypatch.setattr(port_forward, "LINGER_SECONDS", 0.3)
    api.protocols = ("v4.channel.k8s.io",)
    api.put(PODS, web())
    api.command = Pod()
    return api.command


@pytest.fixture
def start(cluster: Cluster) -> Iterator[Callable[..., PortForward]]:
    made: list[PortForward] = []

    def started(target: str = "web-0", port: str = "80", **options: Any) -> PortForward:
        made.append(PortForward(cluster, "shop", target, port, **{"timeout": 0.0, **options}))
        return made[-1]

    yield started
    for each in made:
        each.stop()


def ask(forward: PortForward, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", forward.local_port), timeout=10) as sock:
        sock.sendall(text)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_bytes_go_both_ways(pod: Pod, start: Any) -> None:
    assert ask(start(), b"hello, bye") == b"HELLO, BYE"
    assert set(pod.ports) == {80}


def test_much_data_and_several_connections(pod: Pod, start: Any) -> None:
    forward = start()
    first = socket.create_connection(("127.0.0.1", forward.local_port), timeout=10)
    text = b"x" * 300_000 + b"bye"
    pod.answer = lambda data: data
    assert ask(forward, text) == text
    first.sendall(b"bye")
    assert first.recv(10) == b"bye"
    first.close()


def test_a_named_port_and_the_port_of_a_service(api: ApiServer, pod: Pod, start: Any) -> None:
    start(port="http")
    spec = {"selector": {"app": "web"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]}
    api.put("/api/v1/namespaces/shop/services", {"metadata": {"name": "web"}, "spec": spec})
    start("svc/web", "80")
    start("svc/web", "web")
    assert pod.ports == [8080, 8080, 8080]
    with pytest.raises(errors.InputError, match="port is 81; Service 'web' has 80/TCP"):
        start("svc/web", "81")
    with pytest.raises(errors.InputError, match="port is 'grpc'; the ports of pod 'web-0' are http"):
        start(port="grpc")


def test_a_port_where_nobody_listens_is_told_at_the_start(pod: Pod, start: Any) -> None:
    pod.answer = None
    with pytest.raises(errors.WaitTimeout, match=r"^Nothing answers on port 80 of pod 'shop/web-0': connection refused. It declares the ports 8080 \(http\)\.$"):  # fmt: skip
        start()


def test_a_program_that_starts_a_moment_later_is_waited_for(api: ApiServer, pod: Pod, start: Any) -> None:
    def later(connection: Command) -> None:
        pod.answer = bytes.upper if pod.ports else None  # nobody listens at the first attempt
        pod(connection)

    api.command = later
    assert start(timeout=5.0).local_port
    assert len(pod.ports) == 2


def test_a_program_that_stops_listening_resets_and_is_told(pod: Pod, start: Any) -> None:
    forward = start()
    pod.answer = None
    with pytest.raises(OSError, match="reset"):
        ask(forward, b"hello")
    assert re.match(r"A connection to port 80 of pod 'shop/web-0' failed: .*connection refused\.$", forward.problems[0])


def test_a_pod_that_has_gone_is_replaced_by_another_of_its_service(api: ApiServer, pod: Pod, start: Any) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    api.put("/api/v1/namespaces/shop/services", {"metadata": {"name": "web"}, "spec": spec})
    forward = start("svc/web")
    api.remove(PODS, "web-0")
    api.put(PODS, web("web-1"))
    api.refuse("GET", "/pods/web-0/portforward", 404, "NotFound", 'pods "web-0" not found', times=9)
    assert ask(forward, b"bye") == b"BYE"
    assert "web-1" in forward.text


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("none", "There is no Pod 'none' in namespace 'shop'; there is 'web-0'"),
        ("web-1", "There is no Pod 'web-1'; there is 'web-0'"),
        ("svc/none", "There is no Service 'none' in namespace 'shop'; there is none at all"),
    ],
)
def test_a_target_that_is_not_there_is_told(api: ApiServer, pod: Pod, start: Any, target: str, words: str) -> None:
    api.put("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    with pytest.raises(errors.NotFound, match=words):
        start(target)


def test_a_service_without_a_ready_pod_is_told(api: ApiServer, pod: Pod, start: Any) -> None:
    api.put(PODS, web(ready=False))
    api.put("/api/v1/namespaces/shop/services", {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}})
    with pytest.raises(errors.InputError, match="target is 'svc/web', but none of its pods is ready: web-0: "):
        start("svc/web")


def test_a_local_port_that_is_taken_is_told(pod: Pod, start: Any) -> None:
    with pytest.raises(errors.InputError, match="cannot be used: Address already in use"):
        start(local_port=start().local_port)


def test_a_stopped_port_is_closed_with_its_connections(pod: Pod, start: Any) -> None:
    forward = start()
    with socket.create_connection(("127.0.0.1", forward.local_port), timeout=10) as sock:
        sock.sendall(b"hello")
        assert sock.recv(10) == b"HELLO"
        forward.stop()
        assert sock.recv(10) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", forward.local_port), timeout=10)
    assert forward.problems == []


SCOPES = """
*** Settings ***
Suite Setup    Start For The Suite
*** Test Cases ***
First
    ${address}    Start Port Forward    web-0    shop    80
    VAR    ${OF_TEST}    ${address}    scope=suite
    Evaluate    socket.create_connection($address.split(':')).close()
Second
    Run Keyword And Expect Error    *refused*    Evaluate    socket.create_connection($OF_TEST.split(':'))
    Evaluate    socket.create_connection($OF_SUITE.split(':')).close()
*** Keywords ***
Start For The Suite
    ${address}    Start Port Forward    web-0    shop    80
    VAR    ${OF_SUITE}    ${address}    scope=suite
"""


def test_a_port_ends_with_the_test_or_the_suite_that_started_it(api: ApiServer, pod: Pod, tmp_path: Any) -> None:
    run = Run(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"), SCOPES)
    assert {name: test.message for name, test in run.tests.items()} == {"First": "", "Second": ""}
    address = re.findall(r"127\.0\.0\.1:(\d+) leads to", run.text)[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address)), timeout=5)
