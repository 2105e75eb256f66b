"""The suite contract: switches that cannot be mistyped, names that have changed, and names that nobody knows."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from NetLibrary._mechanics import contract
from NetLibrary._mechanics.contract import CHECKS, Data, given, nearest, switch

ROOT = Path(__file__).parents[1]
RESOURCES = sorted((ROOT / "resources").glob("*.resource"))
SUITES = sorted((ROOT / "suites").glob("*.robot"))


@pytest.mark.parametrize(("value", "right"), [
    (True, True), ("True", True), ("true", True), ("yes", True), ("1", True), (1, True), ("ON", True),
    (False, False), ("False", False), ("no", False), ("0", False), ("", False), (None, False),
])  # fmt: skip
def test_switches_are_understood_however_they_are_written(value: object, right: bool) -> None:
    assert switch(value) is right


def test_a_mistyped_switch_is_no_yes() -> None:
    with pytest.raises(ValueError, match="allowed: yes and no"):
        switch("ture")


@pytest.mark.parametrize(("line", "names"), [
    ("-v A:1 --variable B:2 suites", ["A", "B"]),
    ("-vA:1 --variable=B:2 -d results -v", ["A", "B"]),
    ("-v N:int:8 --variablefile x.py --version", ["N"]),
    ("--dryrun -t -v", []),
])  # fmt: skip
def test_names_of_a_command_line(line: str, names: list[str]) -> None:
    assert given(line.split()) == names


def test_files_of_a_suite_and_its_resources_are_read(tmp_path: Path) -> None:
    suite, steps = tmp_path / "s.robot", tmp_path / "r.resource"
    suite.write_text(
        "*** Settings ***\nResource    r.resource\n*** Test Cases ***\nT\n    Log    ${OWN RATE} %{HOME=x} @{L}\n"
    )
    steps.write_text(
        "*** Variables ***\n${KEEP: bool}    no\n&{D}    a=1\n*** Keywords ***\nK\n    IF    $other    Log    x\n"
    )
    data = Data([suite], lambda name, folder: folder / name)
    assert data.declared == {"KEEP", "D"}
    assert all(data.knows(name) for name in ("own_rate", "OWN RATE", "HOME", "L", "keep", "OTHER"))
    assert not data.knows("KEPT")
    assert nearest("KEPP", data.declared) == "KEEP"
    assert nearest("SOMETHING", data.declared) is None


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda path: path.stem)
def test_no_variable_that_steps_set_is_a_misspelling_of_one_for_users(resource: Path) -> None:
    """`-v HEALTH_NAMESPACE:shop` was taken without a warning, and kube-system was looked at instead of shop."""
    declared = Data([resource], lambda name, folder: ROOT / "resources" / Path(name).name).declared
    made = set(re.findall(r"(?m)^ +VAR +[$@&]\{([^}:]+)", resource.read_text())) - declared
    near = {name: difflib.get_close_matches(name, declared, 1, 0.9) for name in made}
    assert not {name: found for name, found in near.items() if found}


def robot(folder: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "contract.robot").write_text(suite)
    words = [sys.executable, "-m", "robot", "--output", "NONE", "--log", "NONE", "--report", "NONE", *options, "."]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=dict(os.environ), timeout=60)


SUITE = """*** Settings ***
Library    NetLibrary
Suite Setup    Log    The suite's own setup ran    console=True
*** Variables ***
${SKIP_TEARDOWN}    ${False}
${BANDWIDTH}    10M
*** Test Cases ***
T
    Log    ${SKIP_TEARDOWN} ${BANDWIDTH}    console=True
    Should Be True    isinstance($SKIP_TEARDOWN, bool)
"""


@pytest.mark.parametrize(("given", "seen"), [("yes", "True"), ("False", "False"), ("0", "False"), ("", "False")])
def test_a_switch_of_the_command_line_is_a_boolean_in_the_suite(tmp_path: Path, given: str, seen: str) -> None:
    done = robot(tmp_path, SUITE, "-v", f"SKIP_TEARDOWN:{given}")
    assert done.returncode == 0, done.stdout
    assert f"{seen} 10M" in done.stdout


def test_a_mistyped_switch_fails_the_suite_before_anything_runs(tmp_path: Path) -> None:
    done = robot(tmp_path, SUITE, "-v", "SKIP_TEARDOWN:ture")
    assert done.returncode == 1
    assert "The variable SKIP_TEARDOWN is 'ture'; allowed: yes and no" in done.stdout
    assert "own setup ran" not in done.stdout


def test_a_name_that_nobody_knows_is_warned_of_with_the_nearest_one(tmp_path: Path) -> None:
    done = robot(tmp_path, SUITE, "-v", "BANDWITH:1M")
    assert done.returncode == 0
    assert (
        "The variable BANDWITH from the command line is not used anywhere in this run. Did you mean BANDWIDTH?"
        in done.stderr
    )


@pytest.mark.parametrize("step", ["Skip    Too few nodes", "Fail    Too few nodes"])
def test_a_misspelt_name_is_told_again_where_a_test_fails_or_is_skipped(tmp_path: Path, step: str) -> None:
    """With `-v NAMESPACES:team` rows were skipped for rights elsewhere; the warning stood far above, or in no report."""
    done = robot(tmp_path, SUITE + f"S\n    {step}\n", "-v", "BANDWITH:1M", "-v", "UNLIKE_ANY:1")
    message = done.stdout.partition("Too few nodes")[2]
    assert (
        "The variable BANDWITH from the command line is not used anywhere in this run. Did you mean BANDWIDTH?"
        in message
    )
    assert "UNLIKE_ANY" not in message
    assert "BANDWITH" not in done.stdout.partition("Too few nodes")[0].partition("T ")[2]


@pytest.mark.parametrize(
    "known", ["BANDWIDTH:1M", "bandwidth:1M", "KUBECONFIG:x", "CLUSTER:lab", "ALLOW_DISRUPTION:yes"]
)
def test_names_that_are_used_are_not_warned_of(tmp_path: Path, known: str) -> None:
    assert not robot(tmp_path, SUITE, "-v", known).stderr


def test_a_variable_of_another_suite_of_the_run_is_not_warned_of(tmp_path: Path) -> None:
    other = "*** Settings ***\nLibrary    NetLibrary\n*** Test Cases ***\nT\n    Log    ${ONLY HERE}\n"
    (tmp_path / "other.robot").write_text(other)
    assert not robot(tmp_path, SUITE, "-v", "ONLY_HERE:1").stderr


def test_a_variable_of_one_of_several_files_is_not_warned_of(tmp_path: Path) -> None:
    """`robot -v BASELINE:x a.robot b.robot` said that BASELINE is used nowhere."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.robot").write_text(SUITE)
    words = ["-v", "BANDWIDTH:1M", "--output", "NONE", "--log", "NONE", "--report", "NONE", "a.robot", "b.robot"]
    done = subprocess.run([sys.executable, "-m", "robot", *words], cwd=tmp_path, capture_output=True, text=True)
    assert "used nowhere" not in done.stderr + done.stdout


def test_a_former_name_goes_on_working_and_warns(tmp_path: Path) -> None:
    code = (
        "import sys; from NetLibrary._mechanics import contract; contract.FORMER['RATE'] = ('BANDWIDTH', 'OTHER');"
        "import robot; sys.argv = ['robot', '-v', 'RATE:5M', '--output', 'NONE', '--log', 'NONE', '--report', 'NONE', '.'];"
        "robot.run_cli(sys.argv[1:])"
    )
    (tmp_path / "contract.robot").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ)
    )
    assert "False 5M" in done.stdout
    assert done.stderr.count("RATE is now called BANDWIDTH; the old name still works for one more release") == 1
    assert "used nowhere" not in done.stderr


# --- All suites and resources -----------------------------------------------------------------------------------------


def variables(path: Path) -> dict[str, str]:
    """Variables of a file's Variables section with their values, as written."""
    found = re.search(r"^\*\*\* Variables \*\*\*\n(.*?)(?=^\*\*\*|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^[$@&]\{([^}:]+)(?:: [^}]+)?\}(?: {2,}|\n)(.*)", found[1] if found else "", re.MULTILINE)
    return {name: value.strip() for name, value in lines}


CONTRACT = {
    "KUBECONFIG", "CONTEXT", "CLUSTER", "NAMESPACE", "SKIP_TEARDOWN", "READY_TIMEOUT", "REGISTRY", "PULL_SECRET",
    "IMAGE_PULL_POLICY", "TOLERATIONS", "NODE_SELECTOR", "PRIORITY_CLASS", "POD_LABELS", "POD_ANNOTATIONS",
    "POD_REQUESTS", "POD_LIMITS", "POD_USER", "POD_READ_ONLY_ROOT", "E2E_TEST", "BASELINE", "TOLERANCE",
}  # fmt: skip
HEADINGS = ("Topology", "Traffic", "Passes when", "Skipped when", "Variables")


def test_common_resource_is_the_contract() -> None:
    assert set(variables(ROOT / "resources" / "common.resource")) == CONTRACT


@pytest.mark.parametrize("path", [path for path in RESOURCES if path.stem != "common"], ids=lambda path: path.stem)
def test_contract_is_imported_and_not_repeated(path: Path) -> None:
    assert "NetLibrary/resources/common.resource" in path.read_text()
    assert not set(variables(path)) & CONTRACT


def test_no_variable_has_two_meanings() -> None:
    found: dict[str, list[str]] = {}
    for path in (*RESOURCES, *SUITES):
        for name in variables(path):
            found.setdefault(name, []).append(path.name)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_suite_is_documented_under_the_same_headings(path: Path) -> None:
    text = path.read_text().split("*** Test Cases ***")[0]
    assert [heading for heading in HEADINGS if f"*{heading}*:" not in text] == []


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_suite_keeps_what_it_made_when_asked_to(path: Path) -> None:
    """The library keeps it, whoever asks for the removal; a suite that removes in another way would not."""
    text = path.read_text()
    assert re.search(r"^Suite Teardown ", text, re.MULTILINE)
    assert "kubectl delete" not in text


def test_former_names_are_no_present_ones() -> None:
    present = {name for path in (*RESOURCES, *SUITES) for name in variables(path)}
    lost = {n for successors in contract.FORMER.values() for n in successors} - present - set(contract.LIBRARY)
    assert not lost, "a former name leads to a variable that is nowhere"


def test_each_switch_of_a_suite_may_be_written_like_any_other() -> None:
    """`-v OUTAGE_IPV6:no` ended in a NameError: only SKIP_TEARDOWN was read as a switch."""
    line = r"^\$\{(\w+)\} +(?:\$\{)?(?:True|False)\}?$"
    switches = {name for path in (*RESOURCES, *SUITES) for name in re.findall(line, path.read_text(), re.MULTILINE)}
    assert switches == set(CHECKS)


LIMITS = """*** Settings ***
Resource    NetLibrary/resources/network_break.resource
*** Test Cases ***
T
    &{limits}    Limits Of The Command Line
    Log    ${limits}    console=True
"""


@pytest.mark.parametrize(("given", "told"), [
    ("longest_outage_at_most=3 s, resets_at_most=2", "{'longest_outage_at_most': '3 s', 'resets_at_most': '2'}"),
    ("resets_at_most=2;unaffected=['dns', 'service']", "{'resets_at_most': '2', 'unaffected': \"['dns', 'service']\"}"),
    ("", "{}"),
])  # fmt: skip
def test_several_limits_of_the_command_line_are_taken_apart(tmp_path: Path, given: str, told: str) -> None:
    """The documented `longest_outage_at_most=3 s, resets_at_most=2` was taken for a time of that text."""
    done = robot(tmp_path, LIMITS, "-v", f"OUTAGE_LIMITS:{given}")
    assert done.returncode == 0, done.stdout
    assert told in done.stdout


def test_a_uri_of_the_command_line_is_taken(tmp_path: Path) -> None:
    """Only the environment could name it: `-v E2SAR_URI:…` ended with "must have type 'Secret', got string"."""
    suite = "*** Settings ***\nResource    NetLibrary/resources/e2sar.resource\n*** Test Cases ***\nT\n    {}\n"
    words = ["-v", "E2SAR_DIRECT_MODE:no", "-v", "E2SAR_URI:ejfat://127.0.0.1:1025/lb/1?data=127.0.0.2"]
    done = robot(tmp_path, suite.format("E2SAR Namespace Is Ready"), *words)
    assert "1 test, 0 passed, 0 failed, 1 skipped" in done.stdout
    assert "Missing: An EJFAT load balancer" in done.stdout


def steps(path: Path) -> dict[str, list[str]]:
    """Keywords of a resource with the lines of their bodies, and the suite's settings under an empty name."""
    text = path.read_text().replace("\n    ...", "    ")
    section = re.split(r"^\*\*\* Keywords \*\*\*\n", text, flags=re.MULTILINE)
    blocks = re.findall(r"^(\S.*)\n((?:[ \t].*\n|\n)*)", section[1] if len(section) > 1 else "", re.MULTILINE)
    return {name: [line.strip() for line in body.splitlines() if line.strip()] for name, body in blocks}


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_what_a_row_tells_on_the_console_is_on_a_line_of_its_own(suite: Path) -> None:
    """Robot leaves the cursor behind the name of a test, and the line was glued to it; in a suite's setup it is not."""
    keywords = {name: body for path in RESOURCES for name, body in steps(path).items()}
    setup = re.search(r"^Suite Setup {2,}(.*)$", suite.read_text(), re.MULTILINE)
    reached, waiting = set[str](), [setup[1].strip()] if setup else []
    while waiting:
        name = waiting.pop()
        if name in keywords and name not in reached:
            reached.add(name)
            waiting += [word for line in keywords[name] for word in re.split(r" {2,}", line)]
    own = [path for path in RESOURCES if path.name in suite.read_text()]
    glued = [
        line
        for path in own
        for name, body in steps(path).items()
        for line in body
        if name not in reached and "console=True" in line and not re.match(r"Log {4}\\n", line)
    ]
    assert glued == []
