"""Every suite at TRACE on a cluster full of planted secrets, also where a step of it fails: all outputs are searched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import robot
from planted import Places
from scripted_api import ApiServer, kubeconfig
from test_secret_places import in_the_cluster, script

from NetLibrary._mechanics.kube import rights

ROOT = Path(__file__).parents[1]
# Variables of suites that hold secrets, beside those that name what holds some
SECRET_VARIABLES = {"CYPERF_PASSWORD": "{}", "E2SAR_URI": "ejfats://{}@192.0.2.1:18347/lb/1?sync=192.0.2.2:19020"}


def with_a_controller(api: ApiServer) -> None:
    """What the Skupper suite looks for, so that it goes on."""
    labels = {"app.kubernetes.io/name": "skupper-controller"}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    api.put("/api/v1/namespaces/skupper/pods", {
        "kind": "Pod", "metadata": {"name": "skupper-controller", "namespace": "skupper", "labels": labels},
        "status": ready, "spec": {"containers": [{"name": "c", "image": "x"}]},
    })  # fmt: skip


def with_nodes(api: ApiServer) -> None:
    for name in ("node1", "node2"):
        api.put("/api/v1/nodes", {"metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}},
                                  "status": {"conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip


def variables_of(suite: str, plant: Places) -> list[str]:
    """Gives each variable of a suite that takes a secret one of its own."""
    text = (ROOT / "suites" / f"{suite}.robot").read_text()
    files = re.findall(r"resources/(\w+)\.resource", text)
    declared = "\n".join((ROOT / "resources" / f"{file}.resource").read_text() for file in files)
    return [f"{name}:{form.format(plant(name.lower()))}" for name, form in SECRET_VARIABLES.items()
            if f"${{{name}}}" in declared]  # fmt: skip


@pytest.mark.parametrize("refused", [False, True], ids=["as far as it gets", "a step is refused"])
@pytest.mark.parametrize("suite", rights.suites())
def test_no_suite_shows_a_secret_at_trace(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], suite: str,
    refused: bool,
) -> None:  # fmt: skip
    plant = Places()
    api.allow()
    in_the_cluster(api, plant)
    # No suite reads this Secret, so that a log with nothing but its value cannot be told from any other word
    api.logs["web"] = api.logs["web"].replace(plant.planted["pull-secret"], "it")
    with_a_controller(api)
    with_nodes(api)
    words = f"denied for Authorization: Bearer {plant('bearer-of-a-refusal')}"
    if refused:
        api.refuse("POST", r"/namespaces/[\w-]+/", 500, "InternalError", words, times=99)
    monkeypatch.setenv("HTTPS_PROXY", f"http://joe:{plant('proxy-of-the-environment')}@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
              "status": {"token": plant("token-of-a-plugin")}}  # fmt: skip
    plugin = script(tmp_path, f"cat <<'EOF'\n{json.dumps(answer)}\nEOF")
    config: dict[str, Any] = kubeconfig(api.url)
    config["users"][0]["user"] = {"exec": {"apiVersion": answer["apiVersion"], "interactiveMode": "Never",
                                           "command": str(plugin)}}  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    out = tmp_path / "out"
    with open(tmp_path / "console", "w") as console:
        robot.run(
            str(ROOT / "suites" / f"{suite}.robot"), outputdir=str(out), loglevel="TRACE", debugfile="debug.txt",
            xunit="xunit.xml", stdout=console, stderr=console, console="verbose",
            variable=[f"KUBECONFIG:{tmp_path / 'kubeconfig'}", "CLUSTER:kubeconfig", "NAMESPACE:demo",
                      "PULL_SECRET:pull", "READY_TIMEOUT:1s", *variables_of(suite, plant)],
        )  # fmt: skip
    shown = capfd.readouterr()
    texts = {str(file.relative_to(out)): file.read_bytes().decode(errors="replace")
             for file in out.rglob("*") if file.is_file()}  # fmt: skip
    texts |= {"console": (tmp_path / "console").read_text(), "stdout": shown.out, "stderr": shown.err}
    assert {"output.xml", "log.html", "report.html", "xunit.xml", "debug.txt"} <= set(texts)
    assert any("token-of-a-plugin" in str(request) for request in api.requests), "the token was not even used"
    assert not refused or "denied for Authorization" in texts["output.xml"]
    assert {name: leaks for name, found in texts.items() if (leaks := plant.leaks(found))} == {}
