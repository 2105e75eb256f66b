"""The tables "command of the original | here": each command that stands there for another one can be run as it stands."""

from __future__ import annotations

import re
import shlex

import pytest
from robot import running

from NetLibrary.cli import main
from utest.test_original_tables import PAGES, ROOT, variables

HEAD = "| command of the original | here |"


def commands(page: str) -> list[str]:
    """What stands in the right column as code and is a command."""
    table = PAGES[page].read_text().split(HEAD)[1].split("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", line)[2] for line in table.splitlines()[2:] if line.startswith("|")]
    code = [each for cell in cells for each in re.findall(r"`([^`]+)`", cell)]
    return [each for each in code if re.match(r"(\w+=\S+ )?(robot|kubectl|netlibrary) ", each)]


COMMANDS = [(page, each) for page in sorted(PAGES) for each in commands(page)]
SUITES = [(page, each) for page, each in COMMANDS if re.match(r"(\w+=\S+ )?robot ", each)]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_page_has_a_counterpart_for_commands(page: str) -> None:
    assert len([each for of, each in COMMANDS if of == page]) >= 4


@pytest.mark.parametrize(("page", "command"), SUITES, ids=[each for _, each in SUITES])
def test_rows_and_variables_of_a_command_exist(page: str, command: str) -> None:
    words = shlex.split(re.sub(r"^\w+=\S+ ", "", command))[1:]
    chosen: dict[str, list[str]] = {"-t": [], "-i": [], "-e": [], "-v": []}
    files = []
    while words:
        word = words.pop(0)
        word = {"--exclude": "-e", "--include": "-i", "--test": "-t"}.get(word, word)
        if word in chosen:
            chosen[word].append(words.pop(0))
        elif word in ("-d", "-L", "--xunit"):
            words.pop(0)
        else:
            files.append(word)
    (path,) = files
    suite = running.TestSuite.from_file_system(str(ROOT / path))
    tests, included, excluded = (chosen[option] or None for option in ("-t", "-i", "-e"))
    suite.filter(included_tests=tests, included_tags=included, excluded_tags=excluded)
    assert suite.test_count > 0, "no row is chosen"
    for pattern in chosen["-t"]:
        alone = running.TestSuite.from_file_system(str(ROOT / path))
        alone.filter(included_tests=[pattern])
        assert alone.test_count > 0, f"'{pattern}' chooses no row"
    assert {each.partition(":")[0] for each in chosen["-v"]} <= variables(page)


@pytest.mark.parametrize("command", [each for _, each in COMMANDS if each.startswith("netlibrary ")])
def test_a_subcommand_of_ours_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*shlex.split(command)[1:2], "--help"])
    assert end.value.code == 0, capsys.readouterr().err
