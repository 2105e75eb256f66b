"""What an image and a place are like, read from what the inspecting pod printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from NetLibrary._mechanics import defaults, errors
from NetLibrary._mechanics.e2sar.parameters import Surroundings
from NetLibrary._mechanics.secrets import head

NEEDED_OPTIONS = (
    "--send",
    "--recv",
    "--uri",
    "--length",
    "--num",
    "--mtu",
    "--rate",
    "--bufsize",
    "--duration",
    "--port",
)


@dataclass
class Inspection:
    """What an image and a place are like: version and options of `e2sar_perf`, limits of the kernel, MTU of a pod."""

    image: str
    version: str
    options: frozenset[str]
    around: Surroundings
    stand_in: bool


def read_inspection(image: str, text: str) -> Inspection:
    """Reads what the inspecting pod printed.

    Raises:
        errors.EnvironmentProblem: The image has no `e2sar_perf`, or one that this cannot work with.
    """
    if re.search(r"^no e2sar_perf$", text, re.MULTILINE):
        raise errors.EnvironmentProblem(
            f"Image '{image}' has no e2sar_perf on its PATH; choose another with image=, for instance "
            f"'{defaults.E2SAR_IMAGE}'."
        )
    knobs = dict(re.findall(r"^/\S*/(rmem_max|wmem_max|mtu) (\d+)$", text, re.MULTILINE))
    options = frozenset(re.findall(r"--[A-Za-z0-9]+", text))
    version = re.search(r"E2SAR Version:\s*(.*)", text)
    missing = [option for option in NEEDED_OPTIONS if option not in options]
    if missing:
        said = head(text.strip().splitlines()[-1], 200) if text.strip() else "it printed nothing"
        raise errors.EnvironmentProblem(
            f"The e2sar_perf of image '{image}' ({version[1].strip() if version else 'no version line'}) is not "
            "supported: "
            f"--help does not show {', '.join(missing)}. Its last words: {said}. Supported are 0.1.4 to 0.3.2 and "
            "later "
            "ones with these options."
        )
    name = version[1].strip() if version else ""
    around = Surroundings(
        pod_mtu=int(knobs["mtu"]) if "mtu" in knobs else None,
        rmem_max=int(knobs["rmem_max"]) if "rmem_max" in knobs else None,
        wmem_max=int(knobs["wmem_max"]) if "wmem_max" in knobs else None,
    )
    stand_in = "stand-in" in name
    return Inspection(image, name, options, replace(around, sender_startup_seconds=1.0 if stand_in else 10.0), stand_in)
