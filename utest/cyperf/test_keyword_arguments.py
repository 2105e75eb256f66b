"""Arguments that suites give as text: lists of addresses and of nodes, limits with units."""

from __future__ import annotations

from datetime import timedelta

import pytest

from NetLibrary.keywords.cyperf.agents import _names
from NetLibrary.keywords.cyperf.sessions import _listed
from NetLibrary.keywords.cyperf.verdicts import _limits
from NetLibrary.types import Bitrate, Count, Percentage, TimeLimit


@pytest.mark.parametrize("given", ["10.0.0.1, 10.0.0.2", "10.0.0.1 10.0.0.2", "['10.0.0.1', '10.0.0.2']",
                                   ["10.0.0.1", "10.0.0.2"]])  # fmt: skip
def test_name_servers_of_a_variable(given: list[str] | str) -> None:
    assert _listed(given) == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize("given", [None, "", []])
def test_no_name_servers(given: list[str] | str | None) -> None:
    assert _listed(given) == []


@pytest.mark.parametrize("given", ["node1, node2", "['node1', 'node2']", ["node1", "node2"]])
def test_nodes_of_a_variable(given: list[str] | str) -> None:
    assert _names(given) == ["node1", "node2"]


@pytest.mark.parametrize("given", [None, "", []])
def test_no_nodes(given: list[str] | str | None) -> None:
    assert _names(given) is None


def test_limits_come_in_the_units_of_the_judgement() -> None:
    given = {
        "throughput_at_least": Bitrate.parse("3M"), "first_byte_at_most": TimeLimit.parse("500 ms"),
        "http_success_at_least": Percentage.parse("99 %"), "failed_connections_at_most": Count.parse("2k"),
        "last_byte_at_most": None, "timeout": timedelta(seconds=1),
    }  # fmt: skip
    assert _limits(given) == {
        "throughput": 3e6, "first_byte": 500_000.0, "http_success": 99.0, "failed_connections": 2000.0,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["5 ms", "many", "-1", "", "1 2"])
def test_count_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="Give a number"):
        Count.parse(text)
