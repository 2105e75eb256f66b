"""The command line and the façade: bad input is named, nothing is started by it."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary._mechanics.plain_api import PATHS
from NetLibrary.lab import (
    Lab,
    Options,
    blocks,
    cluster,
    components,
    doctor,
    network,
    node_files,
    start,
    state,
    stop,
    sysctls,
    tools,
)
from NetLibrary.lab.cli import main
from NetLibrary.lab.plan import AddressPlan
from NetLibrary.lab.processes import Component


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Keeps all state of labs in a folder of the test."""
    monkeypatch.setenv("NETLIBRARY_LAB_ROOT", str(tmp_path / "labs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def written(name="x", **more):
    known = state.State(name, 0, 2, **{"phase": "running", **more})
    known.save()
    return known


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--nodes", "0"], "number of nodes is 0; allowed: 1 to 16"),
        (["up", "--nodes", "99"], "allowed: 1 to 16"),
        (["up", "--mtu", "9"], "--mtu is 9; allowed: 1280 to 65521"),
        (["up", "--name", "Bad Name"], "The lab's name is 'Bad Name'"),
        (
            ["kubeconfig", "--name", "nobody"],
            "'nobody' is not running. Start it: python -m NetLibrary.lab up --name nobody",
        ),
        (["load", "/no/such.tar"], "'/no/such.tar' does not exist"),
        (["install", "nonsense"], "no stand-ins for 'nonsense'; allowed: "),
        (["shell", "node9"], "is not running"),
    ],
)
def test_bad_input_is_named(arguments, said, capsys, as_root):
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["up"], ["down"]])
def test_without_root_the_reason_is_said(arguments, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(arguments) == 1
    assert "needs root. Run it as root or with sudo." in capsys.readouterr().err


def test_unknown_command_shows_the_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["explode"])
    assert ended.value.code == 2
    assert "invalid choice: 'explode'" in capsys.readouterr().err


def test_status_of_no_lab(capsys):
    assert main(["status", "--name", "nobody"]) == 3
    assert "There is no lab 'nobody'." in capsys.readouterr().out


def test_status_of_a_lab_whose_programs_are_dead(capsys):
    written()
    assert main(["status", "--name", "x", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["api_answers"] is False
    assert set(facts["control_plane"].values()) == {None}


def test_missing_programs_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda tool: None if tool in ("containerd", "nft") else f"/bin/{tool}")
    monkeypatch.setattr(tools.shutil, "which", lambda tool: None)
    with pytest.raises(EnvironmentProblem, match=r"missing: containerd, nft.*apt-get install -y .*containerd nftables"):
        tools.ensure(print)


def test_missing_programs_without_root_are_not_installed(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda tool: None if tool == "runc" else f"/bin/{tool}")
    monkeypatch.setattr(tools.shutil, "which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentProblem, match=r"Install them as root: apt-get install .* runc"):
        tools.ensure(print)


def test_two_starts_at_once_install_missing_programs_once(tmp_path, monkeypatch, as_root):
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f"""#!/bin/sh
echo "$*" >> {tmp_path}/calls
case "$*" in *update) exit 0;; esac
mkdir {tmp_path}/at-work || exit 100
sleep 0.5
touch {apt.parent}/runc; chmod +x {apt.parent}/runc
rmdir {tmp_path}/at-work
""")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(
        tools, "find", lambda tool: "/bin/x" if tool != "runc" or (apt.parent / "runc").exists() else None
    )
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(tools.ensure, print) for _ in range(2)]:
            done.result()
    assert [line for line in (tmp_path / "calls").read_text().splitlines() if " install " in line] == [
        "-q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends runc"
    ]


def test_damaged_state_is_named_and_removed_by_down(elsewhere, as_root, capsys):
    folder = elsewhere / "labs" / "x"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{broken")
    with pytest.raises(EnvironmentProblem, match=r"state of lab 'x' in .* cannot be read"):
        state.load("x")
    assert main(["down", "--name", "x"]) == 0
    assert not folder.exists()


def test_down_without_a_lab_is_fine_twice(as_root, capsys, elsewhere):
    for _ in range(2):
        assert main(["down", "--name", "nobody"]) == 0
    assert "there is no lab 'nobody'" in capsys.readouterr().err
    assert not (elsewhere / "labs").exists()


# --- addresses ----------------------------------------------------------------------------------------------


def test_blocks_that_routes_or_labs_use_are_not_chosen(monkeypatch):
    monkeypatch.setattr(blocks, "run", lambda *_, **__: "[]")
    monkeypatch.setattr(network, "addresses_in_use", lambda: ["0.0.0.0/1", "198.18.64.0/24", "10.0.0.0/8"])
    written("other")  # has block 0
    assert blocks.free_indexes("x", 3) == [2, 3, 4, 5, 6, 7]


def test_no_free_block_is_an_error(monkeypatch):
    monkeypatch.setattr(blocks, "run", lambda *_, **__: "[]")
    monkeypatch.setattr(network, "addresses_in_use", lambda: ["198.18.0.0/15"])
    with pytest.raises(EnvironmentProblem, match="No address block is free"):
        blocks.free_indexes("x", 3)


# --- up, and what happens when it fails -----------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch, as_root, tmp_path):
    """Replaces the parts of a start that need a machine; returns what was called."""
    calls = []
    monkeypatch.setattr(tools, "ensure", lambda say: None)
    monkeypatch.setattr(network, "load_modules", lambda: None)
    monkeypatch.setattr(network, "addresses_in_use", list)
    monkeypatch.setattr(network, "claim", lambda plan: True)
    monkeypatch.setattr(blocks, "run", lambda *_, **__: "[]")
    monkeypatch.setattr(cluster.disk, "prepare", lambda base: base.mkdir(parents=True, exist_ok=True))
    monkeypatch.setattr(cluster.sysctls, "raise_to_needed", dict)
    monkeypatch.setattr(start, "prepare", lambda say, watch, release: (tmp_path / "programs-go1", []))
    monkeypatch.setattr(start, "versions", lambda programs, release: {"kubernetes": "v1"})
    monkeypatch.setattr(start.Starter, "run", lambda self, archives, extra: calls.append("start"))
    monkeypatch.setattr(cluster.ApiServer, "ready", lambda self: True)
    monkeypatch.setattr(Component, "alive", lambda self: True)

    def take_down(known):
        calls.append("down")
        stop.Paths.of(known.name).remove()

    monkeypatch.setattr(stop, "take_down", take_down)
    return calls


@pytest.mark.parametrize("error", [EnvironmentProblem("no"), KeyboardInterrupt(), SystemExit(143)])
def test_failed_or_interrupted_start_is_taken_down(quick, monkeypatch, error, elsewhere):
    def fail(self, archives, extra):
        raise error

    monkeypatch.setattr(start.Starter, "run", fail)
    with pytest.raises(type(error)):
        Lab("x", tell=lambda _: None).up()
    assert quick == ["down"]
    assert not (elsewhere / "labs").exists()


def test_a_block_that_a_lab_of_another_root_takes_meanwhile_is_left_to_it(quick, monkeypatch):
    theirs = {AddressPlan("x", index, 3).bridge for index in (0, 1)}
    monkeypatch.setattr(network, "claim", lambda plan: plan.bridge not in theirs)
    Lab("x", tell=lambda _: None).up(3)
    assert state.load("x").index == 2
    assert quick == ["start"]


def test_no_block_left_to_claim_is_an_error_and_leaves_nothing(quick, monkeypatch):
    monkeypatch.setattr(network, "claim", lambda plan: False)
    monkeypatch.setattr(stop, "take_remains", lambda name: False)
    with pytest.raises(EnvironmentProblem, match="other labs have just taken the last ones"):
        Lab("x", tell=lambda _: None).up(3)
    assert state.load("x") is None
    assert quick == []


def test_up_twice_starts_once(quick):
    told = []
    Lab("x", tell=told.append).up()
    Lab("x", tell=told.append).up()
    assert quick == ["start"]
    assert "up already" in told[-1]


def test_up_with_another_number_of_nodes_is_refused(quick):
    Lab("x", tell=lambda _: None).up(3)
    with pytest.raises(InputError, match=r"is up with 3 nodes.*2 nodes and .* were requested"):
        Lab("x", tell=lambda _: None).up(2)
    with pytest.raises(InputError, match="nftables"):
        Lab("x", tell=lambda _: None).up(3, Options(proxy_mode="nftables"))


def test_remains_of_an_earlier_start_are_removed_first(quick):
    written(phase="starting")
    Lab("x", tell=lambda _: None).up()
    assert quick == ["down", "start"]


def test_lab_of_before_a_restart_of_the_machine_is_removed_first(quick):
    written(boot="another")
    Lab("x", tell=lambda _: None).up()
    assert quick == ["down", "start"]


def test_last_user_takes_down_a_lab_that_was_started_for_tests(quick):
    one, other = Lab("x", tell=lambda _: None).use(), Lab("x", tell=lambda _: None).use()
    one.release()
    assert quick == ["start"]
    other.release()
    assert quick == ["start", "down"]


def test_lab_that_somebody_started_by_hand_stays(quick):
    lab = Lab("x", tell=lambda _: None).up()
    lab.use().release()
    assert quick == ["start"]


def test_lab_that_is_asked_for_by_hand_after_a_test_started_it_stays(quick):
    use = Lab("x", tell=lambda _: None).use()
    Lab("x", tell=lambda _: None).up()
    use.release()
    assert quick == ["start"]


def test_dead_users_do_not_keep_a_lab_up(quick):
    lab = Lab("x", tell=lambda _: None)
    use = lab.use()
    (lab._paths.uses / "4194305-1-1").touch()  # no such pid
    use.release()
    assert quick == ["start", "down"]


# --- settings of the machine ----------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder that stands for /proc/sys, of a kernel without IPv6."""
    low = {"net/ipv4/ip_forward": 0, "fs/inotify/max_user_instances": 128, "net/ipv4/neigh/default/gc_thresh3": 1024}
    for name, value in low.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(f"{value}\n")
    (tmp_path / "sys/fs/inotify/max_user_watches").write_text("9999999\n")
    return tmp_path / "sys"


def values(machine):
    return [int((machine / name).read_text()) for name in sysctls.NEEDED if (machine / name).exists()]


def test_settings_are_raised_and_given_back(machine):
    known = written("a", sysctls=sysctls.raise_to_needed(machine))
    assert values(machine) == [1, 8192, 9999999, 65536]
    sysctls.give_back(known, machine)
    assert values(machine) == [0, 128, 9999999, 1024]


def test_settings_stay_while_another_lab_needs_them_whichever_ends_first(machine):
    first = written("a", sysctls=sysctls.raise_to_needed(machine))
    written("b", sysctls=sysctls.raise_to_needed(machine))
    sysctls.give_back(first, machine)
    stop.Paths.of("a").remove()
    assert values(machine) == [1, 8192, 9999999, 65536]
    sysctls.give_back(state.load("b"), machine)
    assert values(machine) == [0, 128, 9999999, 1024]


def test_setting_that_somebody_changed_meanwhile_stays(machine):
    known = written("a", sysctls=sysctls.raise_to_needed(machine))
    (machine / "fs/inotify/max_user_instances").write_text("4096")
    sysctls.give_back(known, machine)
    assert values(machine) == [0, 4096, 9999999, 1024]


# --- what is made in the cluster -------------------------------------------------------------------------------


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("servers", ["nameserver 192.0.2.1\n", ""])
def test_system_objects_are_complete(tmp_path, monkeypatch, dual, servers):
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(servers)
    monkeypatch.setattr(node_files, "RESOLVERS", (resolv,))
    known = written(programs=str(tmp_path), options=Options(ip_family="dual" if dual else "ipv4"))
    objects = start.Starter(known, print, start.Stopwatch())._system_objects()
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    assert {o["kind"] for o in objects} <= set(PATHS)
    assert found["Node", "node2"]["spec"]["podCIDR"] == str(known.plan.pods(2))
    assert len(found["Node", "node2"]["spec"]["podCIDRs"]) == 1 + dual
    service = found["Service", "kube-dns"]["spec"]
    assert service["clusterIP"] == known.plan.dns
    assert ("ipFamilyPolicy" in service) == dual
    corefile = found["ConfigMap", "coredns"]["data"]["Corefile"]
    assert ("forward . /etc/resolv.conf" in corefile) == bool(servers)
    assert corefile.count("{") == corefile.count("}")
    subjects = {b["subjects"][0]["name"] for (kind, _), b in found.items() if kind == "ClusterRoleBinding"}
    assert {f"netlibrary:{agent}" for agent in components.NODE_AGENTS} | {"netlibrary:load-balancer"} <= subjects
    assert "{" not in found["Deployment", "coredns"]["spec"]["template"]["spec"]["containers"][0]["image"]


def test_documented_commands_exist(capsys):
    text = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()
    table = text[text.index("| command |") : text.index("Every command takes")]
    documented = {line.split("`")[1].split()[0] for line in table.splitlines()[2:] if line.startswith("| `")}
    with pytest.raises(SystemExit):
        main(["--help"])
    offered = set(re.findall(r"^    (\w+)(?:  .*)?$", capsys.readouterr().out, re.MULTILINE))
    assert documented == offered


# --- a component that dies ------------------------------------------------------------------------------------


def test_death_of_a_component_is_reported_with_its_last_lines(tmp_path):
    starter = start.Starter(written(programs=str(tmp_path)), print, start.Stopwatch())
    group = tmp_path / "group"
    group.mkdir()
    broken = Component("kube-scheduler", tmp_path)
    broken.define(["sh", "-c", "echo 'unknown flag: --x'; sleep 0.1; exit 1"], cgroup=group)
    broken.start()
    with pytest.raises(EnvironmentProblem, match=r"kube-scheduler .* ended during the start;.*\nunknown flag: --x"):
        starter._until("the scheduler", lambda: False, [broken])


def test_kubelet_that_comes_before_its_runtime_is_started_again(tmp_path, monkeypatch):
    starter = start.Starter(written(programs=str(tmp_path)), print, start.Stopwatch())
    group, runtime = tmp_path / "group", tmp_path / "runtime-answers"
    group.mkdir()
    kubelet = Component("kubelet", tmp_path)
    script = f"sleep 0.05; test -e {runtime} || {{ echo no runtime; exit 1; }}; sleep 60"
    kubelet.define(["sh", "-c", script], cgroup=group)
    kubelet.start()
    polls = iter([False, False])

    def ready() -> bool:
        if next(polls, True):
            runtime.touch()
        return kubelet.alive() and runtime.exists()

    starter._until("the nodes", ready, [kubelet])
    assert kubelet.alive() and "no runtime" in kubelet.tail()
    kubelet.stop()
    runtime.unlink()
    monkeypatch.setattr(start, "KUBELET_RESTARTS", 1)
    with pytest.raises(EnvironmentProblem, match=r"kubelet .* ended during the start;.*\nno runtime"):
        starter._until("the nodes", lambda: False, [kubelet])


def test_goal_that_is_not_reached_in_time_is_reported(tmp_path, monkeypatch):
    starter = start.Starter(written(programs=str(tmp_path)), print, start.Stopwatch())
    monkeypatch.setattr(start, "LIMIT", -1.0)
    with pytest.raises(EnvironmentProblem, match="the nodes did not become ready within"):
        starter._until("the nodes", lambda: False, [])


# --- doctor ---------------------------------------------------------------------------------------------------


def test_doctor_names_missing_programs(monkeypatch):
    monkeypatch.setattr(tools, "missing", lambda: {"containerd": "containerd", "nft": "nftables"})
    found = list(doctor._programs())
    assert [f.level for f in found] == [doctor.FAILURE] * 3
    assert "apt-get install -y containerd nftables" in found[-1].text


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"boot": "another"}, "before a restart"),
        ({"phase": "starting", "worker": [4194305, 1]}, "its start was killed"),
        ({"phase": "stopping", "worker": [4194305, 1]}, "was being stopped"),
        ({"phase": "running"}, "its API server is not"),
    ],
)
def test_doctor_finds_dead_labs(known, said):
    written("dead", **known)
    assert [said in text for name, text in doctor.leftovers() if name == "dead"] == [True]


def test_doctor_does_not_take_a_lab_that_is_being_started_for_dead():
    written("fresh", phase="starting")
    assert "fresh" not in [name for name, _ in doctor.leftovers()]


def test_doctor_fails_when_one_check_fails(monkeypatch, capsys):
    monkeypatch.setattr(
        doctor,
        "CHECKS",
        (lambda: iter([doctor.Finding(doctor.OK, "a", "x"), doctor.Finding(doctor.FAILURE, "b", "y")]),),
    )
    assert doctor.examine() == 1
    assert "FAIL  b: y" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([doctor.Finding(doctor.WARNING, "a", "x")]),))
    assert doctor.examine() == 0
