"""Makes the examples of a page of the documentation into a suite that runs."""

from __future__ import annotations

import re
from pathlib import Path


def suite_of_page(page: Path, target: Path) -> Path:
    """Writes all blocks of a page in Robot syntax into one suite, in their order; sections may come again.

    Args:
        page: The page.
        target: Suite to write.
    Returns:
        The suite.
    """
    blocks = re.findall(r"^```robotframework\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(blocks))
    return target
