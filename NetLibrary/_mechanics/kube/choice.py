"""Decides which cluster a run talks to, and says why."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from NetLibrary._mechanics.errors import InputError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Choice:
    """The cluster that was chosen.

    Args:
        source: `kubeconfig`, `in-cluster` or `lab`.
        reason: Half a sentence for the console: where the choice came from; makes no difference between two choices.
        kubeconfig: Files to read, in kubectl's order; empty for the other sources.
        context: Context of the kubeconfig; None for its current one.
        lab: Name of the lab when the source is `lab`.
    """

    source: str
    reason: str = field(compare=False)
    kubeconfig: tuple[Path, ...] = ()
    context: str | None = None
    lab: str = "default"

    def __str__(self) -> str:
        files = ", ".join(map(str, self.kubeconfig)) or self.source
        context = f", context '{self.context}'" if self.context else ""
        return f"{files}{context} ({self.reason})"


def choose(
    kubeconfig: str | Path | None = None,
    *,
    variable: str | None = None,
    force: str | None = None,
    context: str | None = None,
    environment: dict[str, str] | None = None,
    home: Path | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> Choice:
    """Chooses by a fixed order: argument, variable, environment, service account, home, and at last the lab.

    Args:
        kubeconfig: Value of a keyword or import argument; several files are separated by `:` as kubectl does.
        variable: Value of the Robot variable `${KUBECONFIG}`.
        force: `lab` or `lab:NAME` takes the lab whatever else is there; `kubeconfig` never falls back to the lab. A lab
            without a name is the one that the environment's `NETLIBRARY_LAB` names, else `default`.
        context: Context of the kubeconfig, refused where none is used.
        environment: Stands in for the process' environment in tests.
        home: Stands in for the home folder in tests.
        service_account: Where Kubernetes mounts a pod's credentials.

    Raises:
        InputError: A file that was named does not exist, `force` is not one of its words, or there is no kubeconfig for
            the context.
    """
    environment = dict(os.environ) if environment is None else environment
    usual = environment.get("NETLIBRARY_LAB") or "default"
    if force:
        word, _, name = force.partition(":")
        if word == "lab":
            _refuse_context(context, "CLUSTER asks for the lab")
            return Choice("lab", "CLUSTER asks for the lab", lab=name or usual)
        if word != "kubeconfig":
            raise InputError(f"CLUSTER is '{force}'; allowed: 'lab', 'lab:NAME' and 'kubeconfig'.")
    for value, origin in (
        (kubeconfig, "the argument 'kubeconfig'"),
        (variable, "the variable ${KUBECONFIG}"),
        (environment.get("KUBECONFIG"), "the environment variable KUBECONFIG"),
    ):
        if value:
            return Choice("kubeconfig", f"named by {origin}", _files(str(value), origin), context)
    default = (home or Path.home()) / ".kube" / "config"
    if (service_account / "token").exists() and environment.get("KUBERNETES_SERVICE_HOST"):
        _refuse_context(context, "no kubeconfig is given, and the service account of this pod has none")
        other = "; ~/.kube/config, which kubectl would use, is ignored" if default.exists() else ""
        return Choice("in-cluster", f"this process runs in a pod{other}")
    if default.exists():
        return Choice("kubeconfig", "~/.kube/config is there", (default,), context)
    if force == "kubeconfig":
        raise InputError("CLUSTER is 'kubeconfig', but no kubeconfig is given and ~/.kube/config does not exist.")
    _refuse_context(context, "no kubeconfig is given and ~/.kube/config does not exist")
    return Choice("lab", "no kubeconfig is given and ~/.kube/config does not exist", lab=usual)


def _refuse_context(context: str | None, why: str) -> None:
    if context:
        raise InputError(f"The context '{context}' was requested, but {why}; a context is part of a kubeconfig.")


def _files(value: str, origin: str) -> tuple[Path, ...]:
    files = tuple(Path(part).expanduser() for part in value.split(os.pathsep) if part)
    # kubectl ignores missing members of a list as long as one is there; a single missing file is a mistake
    for file in files:
        if file.is_dir():
            raise InputError(f"The kubeconfig '{value}', named by {origin}, is not usable: '{file}' is a folder.")
    present = tuple(file for file in files if file.exists())
    if not present:
        raise InputError(f"The kubeconfig '{value}', named by {origin}, does not exist.")
    return present
