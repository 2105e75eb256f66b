"""Values of variables that make no sense: told when the suite begins, by the name of the variable and with what is allowed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from robot.running.testlibraries import TestLibrary as Imported

from NetLibrary import NetLibrary
from NetLibrary._mechanics.contract import CHECKS
from NetLibrary.keywords._values import ARGUMENTS, JUDGED, OTHERS, refused

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / "resources").glob("*.resource")), *sorted((ROOT / "suites").glob("*.robot"))]
LIBRARY = NetLibrary()
#: What any text may be in: name → why
LEFT = {
    "KUBECONFIG": "judged by whatever connects, which is the first step of each suite", "CONTEXT": "the same",
    "CLUSTER": "the same", "NAMESPACE": "a name, which is looked up in the cluster",
    "E2E_TEST": "a path of a program, for rows that are skipped without it",
    "POLICY_NAMESPACES": "names", "POLICY_PODS": "not for users",
    "POLICY_CELLS": "not for users", "OUTAGE_OLD_LIMITS": "not for users", "HEALTH_NAMESPACES": "names",
    "CYPERF_CONFIGURATION": "a name at the controller", "CYPERF_NAME_SERVERS": "addresses, separated by commas",
    "E2SAR_SERVICE": "a name", "E2SAR_URI": "a secret", "MATRIX_EXTERNAL_NAME": "a name",
    "OUTAGE_OUTSIDE_ADDRESS": "addresses", "OUTAGE_COMMAND": "a command", "OUTAGE_PLUGIN": "a workload",
    "OUTAGE_SERVICE_PROXY": "a workload", "OUTAGE_LOAD_BALANCER": "a workload", "OUTAGE_DNS": "a workload",
    "OUTAGE_PLUGIN_DEVICE": "a device, looked up on a node", "SKUPPER_LINK_ACCESS": "what the controller offers",
    "THROUGHPUT_SERVER_NODE": "a node, looked up in the cluster",
}  # fmt: skip
#: Images, files, and names of the product under test
LEFT_ENDINGS = (
    "_IMAGE", "_MANIFESTS", "_MANIFEST", "_KUBECONFIG", "_NAMESPACE", "_PASSWORD", "_USERNAME", "_INTERFACE", "_NODES",
    "_CONTROLLER", "_ADDRESS", "_PROXY", "_TAG", "_HOST", "_SERVICE", "_LABELS",
)  # fmt: skip


def section(path: Path) -> str:
    found = re.search(r"^\*\*\* Variables \*\*\*\n(.*?)(?=^\*\*\*|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def defaults() -> dict[str, str]:
    lines = [line for path in FILES for line in section(path).splitlines()]
    found = [re.match(r"[$@&]\{(\w+)(?:: \w+)?\} {2,}(.*)", line) for line in lines]
    return {each[1]: each[2].strip() for each in found if each}


def of_the_lab() -> list[tuple[str, str]]:
    """Names and values that the test on the lab sets."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "atest").glob("variables*.robot")))
    cells = re.findall(r"(?: {2,})([A-Z][A-Z0-9_]+):(\S(?: ?\S)*)", text)
    return [(name, value) for name, value in cells if name in JUDGED and "${" not in value]


def test_no_variable_is_forgotten() -> None:
    """A new one is judged, or named above with the reason why any text may be in it."""
    open_ = {name for name in defaults() if not name.endswith(LEFT_ENDINGS)} - set(LEFT) - set(CHECKS) - JUDGED
    assert not open_
    assert set(defaults()) >= JUDGED


@pytest.mark.parametrize("name", sorted(JUDGED))
def test_default_can_be_written_on_the_command_line(name: str) -> None:
    value = re.sub(r"^\$\{(?:\{.*\}|EMPTY|NONE)\}$|^\$\{(\w+)\}$", lambda found: found[1] or "", defaults()[name])
    assert refused(name, value, LIBRARY, from_command_line=True) == ""


def test_what_the_test_on_the_lab_sets_is_allowed() -> None:
    assert len({name for name, _ in of_the_lab()}) > 30
    told = [refused(name, value, LIBRARY, from_command_line=False) for name, value in of_the_lab()]
    assert [text for text in told if text] == []


@pytest.mark.parametrize("name", sorted(JUDGED - {"BASELINE"}))
def test_nonsense_is_refused_with_the_name_of_the_variable(name: str) -> None:
    anything = {"PRIORITY_CLASS", "PULL_SECRET", "POD_READ_ONLY_ROOT"}
    nonsense = {"REGISTRY": "https://r.example", "TOLERATIONS": "a:Never"}.get(name, "?wrong?")
    text = refused(name, nonsense, LIBRARY, from_command_line=True)
    if name in anything:
        assert text == ""
        return
    assert re.match(rf"The variable {name} (?:is|has) '.*'[;.] (?:allowed|Give)", text), text
    assert "converted" not in text


@pytest.mark.parametrize(("name", "value", "told"), [
    ("POD_REQUESTS", "cpu=50x", "The variable POD_REQUESTS has 'cpu=50x'; allowed: a number with an optional suffix"),
    ("POD_LIMITS", "memory=1Gi,cpu=5oom", "The variable POD_LIMITS has 'cpu=5oom'; allowed: a number with an optional"),
    ("POD_REQUESTS", "cpus=50m", "has 'cpus=50m'; allowed resources: cpu, memory, ephemeral-storage."),
    ("POD_LIMITS", "cpu=-1", "The variable POD_LIMITS has 'cpu=-1'; allowed: 0 and more."),
    ("READY_TIMEOUT", "3 minuts", "READY_TIMEOUT is '3 minuts'; allowed: a time such as '500 ms', '5 s', '2 min'"),
    ("READY_TIMEOUT", "-3 s", "READY_TIMEOUT is '-3 s'; allowed: 0 s and more."),
    ("THROUGHPUT_P99_AT_MOST", "5 mss", "THROUGHPUT_P99_AT_MOST is '5 mss'; allowed: a time such as"),
    ("THROUGHPUT_FAMILY", "5", "The variable THROUGHPUT_FAMILY is '5'; allowed: 4 and 6."),
    ("THROUGHPUT_FAMILY", "six", "The variable THROUGHPUT_FAMILY is 'six'; allowed: 4 and 6."),
    ("THROUGHPUT_REPEATS", "0", "The variable THROUGHPUT_REPEATS is '0'; allowed: 1 and more."),
    ("TOLERANCE", "10 parsec", "The variable TOLERANCE is '10 parsec'. Give a number of percent, for instance 5 %"),
    ("BASELINE", "/nonexistent/old.jsonl", "BASELINE is '/nonexistent/old.jsonl', which does not exist; give the file of"),
    ("BASELINE", "/", "The variable BASELINE is '/', which is not a file; give the file of an earlier run."),
    ("E2SAR_RATE", "100Q", "The variable E2SAR_RATE is '100Q'. Give bits per second: 0 or more, with an optional k"),
    ("E2SAR_PORT", "70000", "The variable E2SAR_PORT is '70000'; allowed: 0 to 65535."),
    ("E2SAR_THREADS", "many", "The variable E2SAR_THREADS is 'many'; allowed: a whole number."),
    ("TOLERATIONS", "dedicated=test:NoSchedul", "TOLERATIONS has 'dedicated=test:NoSchedul'; allowed effects are NoSch"),
    ("MATRIX_PROBER", "perl", "The variable MATRIX_PROBER is 'perl'; allowed: auto, python, bash, sh, agnhost."),
    ("OUTAGE_SERVICE_TYPE", "Ingress", "is 'Ingress'; allowed: ClusterIP, NodePort, LoadBalancer."),
    ("OUTAGE_TARGETS", "tcp://db.shop:1 db", "The variable OUTAGE_TARGETS has 'db'. Give a URL, for instance"),
    ("OUTAGE_LIMITS", "longest_outage_at_most=3 parsec", "OUTAGE_LIMITS has 'longest_outage_at_most=3 parsec'; allowed: a time"),
    ("OUTAGE_LIMITS", "longest_outage_at_most=3", "OUTAGE_LIMITS has 'longest_outage_at_most=3'. Give a unit: '3 ms' or"),
    ("OUTAGE_LIMITS", "longest=3 s", "The variable OUTAGE_LIMITS has 'longest'; allowed: longest_outage_at_most, "),
    ("CLIENT_LABELS", "role=client,tier", "The variable CLIENT_LABELS has 'tier'; allowed: pairs such as pool=workers"),
    ("MATRIX_NODE_LABELS", "=x", "The variable MATRIX_NODE_LABELS has '=x'; allowed: pairs such as pool=workers"),
    ("POLICY_PORTS", "80,70000", "The variable POLICY_PORTS has '70000'; allowed: a number from 1 to 65535 or a port's"),
    ("POLICY_PORTS", "8080/icmp", "The variable POLICY_PORTS has '8080/icmp'; allowed: a number from 1 to 65535 or a"),
    ("MATRIX_EXTERNAL_IP", "192.0.2.777", "The variable MATRIX_EXTERNAL_IP is '192.0.2.777'; allowed: an IPv4 or IPv6"),
    ("OUTAGE_LIMITS", "3 s", "The variable OUTAGE_LIMITS has '3 s'; allowed: pairs such as longest_outage_at_most=3 s."),
])  # fmt: skip
def test_wrong_value_is_told_with_what_is_allowed(name: str, value: str, told: str) -> None:
    assert told in refused(name, value, LIBRARY, from_command_line=True)


@pytest.mark.parametrize(("name", "value"), [
    ("READY_TIMEOUT", "00:03:00"), ("READY_TIMEOUT", 180), ("READY_TIMEOUT", "1m30s"), ("OUTAGE_IPERF_BITRATE", "None"),
    ("TOLERANCE", ""), ("TOLERANCE", 5), ("THROUGHPUT_FAMILY", None), ("THROUGHPUT_FAMILY", 6), ("OUTAGE_HOST_PORT", 17000),
    ("POD_REQUESTS", "nvidia.com/gpu=1,hugepages-2Mi=4Mi,ephemeral-storage=1Gi"), ("POD_LIMITS", {"cpu": 1}),
    ("OUTAGE_IPERF_PROTOCOLS", ["TCP"]), ("OUTAGE_IPERF_PROTOCOLS", "tcp, UDP"), ("ANOTHER", "anything"),
    ("CLIENT_LABELS", {"role": "client"}), ("CLIENT_LABELS", "role=client, tier="), ("MATRIX_EXTERNAL_IP", "2001:db8::7"),
    ("POLICY_PORTS", "http, 53/udp,9-p/SCTP"), ("MATRIX_NODE_LABELS", "pool=workers,arch==arm64"),
    ("OUTAGE_LIMITS", "resets_at_most=2;unaffected=['dns', 'service']"),
])  # fmt: skip
def test_what_keywords_accept_is_accepted(name: str, value: object) -> None:
    assert refused(name, value, LIBRARY, from_command_line=True) == ""


def test_a_baseline_that_a_suite_writes_itself_need_not_be_there_when_it_begins() -> None:
    assert refused("BASELINE", "/nonexistent/own.jsonl", LIBRARY, from_command_line=False) == ""


def test_types_are_those_of_all_arguments_that_get_the_variable() -> None:
    """A row of the table that names another keyword's argument would refuse what the suite accepts."""
    keywords = {re.sub("[ _]", "", each.name).lower(): each for each in Imported.from_name("NetLibrary").keywords}
    seen = set()
    for path in FILES:
        for line in re.sub(r"\n +\.\.\. +", "    ", path.read_text()).splitlines():
            cells = re.split(r" {2,}", line.strip())
            keyword = next((k for cell in cells if (k := keywords.get(re.sub("[ _]", "", cell).lower()))), None)
            for argument, name in re.findall(r"(\w+)=\$\{(?:\{ \$)?([A-Z0-9_]+)(?: or None \})?\}", "  ".join(cells)):
                kind = (keyword.args.types or {}).get(argument) if keyword else None
                if name in ARGUMENTS and kind is not None:
                    method, own = ARGUMENTS[name]
                    assert str(kind) == str(getattr(LIBRARY, method).__annotations__[own]), (path.name, name)
                    seen.add(name)
    assert len(seen) > 20
    assert not set(ARGUMENTS) & set(OTHERS)


OURS = """*** Settings ***
Resource    NetLibrary/resources/throughput.resource
Suite Setup    Log    The suite's own setup ran    console=True
Suite Teardown    Log    The suite's own teardown ran    console=True
*** Test Cases ***
T
    Log    The test ran    console=True
"""


def robot(folder: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "judged.robot").write_text(suite)
    words = [sys.executable, "-m", "robot", "--output", "NONE", "--log", "NONE", "--report", "NONE", *options, "."]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=dict(os.environ), timeout=60)


def test_wrong_values_fail_a_suite_before_anything_is_created(tmp_path: Path) -> None:
    """They came after up to 45 s, when servers ran, by the name of an argument; a wrong request for CPU never."""
    done = robot(
        tmp_path, OURS, "-v", "POD_REQUESTS:cpu=50x", "-v", "THROUGHPUT_P99_AT_MOST:5 ${mss}", "-v", "BASELINE:/no"
    )
    assert done.returncode == 1
    assert "Parent suite setup failed:\nThe variable BASELINE is '/no', which does not exist; give the" in done.stdout
    assert "The variable POD_REQUESTS has 'cpu=50x'; allowed: a number" in done.stdout
    assert "The variable THROUGHPUT_P99_AT_MOST is '5 ${mss}'; allowed: a time such as" in done.stdout
    assert " ran" not in done.stdout


def test_password_in_a_wrong_value_is_in_no_output(tmp_path: Path) -> None:
    """The argument of the step that fails had it, where messages alone are searched."""
    (tmp_path / "judged.robot").write_text(OURS)
    words = [sys.executable, "-m", "robot", "-v", "REGISTRY:https://me:pa55word-of-mine@r.example", "."]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "The variable REGISTRY is 'https://" in done.stdout
    assert "pa55word" not in done.stdout + (tmp_path / "output.xml").read_text() + (tmp_path / "log.html").read_text()


def test_a_dry_run_judges_nothing(tmp_path: Path) -> None:
    assert robot(tmp_path, OURS, "--dryrun", "-v", "POD_REQUESTS:cpu=50x").returncode == 0


def test_variables_of_a_suite_that_does_not_use_our_resources_mean_what_it_likes(tmp_path: Path) -> None:
    suite = OURS.replace("Resource    NetLibrary/resources/throughput.resource", "Library    NetLibrary")
    suite += "*** Variables ***\n${TOLERANCE}    low\n${THROUGHPUT_FAMILY}    Smith\n"
    done = robot(tmp_path, suite, "-v", "READY_TIMEOUT:soon", "-v", "TOLERANCE:high")
    assert done.returncode == 0, done.stdout
