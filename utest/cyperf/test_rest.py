from __future__ import annotations

from pathlib import Path

import pytest
import requests

from NetLibrary._mechanics.cyperf.controller import Controller
from NetLibrary._mechanics.cyperf.rest import Connection
from NetLibrary._mechanics.errors import (
    ControllerError,
    ControllerUnreachable,
    InputError,
    LoginRefused,
    Missing,
    NotJson,
)

from .conftest import StandIn, free_port
from .scripted_controller import TOKEN, Raw, ScriptedController

SECRET = "planted&secret#9"
HTML = Raw(b"<html><head><title>CyPerf End User License Agreement</title></head></html>", "text/html")


def connect(scripted: ScriptedController, **options: float) -> Connection:
    return Connection(scripted.url, username="admin", password=SECRET, **options)


@pytest.mark.parametrize(
    "address", ["", "http://", "ftp://x", "a b", "https://host/path", "host:99999", "u:p@host", "[]"]
)
def test_unusable_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="address"):
        Connection(address, refresh_token="x")


def test_credentials_in_address_are_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        Connection("https://user:topsecret@host", refresh_token="x")
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"username": "a"}, {"username": "a", "password": "b", "refresh_token": "c"}])
def test_credentials_must_be_one_kind(given: dict[str, str]) -> None:
    with pytest.raises(InputError, match="either username and password or a refresh token"):
        Connection("host", **given)


def test_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pem"):
        Connection("host", refresh_token="x", certificate=tmp_path / "nowhere.pem")


def test_password_travels_url_encoded(scripted: ScriptedController) -> None:
    connect(scripted).token()
    body = scripted.seen[0][3].decode()
    assert "password=planted%26secret%239" in body
    assert "client_id=clt-wap" in body


def test_environment_is_not_asked_for_proxies_or_bundles(
    scripted: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert connect(scripted).token() == "token-1"


def test_wrong_password_is_named_without_it(scripted: ScriptedController) -> None:
    scripted.on("POST", TOKEN, (401, {"error_description": f"Invalid user credentials {SECRET}"}))
    with pytest.raises(LoginRefused, match=r"does not accept user 'admin': Invalid user credentials <secret>"):
        connect(scripted).call("GET", "/api/v2/time")


def test_token_is_renewed_once_after_401(scripted: ScriptedController) -> None:
    scripted.on("GET", "/api/v2/time", (200, {"now": 1}), (401, {}), (200, {"now": 2}))
    connection = connect(scripted)
    assert connection.call("GET", "/api/v2/time") == {"now": 1}
    assert connection.call("GET", "/api/v2/time") == {"now": 2}
    assert scripted.tokens == 2
    assert scripted.seen[-1][2]["Authorization"] == "Bearer token-2"


def test_lasting_401_ends_after_one_renewal(scripted: ScriptedController) -> None:
    scripted.on("GET", "/api/v2/time", (401, {"message": "no way"}))
    with pytest.raises(LoginRefused, match="401 no way"):
        connect(scripted).call("GET", "/api/v2/time")
    assert scripted.asked("GET", "/api/v2/time") == 2


def test_web_page_is_not_taken_for_json(scripted: ScriptedController) -> None:
    scripted.on("GET", "/api/v2/configs", HTML)
    with pytest.raises(NotJson, match=r"text/html 'CyPerf End User License Agreement' instead of JSON.*accept_eula"):
        connect(scripted).items("/api/v2/configs")


def test_other_web_server_is_recognised(scripted: ScriptedController) -> None:
    scripted.on("POST", TOKEN, Raw(b"<html><title>Welcome to nginx</title></html>", "text/html"))
    with pytest.raises(NotJson, match=r"'Welcome to nginx' instead of JSON\. Is it a CyPerf controller"):
        connect(scripted).token()


def test_page_and_bare_list_are_the_same(scripted: ScriptedController) -> None:
    scripted.on("GET", "/a", (200, [{"id": "1"}]), (200, {"data": [{"id": "1"}], "totalCount": 1}), (200, {"x": 1}))
    connection = connect(scripted)
    assert connection.items("/a") == connection.items("/a") == [{"id": "1"}]
    with pytest.raises(NotJson, match="instead of a list"):
        connection.items("/a")


def test_busy_controller_is_asked_again_only_for_reading(scripted: ScriptedController) -> None:
    scripted.on("GET", "/a", (503, {}), (200, 1))
    scripted.on("POST", "/a", (503, {"message": "starting"}))
    connection = connect(scripted)
    assert connection.call("GET", "/a") == 1
    with pytest.raises(ControllerError, match="503 starting"):
        connection.call("POST", "/a")
    assert scripted.asked("POST", "/a") == 1


def test_controller_that_stays_busy_is_named_after_a_few_tries(scripted: ScriptedController) -> None:
    scripted.on("GET", "/a", (502, {"message": "bad gateway"}))
    with pytest.raises(ControllerError, match="502 bad gateway") as caught:
        connect(scripted).call("GET", "/a")
    assert caught.value.status == 502
    assert scripted.asked("GET", "/a") == 3


def test_long_retry_after_is_cut(scripted: ScriptedController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("NetLibrary._mechanics.cyperf.rest._BUSY_LONGEST_SECONDS", 0.05)
    scripted.on("GET", "/a", Raw(b"{}", status=503, headers={"Retry-After": "3600"}), (200, 1))
    assert connect(scripted).call("GET", "/a") == 1


def test_refused_and_silent_controllers_differ(scripted: ScriptedController) -> None:
    with pytest.raises(ControllerUnreachable, match="Connection refused"):
        Connection(f"127.0.0.1:{free_port()}", refresh_token="x").token()
    scripted.on("GET", "/slow", Raw(b"1", delay=1.0))
    with pytest.raises(ControllerUnreachable, match=r"no answer to GET /slow within 0.2 s"):
        connect(scripted).call("GET", "/slow", timeout=0.2)


def test_untrusted_certificate_is_named(stand_in: StandIn, tmp_path: Path) -> None:
    from NetLibrary.standins.cyperf.controller.certificate import write

    write(tmp_path, ["elsewhere"])
    options = {"username": "admin", "password": "CyPerf&Keysight#1"}
    with pytest.raises(ControllerUnreachable, match="certificate is not trusted"):
        Connection(f"127.0.0.1:{stand_in.https}", certificate=tmp_path / "tls.crt", **options).token()
    Connection(f"127.0.0.1:{stand_in.https}", certificate=stand_in.certificate, **options).token()
    Connection(f"127.0.0.1:{stand_in.https}", **options).token()


def test_missing_is_its_own_error(scripted: ScriptedController) -> None:
    with pytest.raises(Missing, match="404 nothing at /gone"):
        connect(scripted).call("GET", "/gone")


def test_download_that_breaks_leaves_nothing(scripted: ScriptedController, tmp_path: Path) -> None:
    scripted.on("GET", "/file", Raw(b"x" * 10, "application/zip", length=100))
    with pytest.raises(ControllerError, match=r"failed: the connection ended after \d+ of 100 bytes"):
        connect(scripted).download("/file", tmp_path / "report.zip")
    assert list(tmp_path.iterdir()) == []
    assert scripted.asked("GET", "/file") == 2


def test_download_that_breaks_once_is_repeated(scripted: ScriptedController, tmp_path: Path) -> None:
    scripted.on("GET", "/file", Raw(b"x" * 10, "application/zip", length=100), Raw(b"whole", "application/zip"))
    assert connect(scripted).download("/file", tmp_path / "report.zip").read_bytes() == b"whole"


def test_download_of_a_web_page_is_refused(scripted: ScriptedController, tmp_path: Path) -> None:
    scripted.on("GET", "/file", HTML)
    with pytest.raises(NotJson, match="web page instead of a file"):
        connect(scripted).download("/file", tmp_path / "report.zip")
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_redacted_in_every_form(scripted: ScriptedController) -> None:
    connection = connect(scripted)
    connection.token()
    text = f"{SECRET} planted%26secret%239 token-1 planted-refresh"
    assert connection.redact(text) == "<secret> <secret> <secret> <secret>"


@pytest.mark.parametrize(
    ("releases", "message"),
    [
        ([{"name": "cyperf-wap", "version": "2.6.1"}], "has version 2.6.1; 3.0 or newer is needed"),
        ([{"name": "cyperf-wap", "version": "26.0.1"}], None),
        ([{"name": "other", "version": "unreadable"}], None),
    ],
)
def test_old_controllers_are_refused(scripted: ScriptedController, releases: list[object], message: str | None) -> None:
    scripted.on("GET", "/eula/v1/check", (200, {}))
    scripted.on("GET", "/api/v2/time", (200, {"now": 1}))
    scripted.on("GET", "/api/v2/deployment/helm/cluster/releases", (200, releases))
    controller = Controller(connect(scripted))
    if message:
        with pytest.raises(ControllerError, match=message):
            controller.open()
    else:
        controller.open()
        assert not controller.stand_in


def test_open_licence_agreement_is_named_or_accepted(healthy: StandIn) -> None:
    healthy.faults(eula_pending=True)
    with pytest.raises(ControllerError, match=r"licence agreement .* is not accepted"):
        healthy.controller()
    controller = Controller(Connection(f"http://127.0.0.1:{healthy.http}", refresh_token="stand-in-offline-token"))
    controller.open(accept_eula=True)
    assert controller.stand_in


def test_shared_session_has_no_token_in_its_requests(healthy: StandIn) -> None:
    from NetLibrary._mechanics.cyperf.shared_session import prepare

    connection = healthy.controller().connection
    session = prepare(requests.Session(), connection)
    first = session.get(f"{connection.base}/api/v2/time", timeout=5)
    healthy.faults(expire_tokens=True)
    second = session.get(f"{connection.base}/api/v2/time", timeout=5)
    assert first.status_code == second.status_code == 200
    assert "Authorization" not in first.request.headers
    assert "Authorization" not in second.request.headers
    with pytest.raises(InputError, match="token address"):
        session.post(connection.base + TOKEN, timeout=5)
