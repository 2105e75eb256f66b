"""Secrets planted at the places where clusters, controllers and configurations keep them; all outputs are searched."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import robot
from click.testing import CliRunner
from cyperf.scripted_controller import Raw, ScriptedController
from planted import Places
from scripted_api import ApiServer, status

from NetLibrary._mechanics.secrets import Filter
from NetLibrary.cli import main

LOGIN = "/auth/realms/keysight/protocol/openid-connect/token"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def controller() -> Iterator[ScriptedController]:
    scripted = ScriptedController()
    yield scripted
    scripted.close()


def configurations(api: ApiServer, folder: Path, plant: Places) -> dict[str, Path]:
    """Kubeconfigs of all kinds, good and broken, each with a secret of its own."""
    made: dict[str, Path] = {}

    def write(name: str, user: Any, text: str | None = None, **cluster: Any) -> None:
        config = json.loads(api.kubeconfig(folder / "base").read_text())
        config["users"][0]["user"] = user
        config["clusters"][0]["cluster"] |= cluster
        made[name] = folder / name
        made[name].write_text(text or json.dumps(config))

    pem = f"-----BEGIN PRIVATE KEY-----\n{plant('client-key', 'MIGplantedClientKey0123456789abcdef')}\n"
    write("key", {"client-key-data": b64(pem), "client-certificate-data": b64("no certificate")})
    write("list", {"token": [plant("token-in-a-list")]})
    write("broken", {}, text=f"apiVersion: v1\nusers:\n- name: u\n  user: {{token: {plant('broken-yaml')}\n  x: [\n")
    write("unpadded", {"client-key-data": "!" + plant("key-that-is-no-base64"), "token": "abcdef"})
    provider = {"name": "oidc", "config": {"id-token": plant("id-token"), "refresh-token": plant("refresh-token")}}
    write("provider", {"auth-provider": provider})
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    env = [{"name": "AWS_SECRET_ACCESS_KEY", "value": plant("plugin-environment")}]
    command = {**plugin, "command": str(script(folder, 'echo "denied for $AWS_SECRET_ACCESS_KEY" >&2; exit 1'))}
    write("plugin-denied", {"exec": {**command, "env": env}})
    write("plugin-talks", {"exec": {**plugin, "command": str(script(folder, f"echo {plant('plugin-output')}"))}})
    given = {"clientKeyData": pem.replace("planted", "pluginsx"), "clientCertificateData": "no certificate"}
    plant("plugin-key", "MIGpluginsxClientKey0123456789abcdef")
    answer = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "status": given}
    write("plugin-key", {"exec": {**plugin, "command": str(script(folder, f"cat <<'EOF'\n{json.dumps(answer)}\nEOF"))}})
    write("server", {"token": "abcdefgh"}, server=f"http://joe:{plant('server-url')}@127.0.0.1:9")
    return made


def script(folder: Path, body: str) -> Path:
    path = folder / f"plugin-{len(list(folder.glob('plugin-*')))}.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def in_the_cluster(api: ApiServer, plant: Places) -> None:
    """Objects that hold secrets, in fields and in what kubectl notes about them."""
    last = {"kind": "Secret", "data": {"password": b64(plant("last-applied-data"))},
            "stringData": {"other": plant("last-applied-text")}}  # fmt: skip
    note = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(last)}
    where = "/api/v1/namespaces/demo"
    api.put(
        "/api/v1/namespaces", {"metadata": {"name": "demo"}}
    )  # so that the run is a guest, and removes what it made
    auths = {"registry.example": {"username": "joe", "password": plant("pull-secret"), "auth": b64("joe:x1y2z3")}}
    objects: list[dict[str, Any]] = [
        {"metadata": {"name": "rotated", "annotations": note}, "data": {"password": b64("new-password-1")}},
        {"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
         "data": {".dockerconfigjson": b64(json.dumps({"auths": auths}))}},
        {"metadata": {"name": "account"}, "type": "kubernetes.io/service-account-token",
         "data": {"token": b64(plant("account-token"))}},
        {"metadata": {"name": "basic"}, "type": "kubernetes.io/basic-auth",
         "data": {"username": b64("joe"), "password": b64(plant("basic-auth"))}},
    ]  # fmt: skip
    for each in objects:
        each["metadata"]["namespace"] = "demo"
        api.put(f"{where}/secrets", {"apiVersion": "v1", "kind": "Secret", **each})
    container = {"name": "c", "image": "x", "args": ["--user", "joe", "--password", plant("argument")],
                 "command": ["serve", f"--api-token={plant('command')}"]}  # fmt: skip
    env = {"name": "c", "env": [{"name": "SMTP_PASSWORD", "value": plant("last-applied-environment")}]}
    noted = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"containers": [env]}})}
    api.put(f"{where}/pods", {"metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"},
                                           "annotations": noted},
                              "spec": {"containers": [container]}, "status": {"phase": "Pending"}})  # fmt: skip
    said = " ".join(
        plant.planted[place] for place in ("argument", "command", "last-applied-environment", "pull-secret")
    )
    api.logs["web"] = f"cannot log in: {said}\n"
    api.put(f"{where}/events", {
        "metadata": {"name": "e", "namespace": "demo"}, "type": "Warning", "reason": "Failed",
        "involvedObject": {"kind": "Pod", "name": "web"},
        "message": f"cannot pull https://joe:{plant('event')}@registry.example/x",
    })  # fmt: skip
    node = {
        "type": "Ready",
        "status": "False",
        "reason": "Down",
        "message": f"kubelet --token={plant('node-condition')}",
    }
    api.put("/api/v1/nodes", {"metadata": {"name": "n1"}, "status": {"conditions": [node]}})
    refused = f"impersonation failed for Authorization: Bearer {plant('bearer-in-an-error')}"
    api.refuse("PATCH", "/configmaps", 403, "Forbidden", refused, times=9)
    granted = {"kind": "TokenRequest", "status": {"token": plant("token-request")}}
    api.on("POST", "/serviceaccounts/x/token", lambda handler: handler.json(201, granted))
    api.on("GET", "/configmaps/quoted", lambda handler: handler.json(
        500, status(500, "InternalError", f"secret \"basic\" has {plant.planted['basic-auth']}")))  # fmt: skip


def at_the_controller(controller: ScriptedController, plant: Places) -> None:
    """A controller that gives out tokens and repeats what it was told."""
    tokens = {"access_token": plant("access-token"), "expires_in": 300, "refresh_token": plant("offline-token")}
    controller.on("POST", LOGIN, (200, tokens))
    echoed = f"no session for {plant.planted['access-token']} of {plant('controller-password')}"
    controller.on("GET", "/api/v2/version", Raw(echoed.encode(), kind="text/html", status=500))
    controller.on("GET", "/api/v2/agents", (401, {"message": echoed}))


SUITE = """
*** Settings ***
Library    NetLibrary    timeout=2s
Library    {helper}
*** Variables ***
${{PASSWORD: Secret}}    %{{PLANTED_PASSWORD}}
*** Test Cases ***
Secrets Of The Cluster
    Connect To Cluster
    ${{secrets}}    Get Objects    Secret    demo
    Log    ${{secrets}}
    FOR    ${{secret}}    IN    @{{secrets}}
        FOR    ${{encoded}}    IN    @{{{{ list($secret['data'].values()) }}}}
            ${{decoded}}    Evaluate    base64.b64decode($encoded).decode()
            FOR    ${{value}}    IN    ${{decoded}}
                Log    ${{value}}
            END
        END
    END
    Log    ${{secrets}}[0][metadata][annotations]
Quoted In A Test's Own Words
    ${{secret}}    Get Object    Secret    basic    demo
    ${{value}}    Evaluate    base64.b64decode($secret['data']['password']).decode()
    Set Test Documentation    with ${{value}}
    Set Test Message    message ${{value}}
    Set Tags    tag-${{value}}
    Set Suite Metadata    Password    ${{value}}
    Set Suite Documentation    suite ${{value}}
Pods
    Create Namespace    demo    use_existing=True
    Wait Until Pods Are Ready    demo    app=web    timeout=1s
A Pod Of Others Is Named
    Fail    pod 'web' does not answer
Nodes
    Nodes Should Be Healthy
Refused
    Apply Manifest    {manifest}
Quoted By The Server
    Get Object    ConfigMap    quoted    demo
Token Request
    ${{token}}    Request Token
    Log    ${{token}}
Controller
    Connect To CyPerf Controller    {controller}    username=admin    password=${{PASSWORD}}    answer_within=1s
Proxy Of The Environment
    Log    %{{HTTPS_PROXY}}
Undoing Fails
    Fail At The End    {closing}
"""

HELPER = """
from robot.libraries.BuiltIn import BuiltIn
def _library():
    return BuiltIn().get_library_instance("NetLibrary")
def request_token():
    answer = _library().session.cluster().raw("POST", "/api/v1/namespaces/demo/serviceaccounts/x/token", body={})
    return answer["status"]["token"]
def fail_at_the_end(file):
    def fail():
        raise RuntimeError("cannot log out with password=" + open(file).read())
    _library().session.on_close("a session", fail)
"""


def test_no_secret_of_clusters_controllers_and_configurations_is_in_any_output(
    api: ApiServer, controller: ScriptedController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plant = Places()
    api.allow()
    files = configurations(api, tmp_path, plant)
    in_the_cluster(api, plant)
    at_the_controller(controller, plant)
    monkeypatch.setenv("HTTPS_PROXY", f"http://joe:{plant('proxy-of-the-environment')}@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PLANTED_PASSWORD", plant.planted["controller-password"])
    helper, manifest = tmp_path / "helper.py", tmp_path / "map.yaml"
    helper.write_text(HELPER)
    manifest.write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: demo}, data: {a: b}}")
    api.put("/api/v1/namespaces/demo/configmaps", {"metadata": {"name": "m", "namespace": "demo"}})
    text = SUITE.format(helper=helper, manifest=manifest, controller=controller.url, closing=tmp_path / "closing")
    (tmp_path / "closing").write_text(plant("closing"))
    started: list[str] = []
    begin = subprocess.Popen.__init__

    def noted(process: Any, args: Any, *more: Any, **options: Any) -> None:
        started.append(str(args))
        begin(process, args, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    for name, file in files.items():
        text += f"Kubeconfig {name}\n    Connect To Cluster    alias={name}    kubeconfig={file}\n"
        text += f"    Get Objects    Pod    demo    cluster={name}\n"
    (tmp_path / "suite.robot").write_text(text)
    out = tmp_path / "out"
    with open(tmp_path / "console", "w") as console:
        robot.run(
            str(tmp_path / "suite.robot"), outputdir=str(out), loglevel="TRACE", debugfile="debug.txt",
            xunit="xunit.xml", stdout=console, stderr=console, console="verbose",
            variable=[f"KUBECONFIG:{api.kubeconfig(tmp_path / 'good')}"],
        )  # fmt: skip
    shown = capfd.readouterr()
    texts = {str(file.relative_to(out)): file.read_bytes().decode(errors="replace") for file in out.rglob("*")
             if file.is_file()}  # fmt: skip
    texts |= {"console": (tmp_path / "console").read_text(), "stdout": shown.out, "stderr": shown.err}
    assert started, "no program was started"
    texts["arguments of programs, which everybody on the machine may list"] = "\n".join(started)
    for name, file in files.items():
        for command in (["check", "--suite", "e2sar"], ["sweep", "--dry-run"]):
            done = CliRunner().invoke(main, [*command, "--kubeconfig", str(file)])
            texts[f"{command[0]} {name}"] = done.output
    assert {"output.xml", "log.html", "report.html", "xunit.xml", "debug.txt", "measurements.jsonl"} <= set(texts)
    assert len(plant.planted) >= 24
    assert "NameError" not in texts["debug.txt"], "a step of the suite above did not run"
    assert {name: leaks for name, found in texts.items() if (leaks := plant.leaks(found))} == {}
    for reached in ("cannot log in: ", "denied for", "kubelet --token", "cannot pull", "impersonation failed"):
        assert reached in texts["output.xml"], reached


@pytest.mark.parametrize("kind", ["AccessToken", "AccessGrant"])
def test_code_of_a_skupper_token_is_a_secret(kind: str) -> None:
    hidden = Filter()
    answer = {"kind": kind, "spec": {"code": "Code-0123456789"}, "status": {"code": "Code-9876543210"}}
    hidden.learn_answer(json.dumps(answer), answer)
    assert hidden.hide("redeem Code-0123456789 and Code-9876543210") == "redeem <secret> and <secret>"
