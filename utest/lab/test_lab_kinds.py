"""Kinds of labs: families, domains, host names, networks of others, and what they leave on the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from NetLibrary._mechanics.errors import InputError
from NetLibrary.lab import cli, components, folders, networks, node_files, sysctls
from NetLibrary.lab.components import Options
from NetLibrary.lab.contents import FileTree, add_iptables
from NetLibrary.lab.networks import programs
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import IP_FAMILIES, AddressPlan


def options(*words: str) -> Options:
    return cli._options(cli._parser().parse_args(["up", *words]))


@pytest.mark.parametrize(
    ("family", "first", "count"), [("ipv4", "198.18", 1), ("ipv6", "fd6c", 1), ("dual-ipv6-first", "fd6c", 2)]
)
def test_addresses_of_the_first_family_come_first_everywhere(
    tmp_path: Path, family: str, first: str, count: int
) -> None:
    plan, paths = AddressPlan("x", 0, 1, IP_FAMILIES[family]), Paths(tmp_path)
    chosen = Options(ip_family=family)
    assert plan.dns.startswith(first)
    assert first in plan.api
    control = components.control_plane(plan, paths, tmp_path, chosen)
    for program, flag in (
        ("kube-apiserver", "--service-cluster-ip-range="),
        ("kube-controller-manager", "--cluster-cidr="),
        ("load-balancer", "--pools="),
    ):
        value = next(str(word) for word in control[program] if str(word).startswith(flag)).partition("=")[2]
        assert value.startswith(first)
        assert len(value.split(",")) == count
    kubelet = components.node_programs(plan, paths, 1, tmp_path, chosen)["kubelet"]
    assert any(str(word).startswith(f"--node-ip={first}") for word in kubelet)


def test_domain_and_admission_reach_the_components(tmp_path: Path) -> None:
    plan, paths = AddressPlan("x", 0, 1), Paths(tmp_path)
    chosen = options("--cluster-domain", "corp.example", "--pod-security", "restricted")
    node_files.write(plan, paths, 1, chosen, "/x", "overlayfs")
    assert json.loads((paths.node(1) / "etc" / "kubelet.json").read_text())["clusterDomain"] == "corp.example"
    api = components.control_plane(plan, paths, tmp_path, chosen)["kube-apiserver"]
    assert f"--admission-control-config-file={tmp_path}/admission.yaml" in api
    assert '"enforce": "restricted"' in components.admission(chosen)
    assert components.admission(Options()) == ""


def test_another_range_of_node_ports_reaches_the_api_server(tmp_path: Path) -> None:
    plan, paths = AddressPlan("x", 0, 1), Paths(tmp_path)
    api = components.control_plane(plan, paths, tmp_path, options("--node-ports", "20000-22767"))["kube-apiserver"]
    assert "--service-node-port-range=20000-22767" in api
    usual = components.control_plane(plan, paths, tmp_path, Options())["kube-apiserver"]
    assert not any("node-port" in str(word) for word in usual)


@pytest.mark.parametrize("text", ["20000", "x-y", "22767-20000", "80-90", "20000-70000"])
def test_a_range_of_node_ports_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--node-ports is '{text}'; allowed: two ports from 1024 on"):
        options("--node-ports", text)


def test_only_accounts_of_tests_are_written_down_in_the_audit_log(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    api = components.control_plane(AddressPlan("x", 0, 1), paths, tmp_path, Options())["kube-apiserver"]
    assert f"--audit-log-path={paths.audit_log}" in api
    rules = json.loads(components.audit_policy())["rules"]
    assert "system:serviceaccounts:kube-system" in rules[0]["userGroups"] and rules[0]["level"] == "None"
    assert rules[1:] == [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]


def test_other_networks_get_folders_of_their_own_and_no_agent_of_the_lab(tmp_path: Path) -> None:
    plan, paths = AddressPlan("x", 0, 2), Paths(tmp_path)
    chosen = options("--network", "flannel", "--no-load-balancer")
    for node in (1, 2):
        node_files.write(plan, paths, node, chosen, "/x", "overlayfs")
    one, two = ({target: source for source, target in folders.binds(paths.node(n))} for n in (1, 2))
    assert one["/run/flannel"] != two["/run/flannel"]
    assert one["/etc/cni/net.d"].is_dir() and not list(one["/etc/cni/net.d"].iterdir())
    assert "netpol" not in components.node_programs(plan, paths, 1, tmp_path, chosen)
    assert "load-balancer" not in components.control_plane(plan, paths, tmp_path, chosen)
    (one["/run/flannel"] / "subnet.env").touch()
    (one["/var/lib/cni"] / "lease").touch()
    folders.forget_run(paths.node(1))
    assert not list(one["/run/flannel"].iterdir())
    assert list(one["/var/lib/cni"].iterdir())


def test_the_labs_own_network_lies_over_nothing(tmp_path: Path) -> None:
    node_files.write(AddressPlan("x", 0, 1), Paths(tmp_path), 1, Options(), "/x", "overlayfs")
    assert folders.binds(Paths(tmp_path).node(1)) == []


def test_folders_made_on_the_machine_go_again_unless_somebody_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PLUGINS", str(tmp_path / "opt/cni/bin"))
    monkeypatch.setattr(folders, "CONFIGURATION", str(tmp_path / "etc/cni/net.d"))
    monkeypatch.setattr(folders, "OWN", (str(tmp_path / "var/cni"),))
    (tmp_path / "opt").mkdir()
    made = folders.make_places()
    assert str(tmp_path / "opt") not in made
    (tmp_path / "etc/cni/net.d/10-theirs.conf").touch()
    folders.remove_places(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc", "opt"]
    assert not list((tmp_path / "opt").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mtu", "9"], "--mtu is 9; allowed: 1280 to 65521."),
        (["--proxy", "none"], "--proxy none needs a --network that serves Services itself"),
        (["--network", "flannel", "--ip-family", "dual"], "--network flannel is set up for IPv4 here"),
        (["--cluster-domain", "Corp_"], "--cluster-domain is 'Corp_'"),
        (["--admission", "nowhere.yaml"], "--admission names 'nowhere.yaml', which is not a file."),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_starts(words: list[str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        options(*words)
    assert said in str(refused.value)


@pytest.mark.parametrize("network", networks.NETWORKS)
@pytest.mark.parametrize("balancer", networks.LOAD_BALANCERS)
def test_every_network_has_what_its_objects_ask_for(network: str, balancer: str) -> None:
    chosen = Options(network=network, load_balancer=balancer)
    names = networks.programs_of(chosen)
    recipes = networks.recipes(chosen, {name: Path("/bin/true") for name in names})
    objects = networks.objects(AddressPlan("x", 3, 2), chosen)
    assert "{" + "api" not in json.dumps(objects)
    asked = {
        container["image"]
        for obj in objects
        if obj["kind"] in ("DaemonSet", "Deployment")
        for group in ("initContainers", "containers")
        for container in obj["spec"]["template"]["spec"].get(group, [])
    }
    assert asked == {reference for recipe in recipes for reference in recipe.references}
    for name in names:
        assert len(programs.source_hash(programs.PROGRAMS[name][0])) == 20


def test_an_image_with_iptables_has_its_names_and_extensions() -> None:
    tree = FileTree()
    add_iptables(tree)
    assert "/usr/sbin/iptables-restore" in tree
    assert any(path.endswith("libxt_comment.so") or path.endswith("libxt_standard.so") for path in tree._entries)


def test_forwarding_of_ipv6_keeps_router_advertisements_and_is_given_back(tmp_path: Path) -> None:
    for name, value in {"all": "0", "eth0": "1", "lo": "0"}.items():
        folder = tmp_path / "net/ipv6/conf" / name
        folder.mkdir(parents=True)
        (folder / "accept_ra").write_text(value)
        (folder / "forwarding").write_text("0")
    for setting, needed in sysctls.NEEDED.items():
        (tmp_path / setting).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / setting).write_text(str(needed))
    changed = sysctls.raise_to_needed(tmp_path, v6=True)
    assert changed["net/ipv6/conf/eth0/accept_ra"] == 1
    assert changed[sysctls.FORWARD_V6] == 0
    assert (tmp_path / "net/ipv6/conf/eth0/accept_ra").read_text() == "2"
    assert (tmp_path / "net/ipv6/conf/lo/accept_ra").read_text() == "0"
    assert not any("ipv6/conf" in name for name in sysctls.raise_to_needed(tmp_path))


def test_flannel_has_both_firewalls_in_its_image() -> None:
    """With nftables it ended at once for want of `nft`, and no pod of the lab got a network."""
    chosen = options("--network", "flannel-host-gw", "--proxy", "nftables")
    flannel = networks.recipes(chosen, {name: Path("/bin/true") for name in networks.programs_of(chosen)})[0]
    assert flannel.iptables
    assert "nft" in flannel.programs
    config = next(o for o in networks.objects(AddressPlan("x", 0, 2), chosen) if o["kind"] == "ConfigMap")
    assert '"EnableNFTables": true' in config["data"]["net-conf.json"]


def test_a_kube_proxy_that_restarts_slowly_keeps_its_traffic_from_outside(tmp_path: Path) -> None:
    """Three failed checks move an address, which resets its connections; a second each was less than a restart takes."""
    paths = Paths(tmp_path)
    command = components.control_plane(AddressPlan("x", 1, 1), paths, tmp_path, components.Options())["load-balancer"]
    period = next(word for word in map(str, command) if word.startswith("--health-period="))
    assert float(period.removeprefix("--health-period=").removesuffix("s")) * 2 >= 6
