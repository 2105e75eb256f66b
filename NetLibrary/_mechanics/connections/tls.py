"""Certificates that servers show, seen from sources, and whether they are trusted."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from NetLibrary._mechanics import errors
from NetLibrary._mechanics.connections.relay import Relay
from NetLibrary._mechanics.connections.run import Target
from NetLibrary._mechanics.vantage import Vantage
from NetLibrary._mechanics.verdict import Check, at_least

DAY = 86400.0


@dataclass(frozen=True)
class Certificate:
    """What a server shows.

    Args:
        source: Where it was seen from.
        subject: Whose it is, for instance `CN=web.shop`.
        issuer: Who has signed it.
        names: Names and addresses that it is for.
        not_before: Begin of its validity, in seconds since 1970.
        not_after: End of its validity.
        problem: Why it is not trusted; empty when it is.
        version: Version of TLS.
    """

    source: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    problem: str
    version: str


def context(ca: str) -> ssl.SSLContext:
    """Returns what trusts the authorities of a file or a PEM text, or those of this machine when it is empty.

    Raises:
        InputError: There are no certificates in it.
    """
    try:
        if ca.lstrip().startswith("-----BEGIN"):
            return ssl.create_default_context(cadata=ca)
        if ca and not Path(ca).exists():
            raise errors.InputError(f"ca is '{ca}', which is not a file; give a file or certificates as PEM text.")
        return ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError as error:
        raise errors.InputError(f"ca '{ca[:80]}' contains no certificates: {error.reason or error}.") from error


def any_certificate() -> ssl.SSLContext:
    """Returns what takes any certificate, to look at it."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    return found


def look(source: Vantage, target: Target, name: str, *, ca: str, family: str, limit_seconds: float) -> Certificate:
    """Looks at a server's certificate over one connection, and over another one whether it is trusted.

    Args:
        source: Where from.
        target: Where to.
        name: Name that the server is asked for and must have.
        ca: Authorities, see `context`.
        family: `any`, `ipv4` or `ipv6`.
        limit_seconds: For each step.
    Raises:
        WaitFailed: There is no server, or none that speaks TLS.
    """
    trusting = context(ca)
    with Relay(source, target, family, limit_seconds) as relay:
        try:
            with any_certificate().wrap_socket(relay.socket, server_hostname=name) as secure:
                der, version = secure.getpeercert(binary_form=True), str(secure.version())
        except OSError as error:
            result, words = relay.failure()
            if result == "other" and isinstance(error, ssl.SSLError):
                what = f"{target} seen from '{source.name}' does not speak TLS correctly"
                raise errors.WaitFailed(f"{what}: {error.reason or error}.") from error
            raise errors.WaitFailed(f"{target} cannot be reached from '{source.name}': {result}: {words}.") from error
    return facts(der or b"", source.name, _problem(source, target, name, trusting, family, limit_seconds), version)


def _problem(
    source: Vantage, target: Target, name: str, trusting: ssl.SSLContext, family: str, limit_seconds: float
) -> str:
    with Relay(source, target, family, limit_seconds) as relay:
        try:
            trusting.wrap_socket(relay.socket, server_hostname=name).close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except OSError as error:  # a path that breaks between the two looks says nothing about trust
            what = f"{target} could not be reached a second time from '{source.name}'"
            raise errors.WaitFailed(f"{what}, to check whether its certificate is trusted: {error}.") from error
    return ""


def facts(der: bytes, source: str, problem: str, version: str) -> Certificate:
    """Reads a certificate."""
    from cryptography import x509

    found = x509.load_der_x509_certificate(der)
    try:
        entry = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*entry.get_values_for_type(x509.DNSName), *map(str, entry.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    return Certificate(
        source, found.subject.rfc4514_string(), found.issuer.rfc4514_string(), tuple(names),
        found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp(), problem, version,
    )  # fmt: skip


def judge(
    seen: Certificate, what: str, *, names: Sequence[str], issuer: str, days_at_least: float | None, now: float
) -> list[Check]:
    """Returns the checks of a certificate: trusted, for the names, by the issuer, valid for so long."""
    where = f"Certificate of {what} seen from '{seen.source}'"
    text = f"{where} is not trusted: {seen.problem}."
    checks = [Check(f"{where}: trusted", "yes", "no" if seen.problem else "yes", "", not seen.problem, text)]
    missing = [name for name in names if name not in seen.names]
    if names:
        have = ", ".join(seen.names) or "none"
        text = f"{where} is not for {', '.join(missing)}; its names are {have}."
        checks.append(Check(f"{where}: names", ", ".join(names), have, "", not missing, text))
    if issuer:
        text = f"{where} is issued by '{seen.issuer}'; expected '{issuer}'."
        checks.append(Check(f"{where}: issuer", issuer, seen.issuer, "", issuer in seen.issuer, text))
    if days_at_least is not None:
        left = (seen.not_after - now) / DAY
        end = datetime.fromtimestamp(seen.not_after, timezone.utc).date()
        text = f"{where} expires at {end}, in {left:.1f} days; expected at least {days_at_least:g}."
        checks.append(at_least(f"{where}: days left", days_at_least, round(left, 2), "days", text))
    return checks
