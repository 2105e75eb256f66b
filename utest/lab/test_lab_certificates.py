"""Credentials: each component has its own, and none more rights than it needs."""

import base64
import json
import socket
import ssl
import threading
from contextlib import closing

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from NetLibrary.lab import components, node_files
from NetLibrary.lab.paths import Paths
from NetLibrary.lab.plan import AddressPlan
from NetLibrary.standins.cyperf.controller import certificate as cyperf_certificate
from NetLibrary.standins.skupper.runtime import certs as skupper_certificates


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    plan, paths = AddressPlan("x", 1, 2), Paths(tmp_path_factory.mktemp("lab"))
    components.certificates(plan, paths)
    return plan, paths


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def subject(path):
    name = load(path).subject
    groups = [a.value for a in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, groups


def test_kubelets_are_nodes_and_no_administrators(lab):
    _, paths = lab
    assert subject(paths.pki / "node1.crt") == ("system:node:node1", ["system:nodes"])
    assert subject(paths.pki / "node2.crt") == ("system:node:node2", ["system:nodes"])


def test_only_administrator_and_api_server_are_masters(lab):
    _, paths = lab
    masters = {path.stem for path in paths.pki.glob("*.crt") if "system:masters" in subject(path)[1]}
    assert masters == {"admin", "apiserver-kubelet"}


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("kube-proxy", "system:kube-proxy"),
        ("kube-scheduler", "system:kube-scheduler"),
        ("kube-controller-manager", "system:kube-controller-manager"),
        ("load-balancer", "netlibrary:load-balancer"),
    ],
)
def test_components_have_the_users_that_upstream_roles_name(lab, name, user):
    _, paths = lab
    assert subject(paths.pki / f"{name}.crt") == (user, [])
    assert (paths.credentials / name).exists()


def test_certificates_are_signed_by_the_labs_authority(lab):
    _, paths = lab
    authority = load(paths.pki / "ca.crt")
    for path in paths.pki.glob("*.crt"):
        if path.stem != "ca":
            load(path).verify_directly_issued_by(authority)


def test_api_server_answers_to_all_its_names(lab):
    plan, paths = lab
    names = load(paths.pki / "apiserver.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(a) for a in names.get_values_for_type(x509.IPAddress)} >= {
        plan.host,
        str(plan.services[1]),
        "127.0.0.1",
    }
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_clients_cannot_act_as_servers(lab):
    _, paths = lab
    usage = load(paths.pki / "kube-proxy.crt").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_and_kubeconfigs_are_for_root_alone(lab):
    _, paths = lab
    for path in [*paths.pki.glob("*.key"), paths.kubeconfig, *paths.credentials.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.root
def test_kubeconfig_belongs_to_the_user_behind_sudo(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_UID", "4711")
    monkeypatch.setenv("SUDO_GID", "4712")
    paths = Paths(tmp_path)
    components.certificates(AddressPlan("x", 1, 1), paths)
    assert (paths.kubeconfig.stat().st_uid, paths.kubeconfig.stat().st_gid) == (4711, 4712)
    assert (paths.pki / "ca.key").stat().st_uid == 0


def test_kubeconfig_holds_all_it_needs(lab):
    plan, paths = lab
    config = json.loads(paths.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == plan.api
    held = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    assert held == (paths.pki / "ca.crt").read_bytes()
    assert "client-key" not in config["users"][0]["user"]


def test_api_server_uses_the_node_authorizer(lab, tmp_path):
    plan, paths = lab
    command = components.control_plane(plan, paths, tmp_path / "labnode", components.Options())["kube-apiserver"]
    assert "--authorization-mode=Node,RBAC" in command
    assert "--enable-admission-plugins=NodeRestriction" in command


def test_options_reach_the_components(lab, tmp_path):
    plan, paths = lab
    options = components.Options(proxy_mode="nftables", mtu=1400, extra={"kube-scheduler": ["--v=5"]})
    node_files.write(plan, paths, 1, options, "/x", "overlayfs")
    assert json.loads((paths.node(1) / "etc" / "kube-proxy.json").read_text())["mode"] == "nftables"
    assert json.loads((paths.node(1) / "cni" / "10-lab.conflist").read_text())["plugins"][0]["mtu"] == 1400
    assert components.control_plane(plan, paths, tmp_path, options)["kube-scheduler"][-1] == "--v=5"


def test_loopback_name_servers_are_not_given_to_pods(tmp_path, monkeypatch):
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.1\n")
    monkeypatch.setattr(node_files, "RESOLVERS", (stub, real))
    assert node_files.resolver() == real
    stub.write_text("nameserver 192.0.2.9\n")
    assert node_files.resolver() == stub


# --- what Python 3.13 made the default: certificates are held to RFC 5280 -------------------------------------


def shake_hands(authority, certificate, key, name):
    """Connects a client that is as strict as can be to a server with this certificate."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    asking = ssl.create_default_context(cafile=str(authority))
    asking.verify_flags |= ssl.VERIFY_X509_STRICT | getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0)
    here, there = socket.socketpair()

    def serve():
        try:
            serving.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        with closing(asking.wrap_socket(here, server_hostname=name)) as connection:
            return connection.version()
    finally:
        here.close()
        server.join(10)


def test_strict_clients_accept_the_api_server(lab):
    plan, paths = lab
    server = paths.pki / "apiserver.crt", paths.pki / "apiserver.key"
    assert shake_hands(paths.pki / "ca.crt", *server, plan.host) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(paths.pki / "ca.crt", *server, "198.51.100.1")


def test_strict_clients_accept_the_stand_ins(tmp_path):
    cyperf_certificate.write(tmp_path, ["controller.test"])
    assert shake_hands(tmp_path / "tls.crt", tmp_path / "tls.crt", tmp_path / "tls.key", "controller.test")
    authority = skupper_certificates.new_authority("site")
    pair = skupper_certificates.issue(authority, "router", ["router.test"], client=True, server=True)
    for name, text in (("s.crt", pair.certificate), ("s.key", pair.key), ("a.crt", pair.authority)):
        (tmp_path / name).write_bytes(text)
    assert shake_hands(tmp_path / "a.crt", tmp_path / "s.crt", tmp_path / "s.key", "router.test")
