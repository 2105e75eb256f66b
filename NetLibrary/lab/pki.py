"""Certificates and kubeconfigs of a lab: every component has credentials of its own, as in any good cluster."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=3650)


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1 ("EC PRIVATE KEY") is what every reader of keys in Kubernetes understands
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


class Authority:
    """A certificate authority with its folder of certificates. Elliptic curve keys cost a millisecond each.

    Args:
        folder: Where `NAME.crt` and `NAME.key` are written.
        name: Common name of the authority.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        # clocks of labs do not differ, but a step of the machine's clock must not make certificates "not yet valid"
        self._from = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            self._builder(self._subject, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)
        _write(self.certificate("ca"), self.pem)
        _write(self.key("ca"), _key_bytes(self._key), 0o600)

    def certificate(self, name: str) -> Path:
        """Path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Path of a private key."""
        return self.folder / f"{name}.key"

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._from)
            .not_valid_after(self._from + LIFETIME)
            # RFC 5280, 4.2.1.1 and 4.2.1.2 ask for both; Python 3.13 and later refuse certificates without them
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def issue(self, name: str, user: str, *, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> None:
        """Makes a certificate and its key.

        Args:
            name: Name of the files.
            user: Common name; Kubernetes takes it for the user's name.
            groups: Organizations; Kubernetes takes them for the user's groups.
            hosts: Addresses and DNS names that a server answers to.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._builder(x509.Name(attributes), key)
        if hosts:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(h) for h in hosts]), critical=False
            )
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        _write(self.certificate(name), signed.public_bytes(serialization.Encoding.PEM))
        _write(self.key(name), _key_bytes(key), 0o600)

    def signing_pair(self, name: str) -> None:
        """Makes the pair of keys with which service account tokens are signed and checked."""
        key = ec.generate_private_key(ec.SECP256R1())
        _write(self.key(name), _key_bytes(key), 0o600)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write(self.folder / f"{name}.pub", public)

    def kubeconfig(self, path: Path, cluster: str, server: str, name: str) -> None:
        """Writes a kubeconfig that holds all it needs, so that it may be copied elsewhere.

        Args:
            path: File to write.
            cluster: Name of the cluster and of the context.
            server: URL of the API server.
            name: Whose certificate to use.
        """

        def encoded(data: bytes) -> str:
            return base64.b64encode(data).decode()

        user = {
            "client-certificate-data": encoded(self.certificate(name).read_bytes()),
            "client-key-data": encoded(self.key(name).read_bytes()),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": cluster, "cluster": {"server": server, "certificate-authority-data": encoded(self.pem)}}
            ],
            "users": [{"name": f"{cluster}-{name}", "user": user}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": f"{cluster}-{name}"}}],
            "current-context": cluster,
        }
        _write(path, json.dumps(config, indent=1).encode(), 0o600)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
