"""Plans, answers, classes, verdicts, and the probers themselves against servers of the test."""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from scripted_api import REVIEWS

from NetLibrary._mechanics import probing
from NetLibrary._mechanics.errors import ClusterError, ExecLost, Forbidden, InputError, NotFound, ToolMissing
from NetLibrary._mechanics.kube import rights
from NetLibrary._mechanics.matrix.judge.judge import judge
from NetLibrary._mechanics.matrix.model.types import Expected
from NetLibrary._mechanics.probing.alive import UNHEARD, Kubelets
from NetLibrary._mechanics.probing.fleet import STARVED, Fleet, Prober, why_no_prober
from NetLibrary._mechanics.probing.pipes import PYTHON, SCRIPT_END, SELECT, LocalPipe, script
from NetLibrary._mechanics.probing.plan import classify, client_address, observe, parse_reply, plan_text
from NetLibrary._mechanics.probing.scripts.prober import names as prober_names
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

HERE = Source("here", "", outside=True)


def http(host="127.0.0.1", port=80, **more) -> Target:
    return Target("t", "pod", host, port, **more)


def run_unstarved(prober, targets, limit_ms) -> tuple[list[Observation], float]:
    """Runs a plan, again when a busy machine kept the prober from judging probes, as it says itself; and the seconds."""
    for _ in range(4):
        begin = time.monotonic()
        seen = prober.run(targets, limit_ms, lambda: None)
        if all(each.outcome is not Outcome.ERROR for each in seen):
            break
    return seen, time.monotonic() - begin


def test_a_plan_has_a_line_for_each_connection_and_an_end():
    lines = plan_text([http(repeat=2), http("fd00::1", 81, probe="connect")], 1500).splitlines()
    assert lines == [
        "PLAN 1500",
        "0.0 http 127.0.0.1 80 - 0",
        "0.1 http 127.0.0.1 80 - 0",
        "1.0 connect fd00::1 81 - 0",
        "END",
    ]


@pytest.mark.parametrize("address", ["", "None", "<pending>", "a b"])
def test_a_target_without_an_address_is_an_error_and_never_a_probe_of_the_prober_itself(address):
    with pytest.raises(InputError, match="an address is needed"):
        plan_text([http(address)], 1500)


def test_a_port_out_of_range_is_an_error():
    with pytest.raises(InputError, match="has the port 0; allowed: 1 to 65535"):
        plan_text([http(port=0)], 1500)


@pytest.mark.parametrize(
    ("state", "detail", "outcome"),
    [
        ("OK", "", Outcome.CONNECTED),
        ("FAILED", "Connection refused", Outcome.REFUSED),
        ("FAILED", "REFUSED: read udp 10.0.0.1:1->10.0.0.2:2: read: connection refused", Outcome.REFUSED),
        ("FAILED", "no answer to connect", Outcome.TIMEOUT),
        ("FAILED", "Operation timed out", Outcome.TIMEOUT),
        ("FAILED", "TIMEOUT", Outcome.TIMEOUT),
        ("FAILED", "No route to host", Outcome.UNREACHABLE),
        ("FAILED", "Host is unreachable", Outcome.UNREACHABLE),
        ("FAILED", "Connection reset by peer", Outcome.RESET),
        ("FAILED", "Temporary failure in name resolution", Outcome.DNS),
        ("FAILED", "Name does not resolve", Outcome.DNS),
        ("FAILED", "DNS: lookup x on 10.96.0.10:53: server misbehaving", Outcome.DNS),
        ("FAILED", "DNS NXDOMAIN", Outcome.DNS),
        ("FAILED", "connected but no answer", Outcome.NO_ANSWER),
        ("FAILED", "something that nobody has seen before", Outcome.ERROR),
        ("ERROR", "anything", Outcome.ERROR),
        ("", "", Outcome.ERROR),
    ],
)
def test_the_words_of_every_prober_are_classed(state, detail, outcome):
    assert classify(state, detail) is outcome


def test_a_probe_that_could_not_run_is_never_called_blocked():
    assert observe([]).outcome is Outcome.ERROR
    cell = judge(HERE, http(), Expected(frozenset({Outcome.TIMEOUT, Outcome.REFUSED})), observe([]))
    assert cell.wrong
    assert cell.symptom == "error"


def test_replies_of_one_cell_are_summed_up():
    lines = ["R\t0.0\tOK\t1200\t1\tweb-1\t10.0.0.1:4\t-", "R\t0.1\tOK\t800\t1\tweb-2\t10.0.0.1:5\t-",
             "R\t0.2\tFAILED\t1500000\t1\t-\t-\tno answer to connect"]  # fmt: skip
    seen = observe([r for r in map(parse_reply, lines) if r])
    assert seen.outcome is Outcome.TIMEOUT
    assert seen.mixed
    assert seen.responders == Counter({"web-1": 1, "web-2": 1})
    assert seen.failures == Counter({"timed out": 1})
    assert seen.clients == {"10.0.0.1"}
    assert seen.latency_ms == 1.0
    assert str(seen).startswith("2 of 3 connected, else timed out")


def test_lines_that_are_no_results_are_passed_over():
    assert parse_reply("END\t3\t100") is None
    assert parse_reply("R\tx\tOK\tmany\t1\ta\tb\tc") is None


@pytest.mark.parametrize(
    ("text", "address"), [("10.0.0.1:80", "10.0.0.1"), ("[fd00::1]:80", "fd00::1"), ("", ""), ("nonsense", "")]
)
def test_the_client_address_is_cut_from_its_port(text, address):
    assert client_address(text) == address


CONNECTED = frozenset({Outcome.CONNECTED})


def seen(**more) -> Observation:
    return Observation(Outcome.CONNECTED, **more)


@pytest.mark.parametrize(
    ("expected", "observed", "symptom", "words"),
    [
        (Expected(CONNECTED, frozenset({"a"})), seen(responders=Counter("a")), "", ""),
        (Expected(CONNECTED, frozenset({"a"})), seen(responders=Counter("b")), "responder", "answered by a, but b"),
        (Expected(CONNECTED, frozenset({"a"})), seen(detail="not HTTP: SSH-2.0"), "responder", "not HTTP: SSH-2.0"),
        (Expected(CONNECTED, clients=frozenset({"1.1.1.1"})), seen(clients=frozenset({"2.2.2.2"})), "client", "2.2.2.2"),
        (Expected(CONNECTED, one_responder=True), seen(responders=Counter("ab")), "affinity", "keep one backend"),
        (Expected(CONNECTED, records=frozenset({"1.1.1.1"})), seen(responders=Counter(["2.2.2.2"])), "records", "2.2.2.2"),
        (Expected(CONNECTED, records=frozenset({"1", "2"})), seen(responders=Counter(["2,1"])), "", ""),
        (Expected(CONNECTED, an_address=True), seen(responders=Counter(["o.example."])), "records", "are o.example."),
        (Expected(CONNECTED, an_address=True), seen(), "records", "must resolve to an address, but its records are nothing"),
        (Expected(CONNECTED, an_address=True), seen(responders=Counter(["o.example.,192.0.2.7"])), "", ""),
        (Expected(CONNECTED, slow_ms=500), seen(latency_ms=501), "slow", "at most 500 ms"),
        (Expected(CONNECTED, status=200), seen(detail="HTTP 503 Service Unavailable"), "status", "status 200"),
        (Expected(CONNECTED), Observation(Outcome.REFUSED), "blocked", "must be connected, but is refused"),
        (Expected(CONNECTED), Observation(Outcome.DNS), "dns", "name not resolved"),
        (Expected(frozenset({Outcome.REFUSED})), Observation(Outcome.TIMEOUT), "reason", "must be refused, but is timed"),
        (Expected(frozenset({Outcome.REFUSED})), seen(responders=Counter("a")), "open", "but connected by a"),
        (
            Expected(CONNECTED),
            Observation(Outcome.TIMEOUT, responders=Counter("a"), failures=Counter({"timed out": 1})),
            "flapping",
            "only some connections succeed",
        ),
    ],
)  # fmt: skip
def test_every_way_of_being_wrong_has_its_symptom_and_words(expected, observed, symptom, words):
    cell = judge(HERE, http(), expected, observed)
    assert cell.symptom == symptom
    assert cell.right is (symptom == "")
    assert words in cell.why


def test_a_cell_that_is_not_judged_is_never_wrong():
    cell = judge(HERE, http(), Expected(CONNECTED, judged=False), Observation(Outcome.TIMEOUT))
    assert not cell.wrong


# --- real probers -----------------------------------------------------------------------------------------------


class Netexec(BaseHTTPRequestHandler):
    """The two pages of agnhost netexec that probers ask for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        pages = {"/hostname": "web-1", "/clientip": f"{self.client_address[0]}:{self.client_address[1]}"}
        body = pages.get(self.path, self.path.partition("msg=")[2]).encode()
        self.send_response(200 if self.path != "/teapot" else 418)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    web = ThreadingHTTPServer(("127.0.0.1", 0), Netexec)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))

    def answer():
        while True:
            try:
                data, client = udp.recvfrom(2000)
            except OSError:
                return
            text = data.decode().strip()
            if text == "hostname":
                udp.sendto(b"web-1", client)
            elif text == "clientip":
                udp.sendto(f"{client[0]}:{client[1]}".encode(), client)
            elif text.startswith("echo "):
                udp.sendto(text[5:].encode(), client)

    threading.Thread(target=answer, daemon=True).start()
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(1000)
    yield {
        "http": web.server_port,
        "udp": udp.getsockname()[1],
        "silent": silent.getsockname()[1],
        "deaf": deaf.getsockname()[1],
    }
    web.shutdown()
    udp.close()
    silent.close()
    deaf.close()


class BashPipe(LocalPipe):
    """The bash prober as a process of this machine."""

    def __init__(self, prefer="bash", path=None):
        self._command = ["sh", "-c", SELECT, "sh", prefer]
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ if path is None else {"PATH": path},
        )
        self._lines, self._arrived = [], threading.Condition()
        self._ended, self._said = False, ""
        threading.Thread(target=self._read, daemon=True).start()


PROBERS = {"python": LocalPipe, "bash with curl": BashPipe, "bash": BashPipe}


@pytest.fixture(params=PROBERS)
def prober(request, tmp_path):
    """A prober of each kind; bash alone finds no other program in its path."""
    missing = [name for name in request.param.split() if name in ("bash", "curl") and not shutil.which(name)]
    if missing:
        pytest.skip(f"no {missing[0]} here")
    open_pipe = PROBERS[request.param]
    if request.param == "bash":
        for name in ("bash", "sh"):
            (tmp_path / name).symlink_to(shutil.which(name))
        open_pipe = partial(BashPipe, path=str(tmp_path))
    made = Prober(HERE, open_pipe)
    yield made
    assert made.flavour.endswith("with curl") == ("curl" in request.param)
    made.close()


def test_a_prober_tells_responder_client_and_class(prober, server):
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    closed = free.getsockname()[1]
    free.close()
    targets = [
        http(port=server["http"]),
        http(port=server["udp"], protocol="UDP", probe="udp"),
        http(port=closed),
        http(port=closed, protocol="UDP", probe="udp"),
        http(port=server["silent"], protocol="UDP", probe="udp"),
        http(port=server["deaf"]),
        http(port=server["http"], extra="/teapot"),
        http(port=server["http"], extra="size=3000"),
        http("no-such-name.invalid", server["http"]),
        http(port=server["http"], probe="connect"),
    ]
    idle = []
    seen = prober.run(targets, 1200, lambda: idle.append(1))
    assert [o.outcome for o in seen] == [
        Outcome.CONNECTED, Outcome.CONNECTED, Outcome.REFUSED, Outcome.REFUSED, Outcome.TIMEOUT, Outcome.NO_ANSWER,
        Outcome.CONNECTED, Outcome.CONNECTED, Outcome.DNS, Outcome.CONNECTED,
    ], [str(o) for o in seen]  # fmt: skip
    assert seen[0].responders == Counter({"web-1": 1})
    assert seen[1].responders == Counter({"web-1": 1})
    assert seen[0].clients == seen[1].clients == {"127.0.0.1"}
    assert seen[4].attempts >= 3
    assert seen[6].detail.startswith("HTTP 418")
    assert seen[7].detail in ("bytes=3000", "bytes=3001")
    assert idle, "the prober did not say that it only waits"


def test_one_prober_runs_many_plans_and_repeats_connections(prober, server):
    for _ in range(3):
        seen = prober.run([http(port=server["http"], repeat=5)], 1500, lambda: None)
        assert seen[0].responders == Counter({"web-1": 5})


def test_many_blocked_probes_wait_in_one_time_limit(prober, server):
    targets = [http(port=server["silent"], protocol="UDP", probe="udp") for _ in range(60)]
    targets += [http(port=server["deaf"]) for _ in range(30)]
    seen, took = run_unstarved(prober, targets, 1000)
    assert all(o.outcome in (Outcome.TIMEOUT, Outcome.NO_ANSWER) for o in seen)
    assert took < 20, "one after the other they would take 90 s"


def test_a_record_that_is_torn_by_the_clock_is_put_together_and_needs_no_newline():
    steps = r"""
    take() { if next_record 0.02; then echo "got $record"; else echo nothing; fi; }
    printf 'S\t1.' >&$results; take
    printf '0%s' "${stop%$nl}" >&$results; take
    printf '\nC%s' "$stop" >&$results; take; take; take
    """
    without_plans = script("bash").replace("read -r -t 900 line", "false")
    done = subprocess.run(["bash", "-c", without_plans + steps], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.splitlines()[1:] == ["nothing", "got S\t1.0", "nothing", "got C", "nothing"]


@pytest.fixture
def stalled():
    """The port of a server that lets no connection be made, because its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


def test_stalled_connections_hide_none_of_the_others_and_share_one_time_limit(prober, server, stalled):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    kinds = {
        Outcome.TIMEOUT: http(port=stalled),
        Outcome.CONNECTED: http(port=server["http"]),
        Outcome.REFUSED: http(port=closed),
        Outcome.NO_ANSWER: http(port=server["deaf"]),
        Outcome.DNS: http("no-such-name.invalid", server["http"]),
    }
    targets = [target for _ in range(6) for target in kinds.values()] + [http(port=stalled, probe="connect")]
    seen, took = run_unstarved(prober, targets, 1500)
    assert [o.outcome for o in seen] == [*list(kinds) * 6, Outcome.TIMEOUT], [str(o) for o in seen]
    assert seen[1].responders == Counter({"web-1": 1})
    assert "no answer to connect" in seen[0].detail
    assert took < 10, "one after the other they would take 20 s"


@pytest.fixture
def once():
    """The port of a server that takes one connection and no other."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve():
        connection, _ = listener.accept()
        listener.close()
        with connection, connection.makefile("rb") as asked:
            last = False
            for line in asked:
                last = last or line == b"Connection: close\r\n"
                if line == b"\r\n":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nweb-9")
                    if last:
                        return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(10)


def test_a_connection_that_came_about_is_not_lost_with_the_next_one(prober, stalled, once):
    targets = [*[http(port=stalled)] * 4, http(port=once)]
    seen = prober.run(targets, 1200, lambda: None)
    # A busy machine may starve the prober, which then says so instead of calling it a timeout
    outcomes = [Outcome.TIMEOUT if STARVED in o.detail else o.outcome for o in seen]
    assert outcomes == [*[Outcome.TIMEOUT] * 4, Outcome.CONNECTED], [str(o) for o in seen]
    assert seen[4].responders == Counter({"web-9": 1})


def test_a_small_answer_says_nothing_about_a_large_one(prober, stalled, once):
    targets = [*[http(port=stalled)] * 4, http(port=once, extra="size=3000")]
    seen = prober.run(targets, 1200, lambda: None)
    assert seen[4].detail != "bytes=3000"
    assert not seen[4].responders.get("web-9"), str(seen[4])


def test_a_flow_keeps_one_socket_and_tells_changes(prober, server):
    changes = prober.watch_flow(http(port=server["udp"], protocol="UDP", probe="udp"), 100, 600)
    # A busy machine answers some of them too late
    assert ("OK", "web-1") in [(c[1], c[2]) for c in changes]
    assert {c[2] for c in changes} <= {"web-1", ""}


def test_a_lost_prober_makes_probe_errors_and_is_started_again(server):
    class Dying(LocalPipe):
        count = 0

        def write(self, text):
            if text.startswith("PLAN") and Dying.count == 0:
                Dying.count += 1
                self._process.kill()
                raise ExecLost("the connection was lost")
            super().write(text)

    made = Prober(HERE, Dying)
    first = made.run([http(port=server["http"])], 1000, lambda: None)
    assert first[0].outcome is Outcome.ERROR
    assert "the connection was lost" in first[0].detail
    second = made.run([http(port=server["http"])], 1000, lambda: None)
    assert second[0].outcome is Outcome.CONNECTED
    made.close()


class Mute:
    """A prober that starts and then is not heard any more, as when the link of its node is cut."""

    def __init__(self, *lines):
        self.lines = list(lines)
        self.asked = 0

    def write(self, text):
        pass

    def line(self, timeout):
        self.asked += 1
        return self.lines.pop(0) if self.lines else None

    def close(self):
        pass


def test_a_prober_that_is_not_heard_is_given_up_when_its_kubelet_is_silent():
    pipe = Mute("READY bash", "HELLO\tbash\t5.2")
    answers = iter(["", f"{UNHEARD}: the kubelet of its node 'node3' gives no answer within 2 s"])
    prober = Prober(Source("on-node3", "node3"), lambda: pipe, lambda: next(answers))
    (found,) = prober.run([http()], 1500, lambda: None)
    assert found.outcome is Outcome.ERROR
    assert "kubelet of its node 'node3'" in found.detail
    assert pipe.asked == 3


def test_a_silent_node_is_not_even_tried():
    def never():
        raise AssertionError("an exec was started")

    prober = Prober(Source("on-node3", "node3"), never, lambda: f"{UNHEARD}: no kubelet")
    assert prober.run([http()], 1500, lambda: None)[0].detail == f"{UNHEARD}: no kubelet"


@pytest.mark.parametrize(
    ("status", "words"),
    [(503, "kubelet of its node 'node3' gives no answer"), (404, "does not belong to the cluster any more"), (403, "")],
)
def test_kubelets_are_asked_through_the_api_server(monkeypatch, status, words):
    class Api:
        def raw(self, method, path, **more):
            if "node3" in path and status in (404, 403):
                raise (NotFound if status == 404 else Forbidden)("no", status=status)
            if path.endswith("healthz"):
                raise ClusterError("no", status=status)

    monkeypatch.setattr(rights, "may", lambda *_, **__: True)
    assert words in Kubelets(Api()).trouble("node3")
    assert bool(Kubelets(Api()).trouble("node3")) is bool(words)


def test_kubelets_are_not_asked_by_an_account_that_may_not(api, cluster):
    """The question needs nodes/proxy, with which an account may run commands in every pod: no role of ours has it."""
    api.allow(lambda asked: asked["resource"] != "nodes" or asked["subresource"] != "proxy")
    kubelets = Kubelets(cluster)
    assert [kubelets.trouble(node) for node in ("node1", "node2")] == ["", ""]
    assert not api.seen("HEAD", "/proxy/healthz")
    assert len(api.seen("POST", REVIEWS)) == 1


def test_a_probe_has_its_own_time_limit_within_a_plan(prober, server):
    begin = time.monotonic()
    found = prober.run([http(port=server["deaf"], limit_ms=limit) for limit in (0, 1200)], 500, lambda: None)
    assert {f.outcome for f in found} <= {Outcome.NO_ANSWER, Outcome.TIMEOUT}
    assert 1.0 < time.monotonic() - begin < 10


def test_an_image_without_a_shell_is_said_to_be_a_target_only():
    text = why_no_prober(Source("web-0", "n"), ToolMissing("no sh", exit_code=127))
    assert text == "the image of 'web-0' has no shell (sh), so it can only be a target, not a source"


def test_a_fleet_refuses_an_unknown_prober():
    with pytest.raises(InputError, match="'perl' is not one of auto, python, bash, sh"):
        Fleet(None, prefer="perl")


def test_the_shell_prober_speaks_the_protocol():
    text = script("sh") + f"\n{SCRIPT_END}\n" + "PLAN 1000\n0.0 dns - 53 A/x\n1.0 http 127.0.0.1 9 -\nEND\nQUIT\n"
    done = subprocess.run(["sh", "-c", SELECT, "sh", "sh"], input=text, capture_output=True, text=True, timeout=20)
    lines = done.stdout.splitlines()
    assert lines[0] == "READY sh"
    assert lines[1].startswith("HELLO\tsh\t")
    replies = {r.number: r for r in map(parse_reply, lines) if r}
    assert replies["0.0"].state in ("ERROR", "FAILED"), "dig may be there or not"
    assert replies["1.0"].state in ("FAILED", "ERROR")
    assert lines[-1].startswith("END\t2")


@pytest.mark.parametrize("name", PYTHON)
def test_the_python_prober_runs_on_the_oldest_supported_python(name):
    """Before 3.10 a socket's time-out is no TimeoutError: a flow without answer was told as "timed out"."""
    source = (Path(probing.__file__).parent / "scripts" / "prober" / f"{name}.py").read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    assert "TimeoutError" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_the_python_prober_is_sent_whole():
    """A module that is not in the list is missing in the pod."""
    assert {f"{name}.py" for name in PYTHON} | {"__init__.py"} == {
        path.name for path in (Path(probing.__file__).parent / "scripts" / "prober").glob("*.py")
    }


@pytest.mark.parametrize(
    ("ndots", "asked"),
    [(5, ["web.shop.shop.svc.x", "web.shop.svc.x"]), (1, ["web.shop", "web.shop.shop.svc.x", "web.shop.svc.x"])],
)
def test_a_name_is_searched_for_as_by_the_c_library_whatever_ndots_is(monkeypatch, ndots, asked):
    """Where admission sets ndots to 1, names of Services were asked for as they are alone, and DNS was accused."""
    names = []

    async def ask_dns(host, port, kind, name, until, room=0):
        names.append(name)
        return ("NOERROR", ["10.96.0.9"]) if name == "web.shop.svc.x" else ("NXDOMAIN", [])

    monkeypatch.setattr(prober_names, "ask_dns", ask_dns)
    monkeypatch.setattr(prober_names, "resolver", lambda: ("10.96.0.10", ["shop.svc.x", "svc.x", "x"], ndots))
    found = asyncio.run(prober_names.probe_dns("-", 53, "A/web.shop", time.monotonic() + 5))
    assert (names, found[2]) == (asked, "10.96.0.9")
