"""Manifests as kubectl takes them, what the library makes of them, and the scripts inside."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from NetLibrary._mechanics.defaults import E2SAR_STAND_IN_IMAGE
from NetLibrary._mechanics.e2sar.evidence import Evidence
from NetLibrary._mechanics.e2sar.inspection import read_inspection
from NetLibrary._mechanics.e2sar.objects import Files, bandwidth
from NetLibrary._mechanics.e2sar.parameters import PodSettings, ReceiverSettings, SenderSettings
from NetLibrary._mechanics.e2sar.stream import split_time
from NetLibrary._mechanics.e2sar.sweep import combinations
from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.kube.quantities import quantity
from NetLibrary.standins.e2sar import IMAGE
from NetLibrary.types import E2SARPlacement as Placement

FOLDER = Path(__file__).resolve().parents[2] / "manifests" / "e2sar"
FILES = Files(FOLDER)


def env(job: dict) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in job["spec"]["template"]["spec"]["containers"][0]["env"]}


def node_of(spec: dict) -> tuple[str, list[str]]:
    """The name of the node that a pod may run on, or may not, whatever its label `kubernetes.io/hostname` says."""
    rule = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (field,) = rule["nodeSelectorTerms"][0]["matchFields"]
    assert field["key"] == "metadata.name"
    return field["operator"], field["values"]


# --- manifests ------------------------------------------------------------------------------------------------


def test_every_file_is_usable_by_kubectl() -> None:
    documents = [d for file in sorted(FOLDER.rglob("*.yaml")) for d in yaml.safe_load_all(file.read_text()) if d]
    assert {"Namespace", "ConfigMap", "Service", "Job", "NetworkPolicy"} == {d["kind"] for d in documents}
    for each in documents:
        assert each["metadata"].get("namespace", "e2sar-perf") == "e2sar-perf"
        for port in each["spec"].get("ports", []) if each["kind"] == "Service" else []:
            assert port["protocol"] == "UDP"
        if each["kind"] == "Job":
            pod = each["spec"]["template"]["spec"]
            assert pod["restartPolicy"] == "Never"
            assert each["spec"]["backoffLimit"] == 0
            assert [c.get("restartPolicy") for c in pod.get("initContainers", [])] in ([], ["Always"])


def test_the_stand_in_has_one_name() -> None:
    assert E2SAR_STAND_IN_IMAGE == IMAGE


def test_receiver_takes_its_parameters_from_the_environment() -> None:
    settings = ReceiverSettings(8192, 30, 20000, 2, 250, ("--timeout", "900"))
    pod = PodSettings(E2SAR_STAND_IN_IMAGE, "100m", "128Mi", "50m", "64Mi", "node7", "100M", environment={"X": "1"})
    job = FILES.receiver("space", "r1", settings, pod)
    values, spec = env(job), job["spec"]["template"]["spec"]
    wanted = {"BUF_SIZE": "8192", "DURATION": "30", "PORT": "20000", "THREADS": "2", "PERIOD": "250", "X": "1"}
    assert {key: values[key] for key in wanted} == wanted
    assert (job["metadata"]["name"], job["metadata"]["namespace"], spec["hostname"]) == ("r1", "space", "r1")
    assert node_of(spec) == ("In", ["node7"])
    assert spec["containers"][0]["args"][-2:] == ["--timeout", "900"]
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "100m", "memory": "128Mi"}
    assert spec["initContainers"][0]["readinessProbe"]["exec"]["command"][-1] == "20000"
    template = job["spec"]["template"]["metadata"]
    assert bandwidth(template["annotations"], "ingress") == 100e6
    assert template["labels"]["netlibrary.io/stand-in"] == "e2sar_perf"
    assert list(values).index("EJFAT_URI") > max(list(values).index(name) for name in ("IP", "PORT"))


@pytest.mark.parametrize(
    ("placement", "operator"), [(Placement.OTHER_NODE, "NotIn"), (Placement.SAME_NODE, "In"), (Placement.ANY, None)]
)
def test_sender_is_placed(placement: Placement, operator: str | None) -> None:
    def make(node: str = "") -> dict:
        pod = PodSettings("img:1", node=node)
        job = FILES.sender(
            "space", "s1", SenderSettings(), pod, target="10.0.0.1", placement=placement, receiver_node="n1"
        )
        spec: dict = job["spec"]["template"]["spec"]
        return spec

    assert ("affinity" in make()) == (operator is not None)
    assert not operator or node_of(make()) == (operator, ["n1"])
    named = make("n2")
    assert list(named["affinity"]) == ["nodeAffinity"]
    assert node_of(named) == ("In", ["n2"])


def test_no_limit_is_possible() -> None:
    job = FILES.receiver("space", "r1", ReceiverSettings(), PodSettings("img:1", cpu_limit="", memory_limit=""))
    assert "limits" not in job["spec"]["template"]["spec"]["containers"][0]["resources"]


def test_policies_follow_the_port() -> None:
    ports = FILES.policy("allow", "space", 20000)["spec"]["ingress"][0]["ports"]
    assert ports == [{"protocol": "UDP", "port": 20000, "endPort": 20127}]
    with pytest.raises(InputError, match="policy is 'maybe'; allowed: allow, deny-all, deny-udp"):
        FILES.policy("maybe", "space", 1)
    with pytest.raises(InputError, match="manifests is '/nowhere'; allowed: a folder"):
        Files(Path("/nowhere"))


def test_quantities() -> None:
    assert [quantity(text) for text in ("100M", "100m", "1", "2Gi")] == [100e6, 0.1, 1.0, 2.0**31]
    with pytest.raises(InputError, match="quantity is 'much'; allowed: a number"):
        quantity("much")


# --- inspection ------------------------------------------------------------------------------------------------

HELP = "E2SAR Version: 0.1.4\n" + "\n".join(
    f"  --{name} arg" for name in ("send", "recv", "uri", "length", "num", "mtu", "rate", "bufsize", "duration", "port")
)


def test_inspection() -> None:
    text = "/proc/sys/net/core/rmem_max 212992\n/sys/class/net/eth0/mtu 1450\n/usr/bin/e2sar_perf\n" + HELP
    found = read_inspection("img", text)
    assert (found.version, found.around.pod_mtu, found.around.rmem_max, found.around.wmem_max) == (
        "0.1.4",
        1450,
        212992,
        None,
    )
    assert not found.stand_in
    assert read_inspection("img", text.replace("0.1.4", "netlibrary-stand-in")).stand_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no e2sar_perf\n", "Image 'img' has no e2sar_perf on its PATH; choose another with image="),
        (HELP.replace("--rate", "--speed"), "is not supported: --help does not show --rate"),
        ("", "it printed nothing"),
    ],
)
def test_images_that_will_not_do(text: str, words: str) -> None:
    with pytest.raises(EnvironmentProblem, match=words):
        read_inspection("img", text)


# --- the scripts -----------------------------------------------------------------------------------------------

SHELLS = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (found,) = FILES.load("10-scripts.yaml", "space")
    for name, text in found["data"].items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_run_keeps_exit_status_and_output(shell: list[str], scripts: Path) -> None:
    for command, status in (("echo hello; exit 3", 3), ("kill -SEGV $$", 139), ("true", 0)):
        ran = subprocess.run([*shell, scripts / "run.sh", "sh", "-c", command], capture_output=True, text=True)
        assert ran.returncode == status
        evidence = Evidence().feed(ran.stdout.splitlines())
        assert (evidence.exit_code, evidence.grown("Udp.InDatagrams") is not None) == (status, True)
    assert subprocess.run([*shell, scripts / "run.sh", "nosuchprogram"], capture_output=True).returncode == 127


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_run_turns_sigterm_into_sigint(shell: list[str], scripts: Path) -> None:
    # no signal.pause(): a signal that comes between two statements would be handled only after the pause
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    command = [*shell, str(scripts / "run.sh"), "python3", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "up\n":
            pass
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 7
    assert "@netlibrary exit - 7" in rest


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_run_resolves_the_receiver(shell: list[str], scripts: Path) -> None:
    def run(receiver: str) -> subprocess.CompletedProcess[str]:
        around = {"PATH": "/usr/bin:/bin", "RECEIVER": receiver, "RECEIVER_PORT": "20000", "RESOLVE_SECONDS": "1"}
        show = [*shell, str(scripts / "run.sh"), "sh", "-c", "echo $EJFAT_URI"]
        return subprocess.run(show, capture_output=True, text=True, env=around)

    assert "data=10.1.2.3:20000&sync=" in run("10.1.2.3").stdout
    assert "data=[fd00::1]:20000&sync=" in run("fd00::1").stdout
    assert "data=127.0.0.1:20000&" in run("localhost").stdout
    lost = run("nobody.invalid")
    assert lost.returncode == 66
    assert "'nobody.invalid' did not resolve to an address within 1 s" in lost.stdout


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(("own", "shown"), [("10.1.2.3", "10.1.2.3"), ("fd00::1", "[fd00::1]")])
def test_receiver_puts_its_ipv6_address_into_brackets(shell: list[str], scripts: Path, own: str, shown: str) -> None:
    """A manifest cannot, and e2sar_perf refuses the address without them: nothing ran in clusters of IPv6 alone."""
    uri = "ejfat://unused@127.0.0.1:1234/lb/1?data={}:19522&sync=127.0.0.1:1234"
    around = {"PATH": "/usr/bin:/bin", "IP": own, "EJFAT_URI": uri.format(own)}
    show = [*shell, str(scripts / "run.sh"), "sh", "-c", "echo $EJFAT_URI"]
    assert uri.format(shown) in subprocess.run(show, capture_output=True, text=True, env=around).stdout


@pytest.mark.parametrize("tool", ["getent", "nslookup"])
def test_receiver_with_an_ipv6_address_alone_is_found(scripts: Path, tmp_path: Path, tool: str) -> None:
    said = {
        "getent": '[ "$1" = ahostsv6 ] && echo "fd00::7        STREAM r.space.svc"',
        "nslookup": "printf 'Server: fd00::a\\nAddress: [fd00::a]:53\\n\\nName: r.space.svc\\nAddress: fd00::7\\n'",
    }
    (tmp_path / "bin").mkdir()
    for name in ("sh", "sed", "date", "grep", "cat", "env", "sleep"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "bin" / tool).write_text(f"#!/bin/sh\n{said[tool]}\n")
    (tmp_path / "bin" / tool).chmod(0o755)
    around = {
        "PATH": str(tmp_path / "bin"),
        "RECEIVER": "r.space.svc",
        "RECEIVER_PORT": "20000",
        "RESOLVE_SECONDS": "1",
    }
    words = [str(shutil.which("sh")), str(scripts / "run.sh"), "sh", "-c", "echo $EJFAT_URI"]
    ran = subprocess.run(words, capture_output=True, text=True, env=around)
    assert "data=[fd00::7]:20000&sync=" in ran.stdout, ran.stdout + ran.stderr


def test_observer_sees_bound_ports(scripts: Path) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert subprocess.run(["sh", scripts / "bound.sh", str(port)]).returncode == 0
        observer = subprocess.Popen(["sh", scripts / "observe.sh", "0.2"], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        observer.terminate()
        text, _ = observer.communicate(timeout=30)
    assert Evidence().feed(text.splitlines()).bound(port)
    assert subprocess.run(["sh", scripts / "bound.sh", str(port)]).returncode != 0


# --- small things ------------------------------------------------------------------------------------------------


def test_time_stamps_of_logs() -> None:
    assert split_time("2026-11-21T10:00:00.123456789Z a b") == (pytest.approx(1795255200.123457), "a b")
    assert split_time("Stats:") == (None, "Stats:")
    assert split_time("") == (None, "")


def test_combinations() -> None:
    assert len(combinations([512, 1400], [0.1, 0.1], [8192])) == 2
    for axes, words in (
        (([], [1], [1]), "mtu is empty"),
        ((range(100, 400), [1.0], [1]), "has 300 runs; allowed: 200"),
    ):
        with pytest.raises(InputError, match=words):
            combinations(*axes)


def test_every_pod_satisfies_pod_security_restricted() -> None:
    pods = [
        FILES.receiver("space", "r", ReceiverSettings(), PodSettings())["spec"]["template"]["spec"],
        FILES.sender(
            "space", "s", SenderSettings(), PodSettings(), target="t", placement=Placement.ANY, receiver_node=""
        )["spec"]["template"]["spec"],
        FILES.inspector("space", "image")["spec"],
    ]
    for spec in pods:
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_manifests_have_the_parameters_of_the_original() -> None:
    wanted = {"MTU": "512", "RATE": "0.1", "LENGTH": "512", "NUM_EVENTS": "10000", "BUF_SIZE": "32768", "DURATION": "300",
              "PORT": "19522", "THREADS": "1"}  # fmt: skip
    found: dict[str, str] = {}
    for name in ("30-receiver.yaml", "40-sender.yaml"):
        (job,) = FILES.load(name, "space")
        template = job["spec"]["template"]
        container = template["spec"]["containers"][0]
        found |= {each["name"]: each["value"] for each in container["env"] if "value" in each}
        assert container["resources"]["limits"] == {"cpu": "200m", "memory": "256Mi"}
        assert bandwidth(template["metadata"]["annotations"], "egress") == 100e6
    assert {name: found[name] for name in wanted} == wanted


def test_a_service_takes_another_name() -> None:
    files = Files(FILES.folder, "e2sar-receiver-svc")
    names = [each["metadata"]["name"] for each in files.base("space") if each["kind"] == "Service"]
    assert names == ["e2sar-receiver-svc", "e2sar-receiver-node-port"]
    job = files.receiver("space", "r", ReceiverSettings(), PodSettings())
    assert job["spec"]["template"]["spec"]["subdomain"] == "e2sar-receiver-svc"
    assert files.load_balancer("space")["spec"]["type"] == "LoadBalancer"
