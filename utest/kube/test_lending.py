"""KubeLibrary over a connection of ours: the same user, the same way, no credential in its hands."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from robot.libdocpkg import LibraryDocumentation
from robot_run import Run
from scripted_api import TOKEN, ApiServer

from NetLibrary.deferred import KubeLibrary

SUITE = """
Library    NetLibrary.deferred.KubeLibrary    AS    KubeLibrary
*** Test Cases ***
Read
    Share Cluster With KubeLibrary
    ${found}    KubeLibrary.List Namespaced Pod By Pattern    ^web    demo
    Should Be Equal    ${found[0].metadata.name}    web-1
    ${kube}    Get Library Instance    KubeLibrary
    Log    ${{ vars($kube.api_client) }} ${{ vars($kube.api_client.configuration) }} ${kube.api_client.default_headers}
Secrets
    Share Cluster With KubeLibrary
    ${found}    KubeLibrary.List Namespaced Secret By Pattern    .    demo
    Should Be Equal    ${found[0].metadata.name}    login
Execute
    Share Cluster With KubeLibrary
    KubeLibrary.Get Namespaced Pod Exec    web-1    demo    argv_cmd=${{ ['true'] }}
"""
WHO = {"token": TOKEN}
PLANTED = "planted-in-a-secret-4711"


@pytest.fixture
def api() -> Any:
    server = ApiServer()
    server.put("/api/v1/namespaces/demo/pods", {"metadata": {"name": "web-1", "namespace": "demo"}})
    data = {"password": base64.b64encode(PLANTED.encode()).decode()}
    server.put("/api/v1/namespaces/demo/secrets", {"metadata": {"name": "login", "namespace": "demo"}, "data": data})
    yield server
    server.stop()


def run(api: ApiServer, folder: Path, **user: Any) -> Run:
    users = [{"name": "u", "user": {**WHO, **user}}]
    return Run(folder, api.kubeconfig(folder / "kubeconfig", users=users), SUITE, loglevel="TRACE")


def headers_of(api: ApiServer, path: str) -> list[dict[str, str]]:
    return [
        {name.lower(): value for name, value in each[3].items()} for each in api.requests if each[1].startswith(path)
    ]


def test_kubelibrary_asks_as_the_user_of_the_run_and_holds_no_token(api: ApiServer, tmp_path: Path) -> None:
    done = run(api, tmp_path)
    assert done.tests["Read"].passed, done.tests["Read"].message
    (headers,) = headers_of(api, "/api/v1/namespaces/demo/pods")[:1]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert done.tests["Secrets"].passed, done.tests["Secrets"].message
    for secret in (TOKEN, PLANTED, base64.b64encode(PLANTED.encode()).decode()):
        assert secret not in done.text


def test_kubelibrary_impersonates_as_the_run_does(api: ApiServer, tmp_path: Path) -> None:
    """Sharing was refused, so that a suite with KubeLibrary in it could not run under such a kubeconfig."""
    done = run(api, tmp_path, **{"as": "weak", "as-groups": ["one", "two"]})
    assert done.tests["Read"].passed, done.tests["Read"].message
    assert headers_of(api, "/api/v1/namespaces/demo/pods")[0]["impersonate-user"] == "weak"
    assert "would have more rights than the run. Use 'Run In Pod'" in done.tests["Execute"].message
    assert not [each for each in api.requests if each[1].endswith("/exec")]


def test_keywords_of_the_deferred_library_are_kubelibrarys_own() -> None:
    """They are read from its source, since importing it takes longer than everything else in a dry run."""
    os.environ["INIT_FOR_LIBDOC_ONLY"] = "1"
    theirs = {kw.name: (str(kw.args), kw.doc) for kw in LibraryDocumentation("KubeLibrary").keywords}
    ours = {kw.name: (str(kw.args), kw.doc) for kw in LibraryDocumentation("NetLibrary.deferred.KubeLibrary").keywords}
    assert ours == theirs


def test_use_before_a_connection_is_lent_says_what_to_do() -> None:
    with pytest.raises(Exception, match="not connected: use 'Share Cluster With KubeLibrary' first"):
        KubeLibrary().run_keyword("list_namespace", (), {})
