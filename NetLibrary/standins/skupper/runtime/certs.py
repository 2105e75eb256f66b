"""Certificates of a site: one signing authority, leaves for servers and clients."""

from __future__ import annotations

import ipaddress
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=5 * 365)


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its key and the certificate of its authority, all PEM."""

    certificate: bytes
    key: bytes
    authority: bytes

    def secret_data(self) -> dict[str, str]:
        """Gives the data of a Secret of type kubernetes.io/tls."""
        return {
            "tls.crt": b64encode(self.certificate).decode(),
            "tls.key": b64encode(self.key).decode(),
            "ca.crt": b64encode(self.authority).decode(),
        }

    @classmethod
    def from_secret(cls, secret: dict) -> KeyPair:
        """Reads a Secret of type kubernetes.io/tls.

        Raises:
            ValueError: A key is missing in the Secret.
        """
        data = secret.get("data") or {}
        if "tls.crt" not in data or "tls.key" not in data:
            raise ValueError("the Secret has no tls.crt and tls.key")
        certificate = b64decode(data["tls.crt"])
        return cls(certificate, b64decode(data["tls.key"]), b64decode(data.get("ca.crt") or data["tls.crt"]))


def _name(subject: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: str) -> x509.CertificateBuilder:
    start = datetime.now(timezone.utc) - timedelta(minutes=5)  # clocks of two clusters may differ
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def new_authority(subject: str) -> KeyPair:
    """Makes a self-signed signing certificate.

    Keys are on the curve P-256: they take a millisecond to make where the RSA keys of the
    real product take some hundred, and no client of the interface looks at the kind of key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(subject)
        .issuer_name(_name(subject))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    return KeyPair(certificate, _pem(key), certificate)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def issue(authority: KeyPair, subject: str, hosts: list[str], *, client: bool, server: bool) -> KeyPair:
    """Makes a leaf certificate signed by an authority."""
    signer = x509.load_pem_x509_certificate(authority.certificate)
    signing_key = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("the authority's key is neither an elliptic curve nor an RSA key")
    key = ec.generate_private_key(ec.SECP256R1())
    purposes = []
    if server:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if client:
        purposes.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = (
        _builder(subject)
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if hosts:
        names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(signing_key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return KeyPair(pem, _pem(key), authority.certificate)


def hosts_of(certificate: bytes) -> set[str]:
    """Gives the DNS names and addresses a PEM certificate is valid for."""
    parsed = x509.load_pem_x509_certificate(certificate)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return addresses | set(names.get_values_for_type(x509.DNSName))


def for_clients(certificate: bytes) -> bool:
    """Tells whether a PEM certificate may be shown by the connecting side."""
    parsed = x509.load_pem_x509_certificate(certificate)
    try:
        usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage
