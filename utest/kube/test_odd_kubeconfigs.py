"""Kubeconfigs as they are met in companies, each beside kubectl: both work with the same headers, or both refuse."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_kubectl import KUBECTL
from scripted_api import TOKEN
from tls_server import TlsServer, make_certificate

from NetLibrary._mechanics.errors import NetLibraryError
from NetLibrary._mechanics.kube import Cluster, choose
from NetLibrary._mechanics.kube import connection as connection_module

V1 = "client.authentication.k8s.io/v1"
Object = dict[str, Any]
Files = Mapping[str, "str | bytes | Object"]
Headers = list[tuple[str, str]]


class Bench:
    """Asks one TLS server with kubectl and with us."""

    def __init__(self, folder: Path, server: TlsServer) -> None:
        self.folder, self.server = folder, server
        self.asked_by_kubectl: list[str] = []
        self.trust = base64.b64encode(server.certificate.encode()).decode()
        certificate, key = make_certificate(folder, "me")
        self.mine = {
            "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
            "client-key-data": base64.b64encode(key.read_bytes()).decode(),
        }

    def config(self, user: Object | None = None, **cluster: Any) -> Object:
        """Returns a kubeconfig that is plain but for what is given."""
        trusted = {"server": self.server.url, "certificate-authority-data": self.trust, **cluster}
        return {
            "current-context": "x",
            "clusters": [{"name": "c", "cluster": {k: v for k, v in trusted.items() if v is not None}}],
            "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }

    def both(
        self, files: Files, order: tuple[str, ...] = ("config",), words: tuple[str, ...] = ("get", "--raw", "/version")
    ) -> tuple[Headers | None, Headers | None, str]:
        """Returns with which headers kubectl and we asked, None for a refusal, and the words of our refusal."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(content) if isinstance(content, dict) else content
            path.write_bytes(text.encode() if isinstance(text, str) else text)
            path.chmod(0o755)
        environment = {"KUBECONFIG": ":".join(str(self.folder / name) for name in order), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [str(KUBECTL), *words],
            capture_output=True, text=True, timeout=60, check=False, env={**environment, "HOME": str(self.folder)},
        )  # fmt: skip
        theirs, said = (self._headers() if done.returncode == 0 else None), ""
        ours: Headers | None = None
        self.asked_by_kubectl = [*self.server.paths]
        self.server.headers.clear()
        self.server.paths.clear()
        try:
            Cluster.connect(choose(environment=environment, home=self.folder, service_account=self.folder))
            ours = self._headers()
        except NetLibraryError as error:
            said = str(error)
        assert TOKEN not in said
        return theirs, ours, said

    def _headers(self) -> Headers:
        found = ((name.lower(), value) for name, value in self.server.headers)
        return sorted({each for each in found if each[0] == "authorization" or each[0].startswith("impersonate-")})


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if not KUBECTL:
        pytest.skip("neither is kubectl on PATH, nor are the lab's programs built")
    for limit in ("FIRST_ANSWER_FOR", "RECONNECT_FOR", "BUSY_FOR"):
        monkeypatch.setattr(connection_module, limit, 0.0)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    with TlsServer(tmp_path) as server:
        yield Bench(tmp_path, server)


def plugin(**more: Any) -> Object:
    return {"exec": {"apiVersion": V1, "command": "./plugin.sh", "interactiveMode": "Never", **more}}


def printing(text: str) -> str:
    return f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n"


def credential(**status: Any) -> str:
    return json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})


def test_relative_paths_of_merged_files_lead_to_the_folder_of_each(bench: Bench) -> None:
    first = bench.config(**{"certificate-authority-data": None, "certificate-authority": "pki/ca.crt"})
    del first["users"]
    second = {"users": [{"name": "u", "user": {"tokenFile": "../keys/token"}}]}
    files = {"a/config": first, "a/pki/ca.crt": bench.server.certificate, "b/config": second, "keys/token": "of-b\r\n"}
    assert (
        bench.both(files, ("missing", "a/config", "b/config", "missing"))[:2]
        == ([("authorization", "Bearer of-b")],) * 2
    )


@pytest.mark.parametrize(
    "written",
    [
        lambda c: json.dumps(c, indent="\t"),
        lambda c: json.dumps(c, indent=2).replace("\n", "\r\n"),
        lambda c: yaml.safe_dump(c).replace("\n", "\r\n"),
        lambda c: b"\xef\xbb\xbf" + yaml.safe_dump(c).encode(),
        lambda c: yaml.safe_dump(c).encode("utf-16"),
        lambda c: "---\n" + yaml.safe_dump(c) + "---\n",
    ],
    ids=[
        "JSON with tabs",
        "JSON of Windows",
        "YAML of Windows",
        "byte order mark",
        "UTF-16 of PowerShell",
        "empty rest",
    ],
)
def test_every_way_to_write_the_same_is_read(bench: Bench, written: Any) -> None:
    assert bench.both({"config": written(bench.config())})[:2] == ([("authorization", f"Bearer {TOKEN}")],) * 2


@pytest.mark.parametrize(
    "comment", [b"subject=/CN=x\r\n", "# für\n".encode(), "# für\n".encode("latin-1")], ids=["text", "UTF-8", "Latin-1"]
)
def test_authority_with_a_comment_is_trusted(bench: Bench, comment: bytes) -> None:
    trust = base64.b64encode(comment + bench.server.certificate.encode()).decode()
    theirs, ours, words = bench.both({"config": bench.config(**{"certificate-authority-data": trust})})
    assert theirs == ours == [("authorization", f"Bearer {TOKEN}")], words


def test_names_of_other_alphabets_arrive_as_utf_8(bench: Bench) -> None:
    extra = {"Größe/100%": ["ä"]}
    theirs, ours, _ = bench.both({"config": bench.config({"token": "t", "as": "中", "as-groups": ["jürgen"], "as-user-extra": extra})})  # fmt: skip
    assert theirs == ours
    assert ("impersonate-user", "中".encode().decode("latin-1")) in (ours or [])


def test_plugin_does_not_count_beside_a_client_certificate(bench: Bench) -> None:
    files = {"config": bench.config({**plugin(), **bench.mine}), "plugin.sh": "#!/bin/sh\nexit 1\n"}
    assert bench.both(files)[:2] == ([], [])


@pytest.mark.parametrize("content", [None, "", "from-file\n"])
def test_token_counts_where_the_file_beside_it_has_none(bench: Bench, content: str | None) -> None:
    files: dict[str, Any] = {"config": bench.config({"token": "own", "tokenFile": "token"})}
    if content is not None:
        files["token"] = content
    theirs, ours, _ = bench.both(files)
    assert theirs == ours == [("authorization", "Bearer from-file" if content else "Bearer own")]


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        (f"apiVersion: {V1}\nkind: ExecCredential\nstatus:\n  token: p", "p"),
        (json.dumps({"apiVersion": V1, "status": {"token": "p"}}), "p"),
        ("\ufeff" + credential(token="p"), "p"),
        (credential(token="p", expirationTimestamp="2035-01-01T00:00:00.123456789+05:30"), "p"),
        (credential(token="p", expirationTimestamp="2020-01-01T00:00:00Z"), "p"),
        (f"Warning: log in soon\n{credential(token='p')}", ""),
        (f"{credential(token='p')}\ndone", ""),
        (credential(token=5), ""),
        (credential(token="p\n"), ""),
        (json.dumps({"status": {"token": "p"}}), ""),
        (credential(token="p").replace("/v1", "/v1beta1"), ""),
        (TOKEN, ""),
    ],
)  # fmt: skip
def test_what_a_plugin_prints_is_taken_or_refused_as_by_kubectl(bench: Bench, printed: str, wanted: str) -> None:
    theirs, ours, words = bench.both({"config": bench.config(plugin()), "plugin.sh": printing(printed)})
    expected = [("authorization", f"Bearer {wanted}")] if wanted else None
    assert (theirs, ours) == (expected, expected)
    assert wanted or words.startswith("The credential plugin '")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server": "{host}"}, "without a scheme, which means http; write https://127.0.0.1:"),
        ({"server": "{url} "}, "neither a URL nor host:port"),
        ({"tls-server-name": "other.example"}, "not valid for 'other.example'"),
        ({"proxy-url": "socks5://127.0.0.1:1"}, "127.0.0.1"),
        ({"certificate-authority-data": base64.b64encode(b"hello").decode()}, "is not a certificate"),
    ],
)
def test_cluster_that_kubectl_does_not_reach_is_refused_in_words(bench: Bench, change: Object, words: str) -> None:
    url = bench.server.url
    made = {key: value.format(host=url.partition("//")[2], url=url) for key, value in change.items()}
    theirs, ours, said = bench.both({"config": bench.config(**made)})
    assert (theirs, ours) == (None, None)
    assert words in said


@pytest.mark.parametrize("slash", ["", "/"])
def test_server_with_a_path_is_asked_below_it_as_by_kubectl(bench: Bench, slash: str) -> None:
    """Rancher and others answer for many clusters at one address."""
    files = {"config": bench.config(server=f"{bench.server.url}/k8s/clusters/c-x7k2z{slash}")}
    theirs, ours, said = bench.both(files, words=("version",))  # `get --raw` leaves the path out
    assert theirs == ours == [("authorization", f"Bearer {TOKEN}")], said
    assert bench.server.paths[:1] == bench.asked_by_kubectl[:1] == ["/k8s/clusters/c-x7k2z/version"]


def test_name_that_the_proxy_tells_clusters_by_is_sent_as_by_kubectl(bench: Bench) -> None:
    """Teleport and others look at the name in the TLS handshake, which is not that of the URL."""
    theirs, ours, words = bench.both({"config": bench.config(**{"tls-server-name": "cluster.example"})})
    assert theirs == ours == [("authorization", f"Bearer {TOKEN}")], words
    assert bench.server.names == ["cluster.example"] * len(bench.server.names)
    assert len(bench.server.names) >= 2


IN_POD = """
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && cd /run/secrets/kubernetes.io/serviceaccount
cp "$HOME/server.crt" ca.crt && printf 'of-the-pod\\n' > token && printf team > namespace && exec "$@"
"""
OURS = (
    "from NetLibrary._mechanics.kube import Cluster, choose; print(Cluster.connect(choose()).connection.choice.source)"
)


@pytest.mark.root
def test_account_of_a_pod_is_used_as_by_kubectl(bench: Bench) -> None:
    host, _, port = bench.server.url.removeprefix("https://").partition(":")
    place = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "HOME": str(bench.folder)}
    for words in ([str(KUBECTL), "get", "--raw", "/version"], [sys.executable, "-c", OURS]):
        bench.server.headers.clear()
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", IN_POD, "sh", *words], capture_output=True, text=True, timeout=60,
            check=False, env={**place, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert bench._headers() == [("authorization", "Bearer of-the-pod")]
    assert done.stdout == "in-cluster\n"


# --- as the tools of several makers write them -----------------------------------------------------------

V1BETA1 = "client.authentication.k8s.io/v1beta1"
EKS, GKE = "arn:aws:eks:eu-central-1:123456789012:cluster/prod", "gke_our-project_europe-west3_prod"
# What the makers' tools leave to be installed, by name on PATH. Sources: `aws eks update-kubeconfig`, `gcloud container
# clusters get-credentials`, `kubelogin convert-kubeconfig`, `doctl kubernetes cluster kubeconfig save`, `tsh kube login`
PLUGINS: dict[str, tuple[tuple[str, str, str], list[str], Object]] = {
    "EKS": ((EKS, EKS, EKS), ["aws", "--region", "eu-central-1", "eks", "get-token", "--cluster-name", "prod",
                              "--output", "json"], {"env": [{"name": "AWS_PROFILE", "value": "prod"}]}),
    "GKE": ((GKE, GKE, GKE), ["gke-gcloud-auth-plugin"],
            {"installHint": "Install it\nby gcloud components", "provideClusterInfo": True}),
    "AKS": (("prod", "clusterUser_group_prod", "prod"),
            ["kubelogin", "get-token", "--login", "azurecli", "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630"],
            {"env": None, "provideClusterInfo": False, "installHint": ""}),
    "DigitalOcean": (("do-fra1-prod", "do-fra1-prod-admin", "do-fra1-prod"),
                     ["doctl", "kubernetes", "cluster", "kubeconfig", "exec-credential", "--version=v1beta1"],
                     {"env": None, "interactiveMode": "IfAvailable"}),
    "Teleport": (("tele.example", "tele.example-prod", "tele.example-prod"),
                 ["tsh", "kube", "credentials", "--kube-cluster=prod", "--proxy=tele.example:443"],
                 {"env": [{"name": "TELEPORT_HOME", "value": "/nowhere"}], "interactiveMode": "Never"}),
}  # fmt: skip
# Prints what such programs print, if it is asked as they are
PROGRAM = """#!/bin/sh
[ "$*" = "$WANTED" ] || { echo "usage: $WANTED, not $*" >&2; exit 2; }
case "$KUBERNETES_EXEC_INFO" in *'"apiVersion":"V1BETA1"'*) ;; *) echo "what is $KUBERNETES_EXEC_INFO?" >&2; exit 3 ;; esac
cat <<'END'
{"kind": "ExecCredential", "apiVersion": "V1BETA1", "spec": {"interactive": false}, "status":
  {"expirationTimestamp": "2040-01-01T00:00:00Z", "token": "k8s-aws-v1.aHR0cHM6Ly9zdHMu_YW1-hem9u"}}
END
""".replace("V1BETA1", V1BETA1)


@pytest.mark.parametrize("maker", PLUGINS)
def test_kubeconfig_with_a_makers_plugin_leads_to_the_same_account(bench: Bench, maker: str) -> None:
    (cluster, user, context), (program, *arguments), more = PLUGINS[maker]
    known = [*(more.get("env") or []), {"name": "WANTED", "value": " ".join(arguments)}]
    by_plugin = {"apiVersion": V1BETA1, "command": program, "args": arguments or None, **more, "env": known}
    config = named(bench.config({"exec": by_plugin}), cluster, user, context)
    theirs, ours, said = bench.both({"config": config, f"bin/{program}": PROGRAM})
    assert theirs == ours == [("authorization", "Bearer k8s-aws-v1.aHR0cHM6Ly9zdHMu_YW1-hem9u")], said


@pytest.mark.parametrize("maker", PLUGINS)
def test_plugin_of_a_maker_that_is_not_installed_is_named(bench: Bench, maker: str) -> None:
    (cluster, user, context), (program, *arguments), more = PLUGINS[maker]
    by_plugin = {"apiVersion": V1BETA1, "command": program, "args": arguments, **more}
    theirs, ours, said = bench.both({"config": named(bench.config({"exec": by_plugin}), cluster, user, context)})
    assert (theirs, ours) == (None, None)
    assert f"'{program}'" in said
    assert maker != "GKE" or "by gcloud components" in said


@pytest.mark.parametrize(
    ("maker", "names", "by_certificate"),
    [
        (
            "OpenShift",
            ("api-prod-example:6443", "jane/api-prod-example:6443", "shop/api-prod-example:6443/jane"),
            False,
        ),
        ("OpenShift, certificate", ("prod", "admin", "admin"), True),
        ("kind", ("kind-kind", "kind-kind", "kind-kind"), True),
        ("minikube", ("minikube", "minikube", "minikube"), True),
        ("k3s and RKE2", ("default", "default", "default"), True),
        ("microk8s", ("microk8s-cluster", "admin", "microk8s"), False),
        ("Docker Desktop", ("docker-desktop", "docker-desktop", "docker-desktop"), True),
        ("Rancher", ("prod", "kubeconfig-u-b4qkhsnliz", "prod"), False),
    ],
)
def test_kubeconfig_of_a_maker_leads_to_the_same_account(
    bench: Bench, maker: str, names: tuple[str, str, str], by_certificate: bool
) -> None:
    token = "kubeconfig-u-b4qkhsnliz:xq8d/5+w==" if maker == "Rancher" else "sha256~Jm0_9a-b"
    config = named(bench.config(bench.mine if by_certificate else {"token": token}), *names)
    if maker == "minikube":  # which names files, and notes who wrote what
        (bench.folder / "certs").mkdir()
        for name in ("me.crt", "me.key", "server.crt"):
            (bench.folder / "certs" / name).write_bytes((bench.folder / name).read_bytes())
        note = [{"name": "cluster_info", "extension": {"provider": "minikube.sigs.k8s.io", "version": "v1.36.0"}}]
        trusted = {"server": bench.server.url, "certificate-authority": "certs/server.crt", "extensions": note}
        config["clusters"][0]["cluster"] = trusted
        config["contexts"][0]["context"]["extensions"] = note
        files = {"client-certificate": "certs/me.crt", "client-key": "certs/me.key"}
        config["users"][0]["user"] = files
    theirs, ours, said = bench.both({"config": config})
    assert theirs == ours == ([] if by_certificate else [("authorization", f"Bearer {token}")]), said


def named(config: Object, cluster: str, user: str, context: str) -> Object:
    """Gives cluster, user and context the names that a maker's tool gives them."""
    config["clusters"][0]["name"], config["users"][0]["name"] = cluster, user
    there = {"cluster": cluster, "user": user, "namespace": "default"}
    config |= {"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": context}
    config["contexts"] = [{"name": context, "context": there}]
    return config
