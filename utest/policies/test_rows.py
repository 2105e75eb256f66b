"""The rows of suites/network_policies.robot say how many connections their policies deny: so do the policies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from NetLibrary._mechanics.policies import objects, subjects

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"Policies Should Hold    (\w+)    (\d+)", (ROOT / "suites" / "network_policies.robot").read_text())


def nine() -> list[dict[str, Any]]:
    made = [objects.pod(name, space) for space in "xyz" for name in "abc"]
    for number, pod in enumerate(made, 1):
        pod["metadata"]["uid"] = f"{number}"
        pod["status"] = {"podIP": f"10.0.0.{number}", "podIPs": [{"ip": f"10.0.0.{number}"}]}
    return made


def denied(policies: list[Any], pods: list[Any] | None = None, **labels: dict[str, str]) -> tuple[int, int]:
    """How many of how many connections the policies deny in the namespace x."""
    spaces = {space: {"ns": space, **labels.get(space, {})} for space in "xyz"}
    for policy in policies:
        policy["metadata"]["namespace"] = "x"
    about = subjects.Subjects(pods or nine(), spaces, policies)
    senders = [(subjects.source_of(pod, "prober"), pod) for pod in about.pods]
    cells = subjects.cells(about, senders, (), 4)
    return sum(not cell.decision.allowed for cell in cells), len(cells)


def policies_of(file: str) -> list[Any]:
    return list(yaml.safe_load_all((ROOT / "manifests" / "network_policies" / f"{file}.yaml").read_text()))


@pytest.mark.parametrize(("file", "number"), ROWS)
def test_a_row_denies_as_many_as_it_says(file: str, number: str) -> None:
    assert denied(policies_of(file)) == (int(number), 324)


def test_every_file_has_a_row() -> None:
    files = {path.stem for path in (ROOT / "manifests" / "network_policies").glob("*.yaml")}
    assert files == {file for file, _ in ROWS} | {"ip_block"}


def test_rows_that_change_labels_and_addresses() -> None:
    assert denied(policies_of("from_labelled_namespace"), z={"may-enter": "yes"})[0] == 20
    pods = nine()
    pods[2]["metadata"]["labels"]["pod"] = "b"
    assert denied(policies_of("from_pod"), pods)[0] == 24
    block = policies_of("ip_block")
    block[0]["spec"]["ingress"][0]["from"] = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.5/32"]}}]
    assert denied(block)[0] == 4
