"""What killed runs left is found and removed by their marks, and nothing else is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from click.testing import CliRunner
from scripted_api import ApiServer

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.kube import Cluster, choose, times
from NetLibrary._mechanics.kube.heartbeat import Heartbeat
from NetLibrary._mechanics.kube.sweep import survey, sweep
from NetLibrary.cli import main

SPACES = "/api/v1/namespaces"
MAPS = f"{SPACES}/shop/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
NODES = "/api/v1/nodes"


def ago(seconds: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def marked(
    name: str, run: str, namespace: str | None = None, age: float = 7200, kind: str = "", **more: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "creationTimestamp": ago(age), **more}
    if namespace:
        metadata["namespace"] = namespace
    kind = kind or ("Lease" if name == f"netlibrary-{run}" else "ConfigMap" if namespace else "Namespace")
    where = f"{namespace}/" if namespace else ""
    metadata["labels"] = {"netlibrary.io/run": run}
    metadata["annotations"] = {"netlibrary.io/created-by": f"{run} {kind} {where}{name} {ago(age + 1)}"}
    return {"metadata": metadata}


@pytest.fixture
def lists(api: ApiServer) -> None:
    """Discovery with the verbs that it has in a cluster."""
    everything = ["get", "list", "delete", "patch"]
    resources = [
        {"name": plural, "kind": kind, "namespaced": namespaced, "verbs": everything}
        for plural, kind, namespaced in (
            ("namespaces", "Namespace", False),
            ("nodes", "Node", False),
            ("configmaps", "ConfigMap", True),
            ("pods", "Pod", True),
        )
    ]
    lease = {"name": "leases", "kind": "Lease", "namespaced": True, "verbs": everything}
    group = {"name": "coordination.k8s.io", "preferredVersion": {"version": "v1"}}
    api.on("GET", "/api/v1$", lambda h: h.json(200, {"resources": resources}), times=99)
    api.on("GET", "/apis$", lambda h: h.json(200, {"groups": [group]}), times=99)
    api.on("GET", "/apis/coordination.k8s.io/v1$", lambda h: h.json(200, {"resources": [lease]}), times=99)


def test_remains_of_a_dead_run_go_and_everything_else_stays(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.put(SPACES, marked("left", "dead"))
    api.put(f"{SPACES}/left/pods", marked("inside", "dead", "left", kind="Pod"))
    api.put(MAPS, marked("ours", "dead", "shop"))
    api.put(MAPS, {"metadata": {"name": "theirs", "namespace": "shop"}})
    api.put(SPACES, {"metadata": {"name": "precious", "labels": {"netlibrary.io/run": "dead"}}})  # adopted long ago
    api.put(SPACES, marked("young", "alive", age=300))
    swept = sweep(cluster)
    assert sorted(swept.removed) == ["ConfigMap 'shop/ours': removed", "Namespace 'left': removed"]
    assert sorted(api.objects[SPACES]) == ["precious", "young"]
    assert list(api.objects[MAPS]) == ["theirs"]
    assert "Namespace 'precious': has the label of run dead, which did not create it" in swept.left
    assert any(line.startswith("Namespace 'young': run alive gave a sign of life 30") for line in swept.left)
    assert all({"uid", "resourceVersion"} == set(r[4]["preconditions"]) for r in api.seen("DELETE", ""))


def test_run_of_hours_with_a_heartbeat_is_never_swept(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.put(SPACES, marked("long", "alive"))
    lease = marked("netlibrary-alive", "alive", "shop") | {
        "spec": {"holderIdentity": "ci-7 process 12", "renewTime": ago(15)}
    }
    api.put(LEASES, lease)
    swept = sweep(cluster, older_than=0, run="alive")  # 80 s are the least
    assert swept.removed == []
    assert any(re.search(r"run alive \(ci-7 process 12\) gave a sign of life 1\d s ago", line) for line in swept.left)
    api.put(LEASES, {**lease, "spec": {"renewTime": ago(100)}})
    assert len(sweep(cluster, older_than=0).removed) == 2


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_run_that_lives_is_not_swept_by_a_machine_whose_clock_is_wrong(
    api: ApiServer, connect: Callable[..., Cluster], lists: None, ahead: float
) -> None:
    # An hour ahead, every sign of life looked an hour old, and the live run's namespace was removed
    api.clock_ahead = ahead
    api.put(SPACES, {"metadata": {"name": "shop"}})
    api.put(SPACES, marked("long", "run-1", age=9000))
    alive = connect()
    alive.ownership.foreign_namespaces.add("shop")
    Heartbeat(lambda: [alive]).beat()
    lease = api.objects[LEASES]["netlibrary-run-1"]
    assert abs((times.seconds(lease["spec"]["renewTime"]) or 0.0) - time.time() - ahead) < 5
    other = connect()
    other.run_id = "run-2"
    assert sweep(other, older_than=80).removed == []
    before = times.stamp(time.time() + ahead - 100)
    metadata = {**lease["metadata"], "creationTimestamp": before}
    api.put(LEASES, {**lease, "metadata": metadata, "spec": {"renewTime": before}})
    assert len(sweep(other, older_than=80).removed) == 2


def test_sweep_says_which_groups_it_could_not_look_at(api: ApiServer, cluster: Cluster) -> None:
    group = {"name": "metrics.k8s.io", "preferredVersion": {"version": "v1"}}
    api.on("GET", "/apis$", lambda h: h.json(200, {"groups": [group]}))
    api.on("GET", "/apis/metrics.k8s.io/v1$", lambda h: h.text(503, "service unavailable", "text/plain"))
    unseen = sweep(cluster).unseen
    assert [line.partition(":")[0] for line in unseen] == ["what is in API group metrics.k8s.io"]
    assert "503 Service Unavailable" in unseen[0]


def test_changes_of_a_dead_run_on_a_node_are_put_back(
    api: ApiServer, connect: Callable[..., Cluster], lists: None
) -> None:
    api.put(
        NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"pool": "old"}}, "spec": {}}
    )
    dead = connect()
    dead.change("Node", "n", None, {"metadata": {"labels": {"pool": "gold"}}, "spec": {"unschedulable": True}})
    record = api.objects[NODES]["n"]["metadata"]["annotations"]["changed-by.netlibrary.io/run-1"]
    assert '"time":"20' in record
    other = connect()
    other.run_id = "run-2"
    assert sweep(other).removed == []  # it has just been made
    aged = record.replace(record[9:34], ago(90).replace("Z", "+00:00"))
    api.put(NODES, {**api.objects[NODES]["n"], "metadata": {
        **api.objects[NODES]["n"]["metadata"], "annotations": {"changed-by.netlibrary.io/run-1": aged}}})  # fmt: skip
    assert sweep(other, older_than=80, dry_run=True).removed == ["Node 'n': changes of run run-1 would be undone"]
    assert sorted(sweep(other, older_than=80).removed) == [
        "Node 'n': metadata.labels.pool restored",
        "Node 'n': spec.unschedulable restored",
    ]
    assert api.objects[NODES]["n"]["metadata"]["labels"] == {"pool": "old"}
    assert api.objects[NODES]["n"]["spec"] == {}


def test_labels_of_cyperf_nodes_are_taken_off(api: ApiServer, cluster: Cluster, lists: None) -> None:
    note = {"netlibrary.io/labels-dead": "agenttype"}
    api.put(NODES, {"metadata": {"name": "n", "labels": {"agenttype": "client", "zone": "a"}, "annotations": note}})
    assert sweep(cluster).removed == ["Node 'n': metadata.labels.agenttype restored"]
    assert api.objects[NODES]["n"]["metadata"]["labels"] == {"zone": "a"}


def test_look_alone_removes_nothing(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.put(SPACES, marked("left", "dead"))
    assert sweep(cluster, dry_run=True).removed == ["Namespace 'left': would be removed"]
    assert api.seen("DELETE", "") == []


def test_kinds_that_may_not_be_listed_are_told(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.put(SPACES, marked("left", "dead"))
    api.refuse("GET", r"/api/v1/(pods|nodes)\?", 403, "Forbidden", "no", times=9)
    swept = sweep(cluster)
    assert swept.removed == ["Namespace 'left': removed"]
    assert swept.unseen == ["nodes, pods: this account may not list them"]


def test_account_that_may_not_look_is_not_told_that_nothing_is_there(
    api: ApiServer, tmp_path: Any, lists: None
) -> None:
    """The owner of one namespace who forgets --namespace must not take an all-clear from it."""
    config = str(api.kubeconfig(tmp_path / "kubeconfig"))
    assert CliRunner().invoke(main, ["sweep", "--kubeconfig", config]).output.endswith("Nothing of any run is there.\n")
    api.refuse("GET", r"/api/v1/(pods|nodes|namespaces|configmaps)\?", 403, "Forbidden", "no", times=9)
    told = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--dry-run"]).output
    assert "this account may not list them\nNothing of any run is in what was looked at. With --namespace " in told


def test_account_of_one_namespace_gets_one_sentence_about_what_it_may_not_list(
    api: ApiServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, lists: None
) -> None:
    """It got the names of fifty kinds."""
    config = str(api.kubeconfig(tmp_path / "kubeconfig"))
    monkeypatch.setattr("NetLibrary._mechanics.kube.sweep._MOST_KINDS", 3)
    api.refuse("GET", r"/api/v1/(pods|nodes|namespaces|configmaps)\?", 403, "Forbidden", "no", times=9)
    told = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--dry-run"]).output
    assert re.search(r"\n  4 kinds, for instance \w+, \w+, \w+: this account may not list them\n", told)
    api.refuse("GET", r"\?", 403, "Forbidden", "no", times=99)
    done = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--dry-run"])
    assert done.exit_code == 1
    assert done.output.endswith(
        "This account may not list objects of any kind in the whole cluster; with 'namespace', or --namespace in a "
        "terminal, it looks only in one that it may work in.\n"
    )


def test_misspelt_namespace_is_an_error(api: ApiServer, tmp_path: Any, lists: None) -> None:
    """Of a name that no namespace has, a guest heard that nothing of any run is there."""
    config = str(api.kubeconfig(tmp_path / "kubeconfig"))
    api.put(SPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    done = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--dry-run", "--namespace", "teem"])
    assert done.exit_code == 1
    assert done.output.endswith("Error: There is no namespace 'teem'; there is 'team'.\n")
    told = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--namespace", "team"]).output
    assert told.endswith("\nNothing of any run is there.\n")


def test_namespace_that_may_not_be_read_is_an_error(api: ApiServer, tmp_path: Any, lists: None) -> None:
    config = str(api.kubeconfig(tmp_path / "kubeconfig"))
    api.allow(lambda asked: asked.get("namespace") == "team")
    api.refuse("GET", "/namespaces/te[ae]m", 403, "Forbidden", "no", times=99)
    before = len(api.requests)
    done = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--dry-run", "--namespace", "teem"])
    assert done.exit_code == 1
    assert done.output.endswith(
        "The account may not even read namespace 'teem': is this its name, and is there such a namespace?\n"
    )
    assert len(api.requests) - before < 5  # no fifty refusals in the audit log of the cluster
    with pytest.raises(errors.InputError, match="may not even read namespace 'team'"):  # nothing of it could be listed
        survey(Cluster.connect(choose(config)), "team")


def test_namespace_that_may_be_worked_in_and_not_read_is_swept(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.allow()
    api.refuse("GET", "/namespaces/team$", 403, "Forbidden", "no", times=99)
    assert sweep(cluster, namespace="team").unseen == [
        "namespace 'team': this account may not read it; is this its name?"
    ]


def test_only_the_run_that_is_named_is_swept(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.put(SPACES, marked("one", "dead-1"))
    api.put(SPACES, marked("two", "dead-2"))
    sweep(cluster, run="dead-2")
    assert list(api.objects[SPACES]) == ["one"]


def test_command_lists_what_it_would_remove(api: ApiServer, tmp_path: Any, lists: None) -> None:
    api.put(SPACES, marked("left", "dead"))
    config = str(api.kubeconfig(tmp_path / "kubeconfig"))
    shown = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert (
        "run dead: last sign of life 2 h ago, objects: 1\nWould be removed:\n  Namespace 'left': would be removed"
        in (shown.output)
    )
    wrong = CliRunner().invoke(main, ["sweep", "--kubeconfig", config, "--older-than", "1 fortnight"])
    assert wrong.exit_code == 2
    assert "--older-than" in wrong.output


def test_heartbeat_is_renewed_in_own_namespaces_and_never_in_those_of_others(api: ApiServer, cluster: Cluster) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "kube-system"}})
    heart = Heartbeat(lambda: [cluster])
    heart.beat()
    first = api.objects[LEASES]["netlibrary-run-1"]["spec"]["renewTime"]
    heart.beat()
    assert api.objects[LEASES]["netlibrary-run-1"]["spec"]["renewTime"] > first
    assert not api.objects["/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"]


def test_account_that_may_write_no_lease_is_asked_once(api: ApiServer, cluster: Cluster) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    api.refuse("POST", "/leases", 403, "Forbidden", "no", times=9)
    heart = Heartbeat(lambda: [cluster])
    heart.beat()
    heart.beat()
    assert len(api.seen("POST", "/leases")) == 1


# --- copies ------------------------------------------------------------------------------------------------------


def copied(obj: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What `kubectl get -o yaml | kubectl apply` makes of an object: all labels and annotations, another identity."""
    metadata = {**obj["metadata"], "creationTimestamp": ago(5400), **changes}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if value is not None}}


def test_copies_of_what_a_dead_run_made_are_left(api: ApiServer, cluster: Cluster, lists: None) -> None:
    """A user's copy carried both marks, so it was a dead run's to the sweep, and removed."""
    ours = marked("ours", "dead", "shop")
    api.put(MAPS, ours)
    api.put(MAPS, copied(ours, name="by-another-name"))
    api.put(f"{SPACES}/theirs/configmaps", copied(ours, namespace="theirs"))
    api.put(f"{SPACES}/shop/pods", copied(ours))  # controllers copy annotations of an owner to what they make
    api.put(SPACES, copied(marked("run-space", "dead"), name="their-space"))
    api.put(MAPS, copied(marked("restored", "dead", "shop"), creationTimestamp=ago(3600)))  # a backup, put back later
    swept = sweep(cluster)
    assert swept.removed == ["ConfigMap 'shop/ours': removed"]
    assert sorted(api.objects[MAPS]) == ["by-another-name", "restored"]
    assert list(api.objects[f"{SPACES}/theirs/configmaps"]) == ["ours"]
    assert list(api.objects[f"{SPACES}/shop/pods"]) == ["ours"]
    assert list(api.objects[SPACES]) == ["their-space"]
    assert sorted(swept.left) == [
        f"{place}: has the label of run dead, which did not create it"
        for place in ("ConfigMap 'shop/by-another-name'", "ConfigMap 'shop/restored'", "ConfigMap 'theirs/ours'",
                      "Namespace 'their-space'", "Pod 'shop/ours'")
    ]  # fmt: skip


def test_copy_does_not_keep_a_dead_run_alive(api: ApiServer, cluster: Cluster, lists: None) -> None:
    ours = marked("ours", "dead", "shop")
    api.put(MAPS, ours)
    api.put(MAPS, copied(ours, name="fresh", creationTimestamp=ago(5)))
    assert sweep(cluster).removed == ["ConfigMap 'shop/ours': removed"]


def test_marks_of_a_former_version_are_told_and_left(api: ApiServer, cluster: Cluster, lists: None) -> None:
    former = marked("ours", "dead", "shop")
    former["metadata"]["annotations"] = {"netlibrary.io/created-by": "dead"}
    api.put(MAPS, former)
    swept = sweep(cluster)
    assert swept.removed == []
    assert swept.left == [
        "ConfigMap 'shop/ours': has the marks of run dead in a former form, which copies have too: look at it, then "
        "'kubectl delete configmap ours --namespace shop'"
    ]


def test_what_a_run_creates_and_changes_carries_the_note_of_its_creation(
    api: ApiServer, connect: Callable[..., Cluster], lists: None
) -> None:
    dead = connect()
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}
    dead.apply(config)
    note = api.objects[MAPS]["c"]["metadata"]["annotations"]["netlibrary.io/created-by"]
    assert re.fullmatch(r"run-1 ConfigMap shop/c 20\S+Z", note)
    dead.apply({**config, "data": {"a": "b"}})
    assert api.objects[MAPS]["c"]["metadata"]["annotations"] == {"netlibrary.io/created-by": note}
    # A cluster's own object whose manifest names a namespace all the same
    dead.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "left", "namespace": "shop"}})
    other = connect()
    other.run_id = "run-2"
    api.clock_ahead = 7200
    _ = other.get("ConfigMap", "c", "shop")
    assert len(sweep(other).removed) == 2


def test_name_that_the_server_has_ended_is_the_runs(api: ApiServer, cluster: Cluster, lists: None) -> None:
    api.put(MAPS, marked("job-x7k2p", "dead", "shop"))
    for name, begin in (("job-x7k2p", "job-*"), ("other-x7k2p", "job-*")):
        obj = marked(name, "dead", "shop")
        obj["metadata"]["annotations"] = {"netlibrary.io/created-by": f"dead ConfigMap shop/{begin} {ago(7201)}"}
        api.put(MAPS, obj)
    assert sweep(cluster).removed == ["ConfigMap 'shop/job-x7k2p': removed"]


def test_copy_of_an_object_that_a_run_changed_is_not_changed(
    api: ApiServer, connect: Callable[..., Cluster], lists: None
) -> None:
    """The copy's values were "put back" to those that another object had before the run."""
    api.put(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "shop"},
                   "data": {"a": "old"}})  # fmt: skip
    dead = connect()
    dead.change("ConfigMap", "theirs", "shop", {"data": {"a": "new"}})
    changed = api.objects[MAPS]["theirs"]
    copy = copied(changed, name="copy", uid=None)
    api.put(MAPS, copy)
    api.clock_ahead = 7200
    other = connect()
    other.run_id = "run-2"
    _ = other.get("ConfigMap", "copy", "shop")
    swept = sweep(other)
    assert swept.removed == ["ConfigMap 'shop/theirs': data.a restored"]
    assert api.objects[MAPS]["copy"]["data"] == {"a": "new"}
    assert swept.left == [
        "ConfigMap 'shop/copy': is a copy of an object that run run-1 changed, and carries its record; it was not changed"
    ]


def test_namespace_of_a_dead_run_that_somebody_works_in_is_left(api: ApiServer, cluster: Cluster, lists: None) -> None:
    """Whoever had kept a namespace and put a workload of theirs into it lost that to the next sweep."""
    api.put(SPACES, marked("kept", "dead"))
    api.put(SPACES, marked("left", "dead"))
    pods = f"{SPACES}/kept/pods"
    api.put(pods, {"metadata": {"name": "mine", "namespace": "kept", "creationTimestamp": ago(600)}})
    owner = [{"kind": "ReplicaSet", "name": "r", "uid": "u", "apiVersion": "apps/v1"}]
    for name, more in (("owned", {"ownerReferences": owner}), ("soon", {"creationTimestamp": ago(7180)})):
        metadata = {"name": name, "namespace": "left", "creationTimestamp": ago(600), **more}
        api.put(f"{SPACES}/left/pods", {"metadata": metadata})
    swept = sweep(cluster)
    assert swept.removed == ["Namespace 'left': removed"]
    assert swept.left == [
        "Namespace 'kept': others work in it since run dead ended: Pod 'kept/mine'; look at them, then "
        "'kubectl delete namespace kept'"
    ]
    assert list(api.objects[pods]) == ["mine"]


def test_two_sweeps_at_once_remove_the_same_and_say_nothing_odd(api: ApiServer, cluster: Cluster, lists: None) -> None:
    """The slower one told of a conflict of versions."""
    for name in ("gone", "ending", "changed"):
        api.put(SPACES, marked(name, "dead"))

    def first_sweep(handler: Any) -> None:
        api.remove(SPACES, "gone")
        for name, more in (("ending", {"deletionTimestamp": "2026-01-02T03:04:05Z"}), ("changed", {"generation": 2})):
            obj = api.objects[SPACES][name]
            api.put(SPACES, {**obj, "metadata": {**obj["metadata"], **more}})
        handler._serve(handler.path.partition("?")[0])

    api.on("DELETE", "/namespaces/", first_sweep)
    swept = sweep(cluster)
    assert (swept.removed, sorted(swept.left)) == ([], [
        "Namespace 'changed': was changed while it was looked at; another sweep looks again",
        "Namespace 'ending': has been terminating since 2026-01-02T03:04:05Z",
    ])  # fmt: skip
    assert sweep(cluster).removed == ["Namespace 'changed': removed"]
