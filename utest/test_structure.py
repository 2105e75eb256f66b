"""What keeps the code one house: files that can be read at one go, one loop for all waits."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "NetLibrary"
MOST_LINES = 400
# They run elsewhere, without anything of ours
ELSEWHERE = (
    "standins/",
    "_mechanics/outages/run/inpod/",
    "_mechanics/probing/scripts/",
    "_mechanics/connections/scripts/",
)

# Everything else that waits goes through `polling`: function → why it does not
LOOPS = {
    # pauses whose length is what was asked for
    "_mechanics/cyperf/pause.py:wait": "a pause between two runs, which is told every ten seconds",
    "_mechanics/matrix/lifecycle.py:udp_flows": "a timetable of changes while flows run",
    "_mechanics/matrix/lifecycle.py:affinity_timeout": "the time after which an affinity must be forgotten",
    "_mechanics/outages/run/measurement.py:Measurement.wait_quiet": "the quiet time before a disturbance",
    "_mechanics/outages/run/measurement.py:Measurement._settle": "the time to settle after a disturbance",
    "keywords/outages.py:OutageKeywords.wait_during_measurement": "a time of undisturbed measurement",
    "keywords/disruption/nodes.py:NodeDisruptionKeywords.reload_cni_configuration": "the runtime must see the file gone",
    "keywords/disruption/nodes.py:NodeDisruptionKeywords._restart_process": "how long a program is down",
    "keywords/disruption/_shared.py:DisruptionBase._break": "how long a fault lasts",
    "lab/faults/wrong_dns.py:serve": "a DNS server that is slow on purpose",
    # something is tried again as its error says
    "_mechanics/kube/connection.py:Connection._patiently": "the server says how long to wait, and two budgets apply",
    "_mechanics/kube/watch.py:Watch._run": "goes on for as long as somebody watches",
    "_mechanics/plain_api.py:PlainApi.connect": "a few tries, in stand-ins too, which carry no more of ours",
    "lab/store.py:import_archive": "three tries of one command",
    "lab/start.py:Starter._restarted": "the pause before the next try of a kubelet",
    # what is asked next, and when, depends on all answers so far
    "_mechanics/matrix/rounds.py:Rounds.run": "who is asked again, and after how long, depends on the answers",
    "_mechanics/outages/run/settling.py:Settling.wait": "looks as seldom as a look is long",
    # progress of a program
    "lab/build.py:go_build": "tells how far the compiler is",
    # they block on a stream with a time limit; nothing is asked again
    "_mechanics/kube/copying.py": "blocks on the connection",
    "_mechanics/kube/exec.py": "blocks on the connection",
    "_mechanics/kube/logs.py": "blocks on a queue",
    "_mechanics/kube/port_forward.py": "blocks on the connection",
    "_mechanics/outages/run/probers.py": "blocks on the connection, or follows a file that grows",
    "_mechanics/probing/fleet.py": "blocks on what the prober says",
    "_mechanics/probing/pipes.py": "blocks on the connection",
}  # fmt: skip


def sources() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if not str(path.relative_to(PACKAGE)).startswith(ELSEWHERE)]


def test_no_file_is_longer_than_a_reader_takes_in() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in sorted(PACKAGE.rglob("*.py"))
            if (lines := len(path.read_text().splitlines())) > MOST_LINES}  # fmt: skip
    assert long == {}, "split it by ideas"


def _functions(node: ast.AST, name: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yields functions with their names behind that of their class; those inside of others belong to the outer one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{name}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{name}{child.name}.")


def _calls(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(each, ast.Call) and ast.unparse(each.func) in (name, f"time.{name}") for each in ast.walk(node)
    )


def _waits(function: ast.AST) -> bool:
    if _calls(function, "sleep"):
        return True
    return any(isinstance(each, ast.While) and _calls(each, "monotonic") for each in ast.walk(function))


@cache
def waiting() -> frozenset[str]:
    found = set()
    for path in sources():
        place = str(path.relative_to(PACKAGE))
        if place != "_mechanics/polling.py":
            found |= {f"{place}:{name}" for name, each in _functions(ast.parse(path.read_text())) if _waits(each)}
    return frozenset(found)


def test_whoever_waits_uses_the_one_loop() -> None:
    """Each loop of its own forgot something: the last look at the end, the reason in the message, or its end."""
    own = {each for each in waiting() if each not in LOOPS and each.partition(":")[0] not in LOOPS}
    assert own == set(), "use until, settle or rounds of `_mechanics/polling.py`"


def test_exceptions_from_the_one_loop_are_still_there() -> None:
    known = waiting() | {each.partition(":")[0] for each in waiting()}
    assert set(LOOPS) - known == set()


# What the field calls otherwise: no-endpoints, endpoint and peer, testbed, unaffected, environment
PRIVATE = re.compile(r"(endless|part(?:y|ies)|bench|ground|spared|aside|liar|companions?|guests?)")
# The former name of a matrix case, which goes on working for one release
FORMER = {
    "NetLibrary/types/matrix.py", "NetLibrary/keywords/matrix/cases.py", "NetLibrary/_mechanics/matrix/judge/compare.py",
    "CHANGELOG.md",
}  # fmt: skip


def _words(text: str) -> Iterator[str]:
    """Yields words, those of `snake_case` and `CamelCase` one by one."""
    yield from re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())


def test_words_are_those_of_the_field() -> None:
    """An engineer who reads `liar` or `party` for the first time has to look up what it stands for."""
    found = set()
    texts = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.go"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"),
             *(ROOT / "suites").rglob("*"), *(ROOT / "resources").rglob("*")]  # fmt: skip
    for path in texts:
        place = str(path.relative_to(ROOT))
        if not path.is_file() or path.suffix == ".pyc":
            continue
        # What others call their own keeps its name
        text = re.sub(r"third[ -]part(y|ies)|EndlessService", "", path.read_text(), flags=re.IGNORECASE)
        used = {word for word in _words(text) if PRIVATE.fullmatch(word)}
        if place in FORMER:
            used.discard("endless")
        found |= {f"{place}: {word}" for word in used}
    assert found == set()


# A controller and its parts name each other in annotations, as its router and that one's ports do
KNOWS_ITS_PARTS = ("NetLibrary.standins.skupper.runtime.controller", "NetLibrary.standins.skupper.runtime.router",
                   "NetLibrary.standins.skupper.runtime.connectivity")  # fmt: skip


def imports(modules: grimp.ImportGraph) -> dict[str, set[str]]:
    return {each: set(modules.find_modules_directly_imported_by(each)) for each in modules.modules}


def test_no_circle_of_imports() -> None:
    """Names that only annotations need count as well: who reads one file of a circle has to read all of them."""
    when_run = imports(grimp.build_graph("NetLibrary", exclude_type_checking_imports=True, cache_dir=None))
    graph = {
        each: {other for other in found if other not in KNOWS_ITS_PARTS or other in when_run[each]}
        for each, found in imports(grimp.build_graph("NetLibrary", cache_dir=None)).items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, with the modules of the circle
