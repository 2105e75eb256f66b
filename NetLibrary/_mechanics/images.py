"""The images that the suites use: one table, which documentation, commands and tests read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics import defaults


@dataclass(frozen=True)
class Image:
    """One image.

    Args:
        reference: Where it is by default.
        variable: Variable of suites that names another one; empty where only `REGISTRY` moves it.
        suites: Suites that run it.
        needs: What it must contain, in words.
        origin: `public`, the file in the project that builds it, or the lab.
    """

    reference: str
    variable: str
    suites: tuple[str, ...]
    needs: str
    origin: str = "public"

    def at(self, registry: str) -> str:
        """Returns the reference with `REGISTRY` taken into account."""
        from NetLibrary._mechanics.kube.pods import in_registry

        return in_registry(self.reference, registry)


# Built by the lab alone, and published nowhere
LAB = "the lab only"
IMAGES = (
    Image(
        defaults.AGNHOST_IMAGE,
        "MATRIX_IMAGE, POLICY_IMAGE, APPLICATION_IMAGE",
        ("service_matrix", "network_policies", "own_application"),
        "agnhost and a shell",
    ),
    Image(
        defaults.IPERF3_IMAGE,
        "SKUPPER_IPERF3_IMAGE, THROUGHPUT_IMAGE, APPLICATION_IPERF3_IMAGE",
        ("skupper_iperf3", "throughput", "own_application"),
        "iperf3 and a shell",
    ),
    Image(
        defaults.FORTIO_IMAGE,
        "THROUGHPUT_FORTIO_IMAGE",
        ("throughput",),
        "fortio as its entrypoint",
    ),
    Image(
        defaults.PYTHON_IMAGE,
        "OUTAGE_PROBE_IMAGE, APPLICATION_TOOLS_IMAGE",
        ("network_break", "own_application"),
        "python3; iperf3 for the streams beside the probes",
    ),
    Image(
        defaults.PROBE_IMAGE,
        "OUTAGE_PROBE_IMAGE, APPLICATION_TOOLS_IMAGE",
        ("network_break", "own_application"),
        "the same with iperf3; the lab's default",
        "containers/probe/Containerfile",
    ),
    Image(defaults.E2SAR_IMAGE, "E2SAR_IMAGE", ("e2sar",), "e2sar_perf and a shell"),
    Image("public.ecr.aws/keysight/cyperf-agent:release26.0.1", "CYPERF_AGENT_IMAGE", ("cyperf",), "a CyPerf agent"),
    Image("registry.k8s.io/e2e-test-images/busybox:1.36.1-1", "", ("cyperf",), "sh, cat and date"),
    Image("docker.io/library/busybox:1.36", "HEALTH_IMAGE", ("cluster_health",), "nslookup and a shell"),
    Image("ghcr.io/netlibrary/cyperf-controller-stand-in:1", "", ("cyperf",), "the stand-in's controller", LAB),
    Image("ghcr.io/netlibrary/cyperf-agent-stand-in:1", "CYPERF_STAND_IN_IMAGE", ("cyperf",), "its agent", LAB),
    Image(defaults.E2SAR_STAND_IN_IMAGE, "E2SAR_IMAGE", ("e2sar",), "the stand-in for e2sar_perf", LAB),
)


# Variables that name further images of a suite, empty by default
MORE_VARIABLES = ("E2SAR_SENDER_IMAGE", "E2SAR_RECEIVER_IMAGE", "MATRIX_PROBER_IMAGE")


def _empty(_: str) -> str | None:
    return ""


# Returns the value of a variable, None if the suite that runs has none of the name; a run with Robot puts its own here
value_of: Callable[[str], str | None] = _empty


def help_for(reference: str) -> str:
    """Returns how to have another image, or the same from elsewhere, as a sentence with a blank in front.

    Args:
        reference: An image that cannot be had. It may be one that a suite brings, or one that a variable of the suite
            names; of others nothing is known.

    Example:
        >>> help_for("registry.example/mirror/library/busybox:1.36")
        ' (HEALTH_IMAGE names another image, REGISTRY another registry, PULL_SECRET its credentials)'
        >>> help_for("registry.example/my/app:1")
        ''
    """
    image = next((each for each in IMAGES if f"/{reference}".endswith(f"/{each.reference.partition('/')[2]}")), None)
    if image is None:
        variables = [name for name in _variables() if _is_named_by(name, reference)]
        if not variables:
            return ""
        others = [f"{' or '.join(variables)} names this image"]
    else:
        variables = [name for name in image.variable.split(", ") if name and value_of(name) is not None]
        others = [f"{' or '.join(variables)} names another image"] if variables else []
    names = "" if others else "names "
    return f" ({', '.join([*others, f'REGISTRY {names}another registry', 'PULL_SECRET its credentials'])})"


def _variables() -> list[str]:
    found = [name for image in IMAGES for name in image.variable.split(", ") if name]
    return list(dict.fromkeys([*found, *MORE_VARIABLES]))


def _is_named_by(name: str, reference: str) -> bool:
    from NetLibrary._mechanics.kube.pods import in_registry

    value = str(value_of(name) or "").strip()
    # Nodes tell `busybox` as docker.io/library/busybox
    moved = in_registry(value, str(value_of("REGISTRY") or "").strip().rstrip("/"))
    return bool(value) and any(f"/{reference}".endswith(f"/{each}") for each in (value, moved))


def rows(registry: str = "", suite: str = "") -> list[list[Any]]:
    """Returns a table: image, variable, suites, what it needs, where it comes from."""
    return [
        [image.at(registry), image.variable or "-", ", ".join(image.suites), image.needs, image.origin]
        for image in IMAGES
        if not suite or suite in image.suites
    ]
