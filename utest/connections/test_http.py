"""HTTP and TLS from sources with few programs: what is answered, by whom, and which certificates are shown."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tls_server import TlsServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.connections import http, tls
from NetLibrary._mechanics.connections.http import Asked, Wanted
from NetLibrary._mechanics.connections.run import Target

sys.path.insert(0, str(Path(__file__).parent))
from test_connections import Here

PROGRAMS = [["python3"], ["nc"], ["bash"]]


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/late" and time.monotonic() < ready:
                self.answer(503, "starting")
            elif self.path == "/silent":
                time.sleep(2)
            elif self.path == "/big":
                self.answer(200, "x" * 300_000)
            elif self.path == "/moved":
                self.answer(302, "", Location="/")
            else:
                said = self.headers.get("X-Ask", "")
                self.answer(200, f"web-0 answers {self.path} {said}")

        def do_POST(self) -> None:
            self.answer(201, self.rfile.read(int(self.headers["Content-Length"])).decode())

        def answer(self, status: int, text: str, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(text.encode())

    ready = time.monotonic() + 1.0
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def url(server: ThreadingHTTPServer, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def sentences(source: Here, asked: Asked, wanted: Wanted, *, settle: float = 0.0, attempts: int = 1) -> list[str]:
    _, checks = http.request(source, asked, wanted, attempts=attempts, settle_seconds=settle)
    return [check.sentence for check in checks if not check.passed]


@pytest.mark.parametrize("programs", PROGRAMS, ids=lambda each: each[0])
def test_an_answer_comes_with_what_the_image_has(tmp_path: Path, server: Any, programs: list[str]) -> None:
    here = Here(tmp_path, programs)
    found = http.ask(here, Asked(url(server, "/a?b=c"), headers={"X-Ask": "who"}), ["web-1", "web-0"])
    assert (found.status, found.text, found.pod) == (200, "web-0 answers /a?b=c who", "web-0")
    assert found.address == ("127.0.0.1" if programs == ["python3"] else "")
    assert len(http.ask(here, Asked(url(server, "/big"))).text) == 300_000
    assert http.ask(here, Asked(url(server), "POST", body="x" * 200_000)).text == "x" * 200_000


def test_what_is_wrong_with_an_answer_is_told(tmp_path: Path, server: Any) -> None:
    here = Here(tmp_path, ["python3"])
    assert sentences(here, Asked(url(server)), Wanted(("2xx",), "answers", ("web-0",), 5000)) == []
    assert sentences(here, Asked(url(server, "/moved")), Wanted()) == [
        f"GET {url(server, '/moved')} from 'demo/here': expected status 200, seen 302, with: an empty body"
    ]
    assert sentences(here, Asked(url(server, "/moved")), Wanted(("200", "302"))) == []
    (text,) = sentences(here, Asked(url(server)), Wanted(text="nothing of the kind"))
    assert text.endswith("'nothing of the kind' is not in the answer, which begins with: web-0 answers /")
    (text,) = sentences(here, Asked(url(server)), Wanted(pods=("web-1",)))
    assert "none of the pods web-1 has its name in the answer" in text
    (text,) = sentences(here, Asked(url(server)), Wanted(slowest_ms=0.0))
    assert "time at most 0 ms: seen" in text


def test_an_answer_may_be_another_one_while_it_settles(tmp_path: Path, server: Any) -> None:
    here = Here(tmp_path, ["python3"])
    asked = Asked(url(server, "/late"))
    assert "expected status 200, seen 503, with: starting" in sentences(here, asked, Wanted())[0]
    assert sentences(here, asked, Wanted(), settle=10, attempts=3) == []


@pytest.mark.parametrize("programs", PROGRAMS, ids=lambda each: each[0])
def test_no_answer_is_told_in_the_words_of_connections(tmp_path: Path, server: Any, programs: list[str]) -> None:
    here = Here(tmp_path, programs)
    assert http.ask(here, Asked("http://127.0.0.1:9/")).problem.startswith("refused: ")
    silent = http.ask(here, Asked(url(server, "/silent"), limit_seconds=0.5))
    assert (silent.status, "timed out" in silent.problem or silent.problem.startswith("silent")) == (0, True)
    (text,) = sentences(here, Asked("http://127.0.0.1:9/"), Wanted())
    assert text.startswith("GET http://127.0.0.1:9/ from 'demo/here': no answer, refused: ")


def test_a_name_that_is_not_there_is_no_refusal(tmp_path: Path) -> None:
    assert http.ask(Here(tmp_path, ["python3"]), Asked("http://no.invalid/")).problem.startswith("unresolved: ")


def test_an_image_without_programs_is_no_verdict(tmp_path: Path, server: Any) -> None:
    with pytest.raises(errors.EnvironmentProblem, match="none of python3, nc and bash is in the image"):
        http.ask(Here(tmp_path, []), Asked(url(server)))


def test_a_lost_connection_to_the_source_says_nothing_about_the_network(api: Any, cluster: Any) -> None:
    from NetLibrary._mechanics.vantage import InPod

    pod = InPod(cluster, {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": [{"name": "c"}]}})
    api.command = lambda command: command.close_frame()
    with pytest.raises(errors.ExecLost, match="pod 'shop/a' ended without an exit status"):
        http.ask(pod, Asked("http://web/"))
    api.command = lambda command: command.fail('exec: "sh": executable file not found in $PATH')
    with pytest.raises(errors.ToolMissing, match="The image of pod 'shop/a' has no 'sh'"):
        http.ask(pod, Asked("http://web/"))


@pytest.mark.parametrize("text", ["", "ok", "600", "20", "200;201"])
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError, match="give, for instance, 200 or 2xx"):
        http.statuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "web.shop",
        "ftp://web.shop/",
        "http:///x",
        "http://fd00::1/",
        "http://[fd00::1/",
        "http://web:99999/",
        "http://web:x/",
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError, match=r"url is '.*'; give, for instance,"):
        http.target_of(text)


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[TlsServer, Target]]:
    with TlsServer(tmp_path) as made:
        yield made, Target("127.0.0.1", int(made.url.rpartition(":")[2]))


def look(here: Here, target: Target, name: str, ca: str = "") -> tls.Certificate:
    return tls.look(here, target, name, ca=ca, family="any", limit_seconds=5)


@pytest.mark.parametrize("programs", PROGRAMS[:2], ids=lambda each: each[0])
def test_a_certificate_is_seen_and_trusted_or_not(tmp_path: Path, secure: Any, programs: list[str]) -> None:
    server, target = secure
    here = Here(tmp_path, programs)
    seen = look(here, target, "cluster.example", server.certificate)
    assert (seen.subject, seen.issuer, seen.problem) == ("CN=server", "CN=server", "")
    assert seen.names == ("cluster.example", "127.0.0.1")
    assert seen.version.startswith("TLSv1")
    assert 1.9 < (seen.not_after - time.time()) / tls.DAY < 2.1
    assert "self" in look(here, target, "cluster.example").problem
    assert "not valid for 'other.example'" in look(here, target, "other.example", server.certificate).problem


def test_what_is_wrong_with_a_certificate_is_told(tmp_path: Path, secure: Any) -> None:
    server, target = secure
    seen = look(Here(tmp_path, ["python3"]), target, "127.0.0.1", server.certificate)
    now = time.time()

    def told(**asked: Any) -> list[str]:
        wanted = {"names": (), "issuer": "", "days_at_least": None, **asked}
        return [check.sentence for check in tls.judge(seen, "web:443", now=now, **wanted) if not check.passed]

    assert told(names=("cluster.example",), issuer="CN=server", days_at_least=1) == []
    where = "Certificate of web:443 seen from 'demo/here'"
    assert told(names=("shop",)) == [f"{where} is not for shop; its names are cluster.example, 127.0.0.1."]
    assert told(issuer="CN=ca") == [f"{where} is issued by 'CN=server'; expected 'CN=ca'."]
    assert "in 2.0 days; expected at least 30." in told(days_at_least=30)[0]


def test_requests_over_tls_are_verified_unless_told_otherwise(tmp_path: Path, secure: Any) -> None:
    server, target = secure
    here, address = Here(tmp_path, ["python3"]), f"https://127.0.0.1:{target.port}/version"
    assert http.ask(here, Asked(address, ca=server.certificate)).status == 200
    assert http.ask(here, Asked(address, verify=False)).status == 200
    assert http.ask(here, Asked(address)).problem.startswith("its certificate is not trusted: self")


def test_what_does_not_speak_tls_and_what_is_not_there_fails(tmp_path: Path, server: Any) -> None:
    here = Here(tmp_path, ["python3"])
    with pytest.raises(errors.WaitFailed, match="does not speak TLS correctly"):
        look(here, Target("127.0.0.1", server.server_address[1]), "x")
    with pytest.raises(errors.WaitFailed, match=r"127.0.0.1:9 cannot be reached from 'demo/here': refused"):
        look(here, Target("127.0.0.1", 9), "x")


def test_authorities_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match="give a file or certificates as PEM text"):
        tls.context("none.crt")
    (tmp_path / "ca").write_text("nothing")
    with pytest.raises(errors.InputError, match="contains no certificates"):
        tls.context(str(tmp_path / "ca"))


def test_programs_end_with_their_connection(tmp_path: Path, server: Any) -> None:
    from NetLibrary._mechanics.vantage.programs import RunningHere

    running = RunningHere(["sleep", "60"])
    running.close()
    assert running.read(5) is None
    here = Here(tmp_path, ["python3"])
    http.ask(here, Asked(url(server)))
    found = subprocess.run(["pgrep", "-f", f"relay 127.0.0.1 {server.server_address[1]}"], capture_output=True)
    assert found.stdout == b""
