"""Files into pods and out of them: with tar, without it, without a shell, and from a pod that is not to be trusted."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from robot_run import Run
from scripted_api import ApiServer
from scripted_exec import Command

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster
from NetLibrary._mechanics.kube.copying import Container, unpack

NO_PROGRAM = 'exec: "{}": executable file not found in $PATH'


class Image:
    """Runs commands on this machine, with the container's root in a folder; without the programs that it lacks."""

    def __init__(self, root: Path, *lacks: str) -> None:
        self.root, self.lacks = root, lacks
        (root / "tmp").mkdir(parents=True, exist_ok=True)

    def __call__(self, command: Command) -> None:
        if command.argv[0] in self.lacks:
            command.fail(NO_PROGRAM.format(command.argv[0]))
            return
        data = b""
        if command.query.get("stdin") == "true":
            while (piece := command.read()) is not None:
                data += piece
        argv = [str(self.root) + word if word.startswith("/") else word for word in command.argv]
        done = subprocess.run(argv, input=data, capture_output=True)
        command.stdout(done.stdout.replace(str(self.root).encode(), b"") if "find" in " ".join(argv) else done.stdout)
        command.stderr(done.stderr)
        command.exit(done.returncode)


@pytest.fixture
def image(api: ApiServer, tmp_path: Path) -> Callable[..., Image]:
    def made(*lacks: str) -> Image:
        api.command = Image(tmp_path / "root", *lacks)
        return api.command

    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "one").write_bytes(b"1")
    (folder / "inner" / "two").write_bytes(bytes(range(256)) * 1000)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("lacks", [(), ("tar",)], ids=["tar", "no tar"])
def test_folders_and_files_go_in_and_come_out_as_they_were(
    cluster: Cluster, image: Any, data: Path, tmp_path: Path, lacks: tuple[str, ...]
) -> None:
    root = image(*lacks).root
    container = Container(cluster, "shop", "web-0")
    assert container.put(data, "/tmp/made/copy") == 2
    assert content(root / "tmp" / "made" / "copy") == content(data)
    assert (root / "tmp" / "made" / "copy" / "empty").is_dir()
    assert container.put(data / "inner" / "two", "/tmp/") == 1
    assert (root / "tmp" / "two").read_bytes() == (data / "inner" / "two").read_bytes()
    assert container.fetch("/tmp/made/copy", tmp_path / "back") == 2
    assert content(tmp_path / "back") == content(data)
    assert container.fetch("/tmp/two", tmp_path / "renamed") == 1
    assert container.fetch("/tmp/two", tmp_path) == 1
    assert (tmp_path / "two").read_bytes() == (tmp_path / "renamed").read_bytes() == bytes(range(256)) * 1000


def test_an_image_without_tar_and_shell_is_told(cluster: Cluster, image: Any, data: Path, tmp_path: Path) -> None:
    image("tar", "sh")
    with pytest.raises(errors.ToolMissing, match="from pod 'shop/web-0': its image has neither tar nor a shell"):
        Container(cluster, "shop", "web-0").put(data, "/tmp/copy")
    with pytest.raises(errors.ToolMissing, match="neither tar nor a shell"):
        Container(cluster, "shop", "web-0").fetch("/tmp/copy", tmp_path / "x")


@pytest.mark.parametrize("lacks", [(), ("tar",)], ids=["tar", "no tar"])
def test_what_is_not_there_is_told(cluster: Cluster, image: Any, tmp_path: Path, lacks: tuple[str, ...]) -> None:
    image(*lacks)
    with pytest.raises(errors.ExecFailed, match=r"The copy with pod 'shop/web-0' failed: .*none.*No such file"):
        Container(cluster, "shop", "web-0").fetch("/tmp/none", tmp_path / "x")
    with pytest.raises(errors.InputError, match=r"source '.*none' does not exist"):
        Container(cluster, "shop", "web-0").put(tmp_path / "none", "/tmp/x")
    with pytest.raises(errors.InputError, match="'tmp/x' is not an absolute path in a container"):
        Container(cluster, "shop", "web-0").fetch("tmp/x", tmp_path / "x")


def test_a_copy_has_a_limit(api: ApiServer, cluster: Cluster, tmp_path: Path) -> None:
    api.command = lambda command: api.released.wait(5) and None
    with pytest.raises(errors.WaitTimeout, match=r"The copy with pod 'shop/web-0' did not end within 0\.3 s"):
        Container(cluster, "shop", "web-0", timeout=0.3).fetch("/tmp/x", tmp_path / "x")


def archive(*names: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, (1 if kind == tarfile.REGTYPE else 0), "/etc/passwd"
            made.addfile(entry, io.BytesIO(b"x"))
    return data.getvalue()


@pytest.mark.parametrize("name", ["../evil", "top/../../evil", "/etc/evil", "other/file"])
def test_an_archive_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.InputError, match="which leads elsewhere"):
        unpack(archive("top/good", name), "top", tmp_path / "copy")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_left_out(tmp_path: Path, kind: bytes) -> None:
    assert unpack(archive("top/link", kind=kind), "top", tmp_path / "copy") == 0
    assert not (tmp_path / "copy" / "link").exists()


# --- commands -----------------------------------------------------------------------------------------------

COMMANDS = """
*** Test Cases ***
Standard Input
    ${out}    Run In Pod    web-0    shop    tr    a-z    A-Z    stdin=hello
    Should Be Equal    ${out}    HELLO
Any Status
    ${out}    Run In Pod    web-0    shop    sh    -c    echo out; echo no >&2; exit 3    exit_status=${None}
    Should Be Equal    ${out}    out\\n
    Should Be Equal    ${{[$out.exit_status, $out.stderr]}}    ${{[3, 'no\\n']}}
Another Status
    Run In Pod    web-0    shop    sh    -c    exit 3    exit_status=4
In Every Pod
    ${outs}    Run In Every Pod    shop    app=web    echo    yes
    Should Be Equal    ${outs}    ${{{'web-0': 'yes\\n', 'web-1': 'yes\\n'}}}
In Every Pod And It Fails
    Run In Every Pod    shop    app=web    false
No Selector
    Run In Every Pod    shop    web    true
"""


def test_commands_in_pods(api: ApiServer, tmp_path: Path, image: Any) -> None:
    image()
    for name in ("web-0", "web-1"):
        pod = {
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            "spec": {"containers": [{"name": "c"}]},
        }
        api.put("/api/v1/namespaces/shop/pods", pod)
    tests = Run(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"), COMMANDS).tests
    for name in ("Standard Input", "Any Status", "In Every Pod"):
        assert tests[name].status == "PASS", tests[name].message
    assert "ended with exit status 3; expected 4" in tests["Another Status"].message
    assert tests["In Every Pod And It Fails"].message.startswith("2 of 2 commands failed.\nweb-0: 'false' in pod")
    assert (
        "labels is 'web', which is not a label selector; give, for instance, app=web." in tests["No Selector"].message
    )


def test_a_pod_is_run_and_fits_restricted_with_a_user() -> None:
    from NetLibrary._mechanics.kube import objects

    pod = objects.single_pod(
        "web.1", "shop", "web:1", [], labels={"run": "x"}, environment={"A": "1"}, node="n", user=1000
    )
    assert pod["spec"]["containers"][0]["name"] == "web-1"
    assert "command" not in pod["spec"]["containers"][0]
    assert pod["spec"]["securityContext"]["runAsUser"] == 1000
    assert "nodeName" not in pod["spec"]
    plain = objects.single_pod("web", "shop", "web:1", ["a", "b"], labels={}, environment={}, node=None, user=None)
    assert plain["spec"]["containers"][0]["command"] == ["a", "b"]
    assert "securityContext" not in plain["spec"]


def test_a_command_at_a_place_has_input_and_status() -> None:
    from datetime import timedelta
    from types import SimpleNamespace

    from NetLibrary._mechanics.vantage import Outside
    from NetLibrary.keywords.pods import run_at

    here: Any = Outside(SimpleNamespace(is_lab=False, lab=None))  # type: ignore[arg-type]
    limit = timedelta(seconds=10)
    assert run_at(here, ["tr", "a-z", "A-Z"], "text", 0, limit) == "TEXT"
    assert run_at(here, ["sh", "-c", "exit 3"], None, None, limit).exit_status == 3
    with pytest.raises(errors.ExecFailed, match="'sh -c echo no; exit 3' on outside ended with exit status 3: no"):
        run_at(here, ["sh", "-c", "echo no; exit 3"], None, 0, limit)
