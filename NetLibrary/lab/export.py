"""Archives of the suites' images, for registries that no other registry can be reached from.

What the project makes itself is assembled, and so are equivalents of published images, from programs of this machine;
a copying program takes the published ones as they are.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from NetLibrary._mechanics.defaults import FORTIO_IMAGE
from NetLibrary._mechanics.errors import EnvironmentProblem
from NetLibrary._mechanics.images import Image
from NetLibrary.lab import build, recipes
from NetLibrary.lab.console import Say
from NetLibrary.lab.images import Recipe, assemble
from NetLibrary.lab.networks import catalogue, programs
from NetLibrary.lab.paths import cache

TOPICS = ("cyperf", "e2sar", "skupper")
# Programs that copy an image from a registry into an archive: {source} as published, {target} as the mirror has it
_PULL_AND_SAVE = (("pull", "{source}"), ("tag", "{source}", "{target}"), ("save", "-o", "{file}", "{target}"))
COPIERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "skopeo": (("copy", "docker://{source}", "docker-archive:{file}:{target}"),),
    **dict.fromkeys(("podman", "docker", "nerdctl"), _PULL_AND_SAVE),
}
LIMIT_SECONDS = 900
CATALOGUE = "images.json"


@dataclass(frozen=True)
class Exported:
    """One image of an export.

    Args:
        reference: Name under which pods ask for it.
        archive: File in the folder; empty when there is none.
        id: Digest of its configuration, which nodes show as the image's id.
        size: Bytes.
        origin: `assembled`, the program that copied it, or why it is not there.
    """

    reference: str
    archive: str
    id: str
    size: int
    origin: str


def export(images: Iterable[Image], registry: str, folder: Path, say: Say, copier: str = "") -> list[Exported]:
    """Writes an archive of each image that can be had, and a catalogue of them.

    Args:
        images: Which.
        registry: Registry of the mirror, as the variable REGISTRY has it; empty keeps the names.
        folder: Where to.
        say: Tells what takes time.
        copier: Program that copies published images; empty assembles equivalents where there is a recipe.
    Returns:
        Each image once, those without an archive included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for image in images:
        if copier and image.origin == "public":
            done.append(_copy(image, image.at(registry), folder, copier, say))
        else:
            done.append(_assemble(image, image.at(registry), folder, say))
    (folder / CATALOGUE).write_text(json.dumps([asdict(each) for each in done], indent=1) + "\n", encoding="utf-8")
    return done


def recipe_of(reference: str, say: Say) -> Recipe | None:
    """Returns the recipe of an image; None when there is none for it."""
    default = _with(recipes.default(Path(), cache() / "images"), reference)
    if reference == FORTIO_IMAGE:
        return catalogue.tool("fortio", programs.programs(["fortio"], say)["fortio"])
    if default is None:
        others = (importlib.import_module(f"NetLibrary.standins.{topic}").RECIPES for topic in TOPICS)
        return next((found for each in others if (found := _with(each, reference))), None)
    if any(isinstance(content, Path) for content in default.files.values()):
        # The lab builds the program in it, where the cache does not have it
        return _with(recipes.default(build.programs(say), cache() / "images"), reference)
    return default


def _with(found: Iterable[Recipe], reference: str) -> Recipe | None:
    return next((recipe for recipe in found if reference in recipe.references), None)


def _assemble(image: Image, target: str, folder: Path, say: Say) -> Exported:
    recipe = recipe_of(image.reference, say)
    if recipe is None:
        return Exported(target, "", "", 0, f"not here: {image.needs}; copy it with --with, or name your own")
    say(f"assembling {target}")
    made = assemble(replace(recipe, references=(target,)), cache() / "exports")
    file = folder / _file_name(target)
    file.write_bytes(made.read_bytes())
    return Exported(target, file.name, image_id(file), file.stat().st_size, "assembled")


def _copy(image: Image, target: str, folder: Path, copier: str, say: Say) -> Exported:
    file = folder / _file_name(target)
    file.unlink(missing_ok=True)
    say(f"copying {image.reference} with {copier}")
    for words in COPIERS[copier]:
        command = [copier, *(word.format(source=image.reference, target=target, file=file) for word in words)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        except FileNotFoundError:
            raise EnvironmentProblem(f"There is no program '{copier}' on PATH.") from None
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout).strip().splitlines() or [f"exit status {error.returncode}"]
            return Exported(target, "", "", 0, f"not here: {copier} says: {lines[-1]}")
        except subprocess.TimeoutExpired:
            return Exported(target, "", "", 0, f"not here: {copier} did not end within {LIMIT_SECONDS} s")
    return Exported(target, file.name, image_id(file), file.stat().st_size, f"copied with {copier}")


def _file_name(reference: str) -> str:
    return "".join(sign if sign.isalnum() or sign in ".-" else "_" for sign in reference) + ".tar"


def image_id(archive: Path) -> str:
    """Returns the digest of the image's configuration in an archive in the format of `docker save`."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest, "an archive in this format has a manifest"
        config = str(json.load(manifest)[0]["Config"])
    return "sha256:" + config.rpartition("/")[2].removesuffix(".json")
