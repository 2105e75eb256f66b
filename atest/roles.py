"""Runs suites under exactly the rights that manifests/access grants, and compares these with what was asked for."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from robot.api import logger
from running import ROOT, SKUPPER, STAND_INS, lab_of_run, output_folder, run_suite

from NetLibrary._mechanics.kube import rights
from NetLibrary.lab import Lab

# What the heads of access files say before the commands for one way to run a suite, and for single rows
WAYS = {"# In an existing namespace": "one namespace", "# If the suite creates its namespaces": "own namespaces"}
ROWS = ("# Only for the row", "# For the row")
# What names the programs that suites take from a lab by themselves only when they see its own kubeconfig
PROGRAMS = {
    "e2sar": ["-v", "E2SAR_IMAGE:ghcr.io/netlibrary/e2sar-perf-standin:1"],
    "own_application": ["-v", "APPLICATION_TOOLS_IMAGE:ghcr.io/netlibrary/probe:1"],
    "network_break": ["-v", "OUTAGE_PROBE_IMAGE:ghcr.io/netlibrary/probe:1"],
}
# Rights that a run needs only when something goes wrong, when it lasts, or on other versions of Kubernetes
UNUSED = {
    ("list", "events"): "what keeps a pod from starting",
    ("get", "pods/log"): "the last lines of a pod, as evidence of a failure",
    ("get", "pods/exec"): "API servers before 1.35 ask for get, later ones for create",
    ("create", "pods/exec"): "API servers before 1.35 ask for get, later ones for create",
    ("create", "networkpolicies.networking.k8s.io"): "lets the run's pods through where others close the namespace",
    ("delete", "networkpolicies.networking.k8s.io"): "takes that away again",
}
# The sign of life of runs that last longer than its first interval, which short ones end before
UNUSED |= {
    (verb, "leases.coordination.k8s.io"): "the sign of life of runs that last longer"
    for verb in ("create", "delete", "get", "list", "patch", "watch")
}
# Who should have made pods that are awaited and not there: asked for when they are late
UNUSED |= {
    ("list", f"{resource}.{group}"): "who should have made pods that are missing" for group, resource in rights.MAKERS
}
# Policies of networks' own kinds, where they are served
UNUSED |= {
    ("list", f"{resource}.{group}"): "who has no such kinds has no such policies"
    for group, resource in rights.OTHER_POLICIES
}
# Roles for what is not part of a run here
UNUSED_ROLES = {"netlibrary-cyperf-pause": "runs against the stand-in need no pause between them"}
# A right that is there because of another one that was used: verb → the other, and why
FOLLOWS = {
    "get": ("create", "what has taken the name of an object of the run is looked at before anything is deleted"),
    "watch": ("delete", "the end of a deletion is awaited, and most have ended at the first look"),
}
# Before the account is known to be allowed anything: how the server is found, and what is asked about rights
ALWAYS_ALLOWED = {"selfsubjectaccessreviews"}


@dataclass(frozen=True, order=True)
class Use:
    """One right as an account used it.

    Args:
        verb: For instance `create`.
        resource: Plural, with subresource and group.
        where: How the suite was run.
        inside: Whether in a namespace that the run works in.
    """

    verb: str
    resource: str
    where: str
    inside: bool

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {'inside' if self.inside else 'outside'}, {self.where}"


class roles:  # noqa: N801 - Robot looks for a class of the module's name
    """Accounts that have the roles of one suite and nothing else."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def __init__(self) -> None:
        self._made: list[list[str]] = []

    @property
    def _lab(self) -> Lab:
        return lab_of_run("The audit log that this test compares with is a lab's.")

    def suite_should_run_under_its_role(self, suite: str, *options: str, may_skip: str = "$^") -> None:
        """Runs a suite as an account that has its role alone: in a namespace that exists, and with its own ones.

        Fails when a test fails or is skipped (but for those whose name matches `may_skip`), when something of the run
        stays in the namespace, when the server refused a request, and for rights that neither run used.
        """
        self._provide(suite)
        wrong: list[str] = []
        used: set[Use] = set()
        for where in ways(suite):
            team = f"team-{suite.replace('_', '-')}-{time.time_ns() % 10**6}"
            begin = self._lab.audit_log.stat().st_size
            wrong += [f"{where}: {each}" for each in self._run(suite, where, team, options, may_skip)]
            self.forget_accounts()
            asked, refused = self._asked(team, begin, where)
            used |= asked
            wrong += [f"{where}: no role grants: {each}" for each in sorted(refused)]
        output_folder(f"{suite}.used.txt").write_text("".join(f"{use}\n" for use in sorted(used)))
        # Rows that disturb the cluster have roles of their own, which are not bound here
        bound = " ".join(command for way in ways(suite) for command in documented(suite, way)).split()
        granted = [right for place in (None, "team") for right in rights.needed(suite, place) if right.role in bound]
        named = {(right.verb, _resource(right.resource, right.group), right.role) for right in granted}
        scopes = _scopes(suite)
        wrong += [f"granted and not used: {verb} {resource} by {role}" for verb, resource, role in sorted(named)
                  if role not in UNUSED_ROLES and not _was_used(used, verb, resource, scopes[role])]  # fmt: skip
        if wrong:
            raise AssertionError("\n".join(wrong))

    def rows_should_be_skipped_without_a_right(self, suite: str, right: str, rows: str, *options: str) -> None:
        """Runs a suite as an account that has its role but for one right: `VERB RESOURCE`, for instance `list pods`.

        `netlibrary check` must name it. With rows `*`, the suite must be skipped before anything is made; else the rows
        that match are skipped by name, and the others pass.
        """
        self._provide(suite)
        where, team = ways(suite)[0], f"less-{suite.replace('_', '-')}-{time.time_ns() % 10**6}"
        begin = self._lab.audit_log.stat().st_size
        arguments = self._account(suite, where, team, self._file_without(suite, right))
        told = self._check(suite, team, arguments[1].partition(":")[2])
        assert right in told, told
        tests = run_suite(suite, output_folder("less", suite), *arguments, *options)
        self.forget_accounts()
        wrong = []
        for test in tests:
            needs = any(fnmatch.fnmatchcase(test.name, pattern) for pattern in rows.split("|"))
            if not (test.skipped and right in test.message if needs else test.passed):
                wrong.append(f"{test.status}: {test.name}: {test.message}")
        if rows == "*":
            made = {str(use) for use in self._asked(team, begin, where)[0] if use.verb == "create"}
            wrong += [f"made in spite of it: {each}" for each in sorted(made)]
        if wrong:
            raise AssertionError("\n".join([*wrong, told]))

    def forget_accounts(self) -> None:
        """Removes accounts, roles and namespaces that were made here."""
        while self._made:
            self._lab.kubectl("delete", *self._made.pop(), "--wait=false", "--ignore-not-found")

    def _provide(self, suite: str) -> None:
        """Puts what the suite needs into the lab, which does it by itself only for its own kubeconfig."""
        if suite in STAND_INS:
            self._lab.install(STAND_INS[suite])
        if suite == "throughput":
            self._lab.provide("fortio")

    # --- the account --------------------------------------------------------------------------------------

    def _make(self, kind: str, name: str) -> None:
        self._lab.kubectl("create", kind, name)
        self._made.append([kind, name])

    def _grant(self, command: str, team: str, place: str, file: Path) -> None:
        words = command.replace("-n team", f"-n {place}").replace("team:tester", f"{team}:tester").split()[1:]
        for kind in ("clusterrolebinding", "rolebinding"):
            if kind in words:
                where = words[words.index("-n") + 1] if "-n" in words else ""
                self._made.append([kind, words[words.index(kind) + 1], *(["-n", where] if where else [])])
        if "-f" in words:
            words[words.index("-f") + 1] = str(file)
            self._made.append(["-f", str(file)])
        self._lab.kubectl(*words)

    def _kubeconfig(self, team: str) -> Path:
        lab = self._lab
        admin = yaml.safe_load(lab.kubeconfig.read_text())
        token = lab.kubectl("-n", team, "create", "token", "tester", "--duration=2h").strip()
        admin["users"][0]["user"] = {"token": token}
        path = output_folder(f"{team}.kubeconfig")
        path.touch(mode=0o600)
        path.write_text(json.dumps(admin))
        return path

    def _account(self, suite: str, where: str, team: str, file: Path) -> list[str]:
        """Makes an account with the roles of a file and returns the options of robot for it."""
        places = [f"{team}-{part}" for part in SKUPPER] if suite == "skupper_iperf3" else [team]
        for name in {team, *places}:
            self._make("namespace", name)
        self._lab.kubectl("-n", team, "create", "serviceaccount", "tester")
        for command in documented(suite, where):
            for place in places if "-n team" in command else [team]:
                self._grant(command, team, place, file)
        names = [f"NAMESPACE:{team}"]
        if suite == "skupper_iperf3":
            names = [f"SKUPPER_{part.upper()}_NAMESPACE:{team}-{part}" for part in SKUPPER]
        given = names if where == "one namespace" else []
        options = [word for each in (f"KUBECONFIG:{self._kubeconfig(team)}", *given) for word in ("-v", each)]
        return [*options, *PROGRAMS.get(suite, [])]

    def _file_without(self, suite: str, right: str) -> Path:
        """Writes the roles of a suite without one right to a file."""
        verb, _, resource = right.partition(" ")
        roles, taken = list(yaml.safe_load_all(_text(suite))), 0
        for role in roles:
            rules = []
            for rule in role["rules"]:
                names = {_resource(name, rule["apiGroups"][0]): name for name in rule["resources"]}
                if resource in names and verb in rule["verbs"]:
                    taken += 1
                    verbs = [each for each in rule["verbs"] if each != verb]
                    rules.append({**rule, "resources": [names[resource]], "verbs": verbs})
                    rule = {**rule, "resources": [name for name in rule["resources"] if name != names[resource]]}
                rules.append(rule)
            role["rules"] = [rule for rule in rules if rule["resources"] and rule["verbs"]]
        assert taken, f"no role of {suite} has {right}"
        path = output_folder(f"{suite}.less.yaml")
        path.write_text(yaml.safe_dump_all(roles))
        return path

    def _check(self, suite: str, namespace: str, kubeconfig: str) -> str:
        words = ["check", "--kubeconfig", kubeconfig, "--suite", suite, "--namespace", namespace]
        done = subprocess.run(
            [sys.executable, "-m", "NetLibrary.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        logger.info(done.stdout + done.stderr)
        return done.stdout

    # --- the run ------------------------------------------------------------------------------------------

    def _run(self, suite: str, where: str, team: str, options: tuple[str, ...], may_skip: str) -> list[str]:
        arguments = [*self._account(suite, where, team, rights.ACCESS / f"{suite}.yaml"), *options]
        tests = run_suite(suite, output_folder("roles", suite, where.replace(" ", "-")), *arguments)
        wrong = [f"{test.status}: {test.name}: {test.message}" for test in tests
                 if test.failed or (test.skipped and not re.search(may_skip, test.name))]  # fmt: skip
        if where == "one namespace":
            places = [f"{team}-{part}" for part in SKUPPER] if suite == "skupper_iperf3" else [team]
            wrong += [f"left in '{place}': {each}" for place in places for each in self._left(place)]
        return wrong

    def _left(self, namespace: str) -> list[str]:
        kinds = "pods,services,configmaps,jobs,deployments,daemonsets,networkpolicies,leases"
        ask = ["-n", namespace, "get", kinds, "-l", "netlibrary.io/run", "-o", "jsonpath={range .items[*]}"]
        ask[-1] += "{.kind}/{.metadata.name}{.metadata.deletionTimestamp}{'\\n'}{end}"
        ending = re.compile(r"\d{4}-\d\d-\d\dT")
        return [name for name in self._lab.kubectl(*ask).split() if not ending.search(name)]

    # --- what was asked for -------------------------------------------------------------------------------

    def _asked(self, team: str, begin: int, where: str) -> tuple[set[Use], set[str]]:
        events = list(self._events(team, begin))
        # Namespaces of the run's own are those that it made
        inside = {team, *(f"{team}-{part}" for part in SKUPPER)}
        inside |= {asked["name"] for asked, verb, _ in events
                   if verb == "create" and asked["resource"] == "namespaces"}  # fmt: skip
        used, refused = set(), set()
        for asked, verb, status in events:
            resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            if resource in ALWAYS_ALLOWED:
                continue
            space = asked.get("namespace", "")
            use = Use(verb, _resource(resource, asked.get("apiGroup", "")), where, space in inside)
            used.add(use)
            if status == 403:
                refused.add(f"{use.verb} {use.resource} in {space or 'the whole cluster'}")
        return used, refused

    def _events(self, team: str, begin: int) -> Iterator[tuple[dict[str, str], str, int]]:
        """Yields what was asked for, the verb and the status of the answer, for all requests of the account."""
        with open(self._lab.audit_log, "rb") as file:
            file.seek(begin)
            for line in file:
                event = json.loads(line)
                asked = event.get("objectRef")
                if asked and event["user"]["username"] == f"system:serviceaccount:{team}:tester":
                    yield asked, event["verb"], (event.get("responseStatus") or {}).get("code", 0)


def _resource(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def _was_used(used: set[Use], verb: str, resource: str, scope: str) -> bool:
    """Tells whether a right of a role with a scope was used, or is there for a reason that did not come about."""
    if (verb, resource) in UNUSED:
        return True
    fits = {
        # Where the suite makes its namespaces, the role is bound in the whole cluster
        "namespace": lambda use: use.inside or use.where == "own namespaces",
        "own-namespaces": lambda use: use.where == "own namespaces",
        # Namespaces that the run made are looked at by the role that makes them
        "cluster": lambda use: not use.inside and (resource != "namespaces" or use.where == "one namespace"),
    }[scope]
    verbs = {use.verb for use in used if use.resource == resource and fits(use)}
    return verb in verbs or (verb in FOLLOWS and FOLLOWS[verb][0] in verbs)


def _scopes(suite: str) -> dict[str, str]:
    found = yaml.safe_load_all(_text(suite))
    return {role["metadata"]["name"]: role["metadata"]["annotations"][rights.SCOPE] for role in found}


def ways(suite: str) -> list[str]:
    """Returns the ways to run a suite that its access file has commands for."""
    found = [way for head, way in WAYS.items() if f"\n{head}" in _text(suite)]
    assert found, f"the head of {suite}.yaml has none of {', '.join(WAYS)}: nothing would be run"
    return found


def _text(suite: str) -> str:
    return (rights.ACCESS / f"{suite}.yaml").read_text(encoding="utf-8")


def documented(suite: str, where: str) -> list[str]:
    """Returns the commands that the head of an access file gives for one way to run the suite."""
    heads = {**WAYS, **dict.fromkeys(ROWS, "")}
    chosen, head, commands = [], "", False
    for line in _text(suite).splitlines():
        if line.startswith("#     kubectl "):
            commands = True
            if all(way == where for start, way in heads.items() if head.startswith(start)):
                chosen.append(line[1:].strip())
        elif line.startswith("# "):
            head, commands = line if commands or not head else head, False
    return chosen


__all__ = ["documented", "roles"]
