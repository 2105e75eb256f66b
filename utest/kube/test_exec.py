"""Commands in pods: outputs, exit statuses, and everything that can end them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from scripted_api import ApiServer
from scripted_exec import Command

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube import exec as execution

V4 = ("v4.channel.k8s.io",)
V5 = ("v5.channel.k8s.io", "v4.channel.k8s.io")


@pytest.fixture(params=[V4, V5], ids=["v4", "v5"])
def both(request: pytest.FixtureRequest, api: ApiServer) -> ApiServer:
    """The server, once with each protocol."""
    api.protocols = request.param
    return api


def test_outputs_are_kept_apart(both: ApiServer, cluster: Cluster) -> None:
    def command(c: Command) -> None:
        c.stdout(b"to be ")
        c.stderr(b"nobody\n")
        c.stdout("seen \u00fc\n".encode()[:6])
        c.stdout("seen \u00fc\n".encode()[6:])
        c.exit(0)

    both.command = command
    result = cluster.exec("demo", "web", ["prog", "a b", "ü&=?"], container="c")
    assert (result.stdout, result.stderr, result.exit_code) == ("to be seen ü\n", "nobody\n", 0)
    assert result.seconds > 0
    asked = both.seen("GET", "/pods/web/exec")[0]
    assert "command=prog&command=a+b&command=%C3%BC%26%3D%3F" in asked[1]
    assert asked[2] == {
        "command": "ü&=?", "container": "c", "stdin": "false", "stdout": "true", "stderr": "true", "tty": "false",
    }  # fmt: skip


def test_exit_status_fails_with_the_programs_words(both: ApiServer, cluster: Cluster) -> None:
    def command(c: Command) -> None:
        c.stdout(b"12 bytes\n")
        c.stderr(b"ping: bad address 'nowhere'\n")
        c.exit(2)

    both.command = command
    with pytest.raises(errors.ExecFailed) as caught:
        cluster.exec("demo", "web", ["ping", "-c1", "nowhere"])
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "'ping -c1 nowhere' in pod 'demo/web' ended with exit status 2: ping: bad address 'nowhere'"
    )
    assert cluster.exec("demo", "web", ["ping"], check=False).exit_code == 2


def test_silent_failure_says_that_it_was_silent(api: ApiServer, cluster: Cluster) -> None:
    api.command = lambda c: c.exit(1)
    with pytest.raises(errors.ExecFailed, match=r"ended with exit status 1: it printed nothing"):
        cluster.exec("demo", "web", ["false"])


@pytest.mark.parametrize(
    "words",
    [
        "failed to exec in container: OCI runtime exec failed: exec failed: unable to start container process: "
        'exec: "tcpdump": executable file not found in $PATH: unknown',
        'error executing command in container: exec: "tcpdump": stat /tcpdump: no such file or directory',
    ],
)
def test_missing_tool_is_named(api: ApiServer, cluster: Cluster, words: str) -> None:
    api.command = lambda c: c.fail(words)
    with pytest.raises(errors.ToolMissing) as caught:
        cluster.exec("demo", "web", ["tcpdump"], check=False)
    assert str(caught.value).startswith("The image of pod 'demo/web' has no 'tcpdump': ")
    assert caught.value.exit_code == 127


def test_command_that_cannot_start_is_not_a_missing_tool(api: ApiServer, cluster: Cluster) -> None:
    api.command = lambda c: c.fail("container is not running")
    with pytest.raises(errors.ExecFailed) as caught:
        cluster.exec("demo", "web", ["ls"])
    assert type(caught.value) is errors.ExecFailed
    assert str(caught.value) == "The command in pod 'demo/web' could not be started: container is not running."


@pytest.mark.parametrize("way", ["cut", "close"])
def test_lost_connection_is_no_success(both: ApiServer, cluster: Cluster, way: str) -> None:
    def command(c: Command) -> None:
        c.stdout(b"half")
        if way == "close":
            c.close_frame()

    both.command = command
    with pytest.raises(errors.ExecLost) as caught:
        cluster.exec("demo", "web", ["long"])
    text = str(caught.value)
    assert text.startswith("The connection to the command in pod 'demo/web' ended without an exit status: ")
    assert text.endswith("the server closed it." if way == "close" else "Connection to remote host was lost.")


def test_large_output_arrives_whole(both: ApiServer, cluster: Cluster) -> None:
    block = bytes(range(97, 123)) * 40_000  # 1 MB

    def command(c: Command) -> None:
        for _ in range(8):
            c.stdout(block)
        c.exit(0)

    both.command = command
    assert len(cluster.exec("demo", "web", ["yes"]).stdout) == 8 * len(block)


def test_input_reaches_the_command_and_ends_where_the_protocol_can(both: ApiServer, cluster: Cluster) -> None:
    ended: list[bool] = []

    def command(c: Command) -> None:
        data = b""
        while not data.endswith(b"\nEND\n"):
            data += c.read() or b""
        if c.protocol.startswith("v5"):
            ended.append(c.read() is None)
        c.stdout(data.upper())
        c.exit(0)

    both.command = command
    assert cluster.exec("demo", "web", ["cat"], stdin="plan\nEND\n").stdout == "PLAN\nEND\n"
    assert ended == ([True] if both.protocols == V5 else [])
    assert both.seen("GET", "/exec")[0][2]["stdin"] == "true"


def test_large_input_does_not_stall_against_the_output_it_causes(api: ApiServer, cluster: Cluster) -> None:
    """`cat` of 16 MB: whoever writes all of it before reading anything waits for ever."""
    digest = hashlib.sha256()

    def command(c: Command) -> None:
        while (data := c.read()) is not None:
            c.stdout(data)
        c.exit(0)

    api.command = command
    sent = b"0123456789abcdef" * (1 << 20)
    got = cluster.exec("demo", "web", ["cat"], stdin=sent, timeout=60).stdout
    digest.update(got.encode())
    assert digest.digest() == hashlib.sha256(sent).digest()


def test_command_that_ends_before_its_input_is_judged_by_its_status(api: ApiServer, cluster: Cluster) -> None:
    api.command = lambda c: c.exit(3)
    with pytest.raises(errors.ExecFailed) as caught:
        cluster.exec("demo", "web", ["false"], stdin=b"x" * (4 << 20))
    assert caught.value.exit_code == 3


def test_timeout_tells_what_was_printed_so_far(api: ApiServer, cluster: Cluster) -> None:
    def command(c: Command) -> None:
        if c.argv[0] == "sh":
            hung.set()
        else:
            c.stdout(b"connecting...\n")
            hung.wait(20)

    hung = threading.Event()
    api.command = command
    with pytest.raises(errors.WaitTimeout) as caught:
        cluster.exec("demo", "web", ["nc", "-l"], timeout=0.3)
    assert str(caught.value) == (
        "The command in pod 'demo/web' did not end within 0.3 s; so far it printed: connecting.... It was left running."
    )


def test_command_that_is_given_up_is_killed_in_the_pod(api: ApiServer, cluster: Cluster) -> None:
    """Closing the connection leaves it running; a second command finds it by its words and its age."""
    killed: list[list[str]] = []
    ended = threading.Event()

    def command(c: Command) -> None:
        if c.argv[0] == "sh":
            killed.append(c.argv)
            c.stdout(b"ended 1\n")
            c.exit(0)
            ended.set()
        else:
            ended.wait(20)

    api.command = command
    with pytest.raises(errors.WaitTimeout, match="It was killed"):
        cluster.exec("demo", "web", ["nc", "-l"], timeout=0.3)
    assert killed[0][4:] == ["0", "5", "nc", "-l"]


def test_ping_and_then_silence_do_not_block_the_reader(api: ApiServer, cluster: Cluster) -> None:
    def command(c: Command) -> None:
        if c.argv[0] != "sh":
            c.ping()
            api.released.wait(5)

    api.command = command
    with pytest.raises(errors.WaitTimeout, match="so far it printed: nothing"):
        cluster.exec("demo", "web", ["sleep"], timeout=0.3)


def test_hung_frame_is_a_lost_connection(api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "FRAME_TIMEOUT", 0.2)

    def command(c: Command) -> None:
        c._socket.sendall(b"\x82\x7e\x10\x00\x01only a part")
        api.released.wait(20)

    api.command = command
    with pytest.raises(errors.ExecLost, match="without an exit status"):
        cluster.exec("demo", "web", ["x"], timeout=20)


@pytest.mark.parametrize(
    ("code", "reason", "message", "kind"),
    [
        (403, "Forbidden", 'pods "web" is forbidden: cannot create resource "pods/exec"', errors.Forbidden),
        (404, "NotFound", 'pods "web" not found', errors.NotFound),
        (400, "BadRequest", "container c is not valid for pod web", errors.Invalid),
        (500, "InternalError", "unable to upgrade connection: container not found", errors.ClusterError),
    ],
)
def test_refused_command_is_the_servers_refusal(
    api: ApiServer, cluster: Cluster, code: int, reason: str, message: str, kind: type[Exception]
) -> None:
    api.refuse("GET", "/exec", code, reason, message)
    with pytest.raises(kind) as caught:
        cluster.exec("demo", "web", ["ls"])
    assert str(caught.value) == (
        f"Cluster 'default' answered EXEC /api/v1/namespaces/demo/pods/web/exec with {code} {reason}: {message}."
    )


def test_dead_server_takes_no_command(api: ApiServer, cluster: Cluster) -> None:
    api.close_door()
    with pytest.raises(errors.Unreachable) as caught:
        cluster.exec("demo", "web", ["ls"])
    assert str(caught.value) == (
        f"Cluster 'default' at {api.url} did not accept the command for pod 'demo/web': Connection refused."
    )


def test_silent_server_takes_no_command(api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "CONNECT_TIMEOUT", -4.8)  # the handshake gets five seconds more
    monkeypatch.setattr(execution.socket, "create_connection", _without_limit(execution.socket.create_connection))
    api.on("GET", "/exec", lambda handler: handler.hang())
    with pytest.raises(errors.Unreachable, match=r"did not accept the command for pod 'demo/web': .*timed out"):
        cluster.exec("demo", "web", ["ls"])


def _without_limit(real: Callable[..., object]) -> Callable[..., object]:
    return lambda address, timeout=None: real(address, timeout=0.2)


def test_lists_go_on_beside_many_commands(both: ApiServer, cluster: Cluster) -> None:
    gate = threading.Barrier(9, timeout=20)

    def command(c: Command) -> None:
        gate.wait()  # all eight run at the same time
        gate.wait()  # and go on while lists are answered
        c.stdout(c.argv[1].encode())
        c.exit(0)

    both.command = command
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(cluster.exec, "demo", "web", ["echo", str(i)]) for i in range(8)]
        gate.wait()
        assert [cluster.list("Pod", "demo") for _ in range(5)] == [[]] * 5
        gate.wait()
        assert [future.result(20).stdout for future in running] == [str(i) for i in range(8)]


def test_running_command_is_read_by_lines(both: ApiServer, cluster: Cluster) -> None:
    def command(c: Command) -> None:
        c.stdout(b"ready\nfirst")
        assert c.read() == b"go\n"
        c.stderr(b"noise\n")
        c.stdout(b" line\nlast without an end")
        c.exit(7)

    both.command = command
    with cluster.start_exec("demo", "web", ["probe"]) as running:
        lines = running.lines(20)
        assert next(lines) == "ready"
        assert not running.finished
        running.write("go\n")
        assert list(lines) == ["first line", "last without an end"]
        assert running.finished
        assert running.exit_code == 7
        assert running.wait(1) == 7


def test_running_command_has_no_exit_status_yet(api: ApiServer, cluster: Cluster) -> None:
    api.command = lambda c: (api.released.wait(20), None)[1]
    with cluster.start_exec("demo", "web", ["probe"]) as running:
        assert running.read(0.05) is None
        with pytest.raises(errors.ExecLost, match="it is still running"):
            _ = running.exit_code
        with pytest.raises(errors.WaitTimeout, match=r"The command in pod 'demo/web' did not end within 0\.1 s"):
            running.wait(0.1)
    with pytest.raises(errors.ExecLost, match="closed by us"):
        _ = running.exit_code
    with pytest.raises(errors.ExecLost, match="lost while writing"):
        running.write("too late")


def test_close_from_another_thread_ends_a_reader(api: ApiServer, cluster: Cluster) -> None:
    reading = threading.Event()
    api.command = lambda c: (c.stdout(b"x"), reading.set(), api.released.wait(20), None)[-1]
    running = cluster.start_exec("demo", "web", ["probe"])
    with ThreadPoolExecutor() as pool:
        future = pool.submit(lambda: list(running.lines(20)))
        assert reading.wait(10)
        running.close()
        assert future.result(10) in ([], ["x"])


def test_stop_signal_while_writing_is_not_taken_for_a_lost_connection(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ExecutionFailed(Exception):
        pass

    def interrupted(*_: object) -> None:
        raise ExecutionFailed

    api.command = lambda c: (api.released.wait(20), None)[1]
    with cluster.start_exec("demo", "web", ["probe"]) as running:
        monkeypatch.setattr(running._ws, "send_binary", interrupted)
        for call in (lambda: running.write("x"), running.close_stdin):
            with pytest.raises(ExecutionFailed):
                call()
