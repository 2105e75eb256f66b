"""Control groups in both versions, against a small model of the kernel's rules in a folder."""

import shutil
from pathlib import Path

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary.lab import cgroups


class Unified:
    """A folder that behaves like a cgroup v2 hierarchy where it matters: children get what the parent hands on, and a
    group with processes hands on nothing unless it is the machine's real root."""

    def __init__(self, root: Path, available: str, monkeypatch, *, real_root: bool = True, refused: str = "") -> None:
        self.root, self.real_root, self.refused = root, real_root, refused.split()
        self.populate(root, available)
        if not real_root:
            (root / "cgroup.type").write_text("domain")
            (root / "cgroup.procs").write_text("1\n7\n")
        mkdir, write_text = Path.mkdir, Path.write_text

        def made(path, *args, **options):
            new = not path.exists()
            mkdir(path, *args, **options)
            if new and root in path.parents and not (path / "cgroup.controllers").exists():
                chain = [p for p in reversed(path.parents) if p == root or root in p.parents]
                for group in [*chain, path]:
                    if not (group / "cgroup.controllers").exists():
                        self.populate(group, (group.parent / "cgroup.subtree_control").read_text())

        def written(path, text, *args, **options):
            if root in path.parents and path.name == "cgroup.subtree_control":
                return self.hand_on(path.parent, text, write_text)
            if root in path.parents and path.name == "cgroup.procs":
                if path.parent == root and not self.real_root and (root / "cgroup.subtree_control").read_text():
                    raise OSError(16, "Device or resource busy")
                for group in root.rglob("cgroup.procs"):
                    write_text(group, group.read_text().replace(f"{text}\n", ""))
                return write_text(path, path.read_text() + f"{text}\n")
            return write_text(path, text, *args, **options)

        monkeypatch.setattr(Path, "mkdir", made)
        monkeypatch.setattr(Path, "write_text", written)

    @staticmethod
    def populate(group: Path, controllers: str) -> None:
        for name, text in (("controllers", controllers), ("subtree_control", ""), ("procs", "")):
            with open(group / f"cgroup.{name}", "w") as file:
                file.write(text)

    def hand_on(self, group: Path, change: str, write_text) -> int:
        name = change[1:]
        if name in self.refused:
            raise OSError(22, "Invalid argument")
        if (
            change[0] == "+"
            and (group / "cgroup.procs").read_text().strip()
            and not (group == self.root and self.real_root)
        ):
            raise OSError(16, "Device or resource busy")
        enabled = set((group / "cgroup.subtree_control").read_text().split()) | {name}
        if change.startswith("-"):
            enabled.remove(name)
        for child in group.iterdir():
            if child.is_dir():
                write_text(child / "cgroup.controllers", " ".join(sorted(enabled)))
        return write_text(group / "cgroup.subtree_control", " ".join(sorted(enabled)))


ALL = "cpuset cpu io memory hugetlb pids rdma misc"


def test_version_2_hands_controllers_on_to_the_pods(tmp_path, monkeypatch):
    Unified(tmp_path, ALL, monkeypatch)
    cgroups.create("netlibrary-x", 2, tmp_path)
    assert cgroups.version(tmp_path) == 2
    for leaf in ("system", "node1/system", "node1/pods", "node2/pods"):
        assert {"cpu", "memory", "pids"} <= set(
            (tmp_path / "netlibrary-x" / leaf / "cgroup.controllers").read_text().split()
        )
    assert cgroups.tracker(tmp_path) == tmp_path


def test_version_2_in_a_container_moves_its_processes_out_of_the_root(tmp_path, monkeypatch):
    Unified(tmp_path, ALL, monkeypatch, real_root=False)
    cgroups.create("netlibrary-x", 1, tmp_path)
    assert (tmp_path / "cgroup.procs").read_text().strip() == ""
    assert (tmp_path / "netlibrary-init" / "cgroup.procs").read_text().split() == ["1", "7"]
    assert "memory" in (tmp_path / "netlibrary-x" / "node1" / "pods" / "cgroup.controllers").read_text()


def test_version_2_a_container_gets_its_root_group_back_when_the_last_lab_is_gone(tmp_path, monkeypatch):
    Unified(tmp_path, ALL, monkeypatch, real_root=False)
    cgroups.create("netlibrary-x", 1, tmp_path)
    cgroups.give_back_root(tmp_path)
    assert (tmp_path / "netlibrary-init").exists()  # the lab still needs it
    shutil.rmtree(tmp_path / "netlibrary-x")
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)  # files of the kernel do not keep a folder from going
    cgroups.give_back_root(tmp_path)
    assert (tmp_path / "cgroup.procs").read_text().split() == ["1", "7"]
    assert (tmp_path / "cgroup.subtree_control").read_text() == ""
    assert not (tmp_path / "netlibrary-init").exists()


def test_version_2_a_refused_optional_controller_costs_only_itself(tmp_path, monkeypatch):
    Unified(tmp_path, ALL, monkeypatch, refused="cpuset hugetlb")
    cgroups.create("netlibrary-x", 1, tmp_path)
    assert set((tmp_path / "netlibrary-x" / "node1" / "pods" / "cgroup.controllers").read_text().split()) == {
        "cpu",
        "io",
        "memory",
        "pids",
    }


def test_version_2_a_refused_needed_controller_is_an_error(tmp_path, monkeypatch):
    Unified(tmp_path, ALL, monkeypatch, refused="memory")
    with pytest.raises(EnvironmentProblem, match="controllers memory cannot be enabled"):
        cgroups.create("netlibrary-x", 1, tmp_path)


@pytest.fixture
def legacy(tmp_path):
    for controller in ("cpu,cpuacct", "cpuset", "memory", "pids", "freezer"):
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").write_text("")
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    return tmp_path


def test_version_1_makes_groups_in_every_hierarchy_and_fills_cpuset(legacy):
    cgroups.create("netlibrary-x", 1, legacy)
    assert cgroups.version(legacy) == 1
    for controller in ("cpu,cpuacct", "memory", "pids"):
        assert (legacy / controller / "netlibrary-x" / "node1" / "pods").is_dir()
    for group in ("netlibrary-x", "netlibrary-x/node1", "netlibrary-x/node1/pods"):
        assert (legacy / "cpuset" / group / "cpuset.cpus").read_text() == "0-1\n"
    assert cgroups.tracker(legacy) == legacy / "pids"
    assert cgroups.controllers(legacy) == {"cpu", "cpuacct", "cpuset", "memory", "pids", "freezer"}


def test_members_are_found_in_any_hierarchy_and_depth(legacy):
    cgroups.create("netlibrary-x", 1, legacy)
    (legacy / "memory" / "netlibrary-x" / "system" / "cgroup.procs").write_text("11\n")
    (legacy / "pids" / "netlibrary-x" / "node1" / "pods" / "cgroup.procs").write_text("12\n13\n")
    assert cgroups.members("netlibrary-x", legacy) == {11, 12, 13}
    assert cgroups.members("netlibrary-y", legacy) == set()


@pytest.mark.root
def test_real_groups_are_made_filled_killed_and_removed():
    import os
    import subprocess

    name = f"netlibrary-utest{os.getpid()}"
    cgroups.create(name, 1)
    try:
        procs = cgroups.tracker() / name / "node1" / "system" / "cgroup.procs"
        child = subprocess.Popen(["sh", "-c", f"echo $$ >{procs}; sleep 60 & sleep 60"])
        while len(cgroups.members(name)) < 2:
            assert child.poll() is None
        cgroups.kill(name)
        assert child.wait(5) in (-9, 128 + 9)  # killed itself, or it saw the program die that it waited for
        assert cgroups.members(name) == set()
    finally:
        cgroups.kill(name)
        cgroups.remove(name)
    assert not any((hierarchy / name).exists() for hierarchy in cgroups.hierarchies())
