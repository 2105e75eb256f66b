"""Assembled images: reproducible, honest about themselves, and complete."""

import io
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from NetLibrary._mechanics.errors import EnvironmentProblem, InputError
from NetLibrary.lab import contents, images
from NetLibrary.lab.contents import FileTree
from NetLibrary.lab.images import Recipe, assemble, check_archive

SH = "/bin/sh:/bin/sh"


def read(archive: Path):
    """Returns manifest, config and the files of all layers of an archive."""
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = json.load(tar.extractfile(manifest["Config"]))
        files = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(tar.extractfile(layer).read())) as inner:
                files.update({member.name: member for member in inner.getmembers()})
    return manifest, config, files


def plain(**more):
    return Recipe(
        **{"name": "plain", "references": ("example.org/plain:1",), "shell": False, "programs": (SH,), **more}
    )


def test_same_recipe_gives_the_same_bytes(tmp_path):
    one, other = assemble(plain(), tmp_path / "a"), assemble(plain(), tmp_path / "b")
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()


def test_cached_image_is_not_assembled_again(tmp_path, monkeypatch):
    first = assemble(plain(), tmp_path)
    monkeypatch.setattr(images, "_write_archive", lambda *_: pytest.fail("assembled again"))
    assert assemble(plain(), tmp_path) == first


@pytest.mark.parametrize(
    "change",
    [
        {"env": {"A": "1"}},
        {"cmd": ("x",)},
        {"files": {"/a": b"1"}},
        {"stand_in_for": "Thing"},
        {"programs": (SH, "ls")},
        {"references": ("example.org/plain:2",)},
    ],
)
def test_every_part_of_a_recipe_is_in_its_key(change):
    assert plain(**change).key() != plain().key()


def test_changed_file_gives_another_image(tmp_path):
    file = tmp_path / "file"
    file.write_text("one")
    recipe = plain(files={"/file": file})
    before = recipe.key()
    file.write_text("other")
    assert recipe.key() != before


def test_failed_assembly_leaves_nothing_in_the_cache(tmp_path):
    with pytest.raises(EnvironmentProblem, match="is needed for an image and is not a file"):
        assemble(plain(files={"/x": tmp_path / "missing"}), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_image_says_that_it_was_assembled_and_what_stands_in(tmp_path):
    _, config, _ = read(assemble(plain(stand_in_for="Thing"), tmp_path))
    labels = config["config"]["Labels"]
    assert "assembled by NetLibrary's lab" in labels["org.opencontainers.image.description"]
    assert labels["io.netlibrary.stand-in"] == "Thing"
    _, config, _ = read(assemble(plain(), tmp_path))
    assert "io.netlibrary.stand-in" not in config["config"]["Labels"]


def test_archive_has_what_the_recipe_says(tmp_path):
    recipe = plain(
        files={"/etc/x": b"data", "/run.sh": b"#!/bin/sh\n"},
        entrypoint=("/bin/sh",),
        cmd=("-c", "true"),
        env={"B": "2"},
    )
    manifest, config, files = read(assemble(recipe, tmp_path))
    assert manifest["RepoTags"] == ["example.org/plain:1"]
    assert config["config"]["Entrypoint"] == ["/bin/sh"]
    assert config["config"]["Cmd"] == ["-c", "true"]
    assert "B=2" in config["config"]["Env"]
    assert files["etc/x"].mode == 0o644
    assert files["run.sh"].mode == 0o755
    assert all(member.mtime == 0 and member.uid == 0 for member in files.values())


def test_program_comes_with_its_libraries_and_their_loader(tmp_path):
    _, _, files = read(assemble(plain(), tmp_path))
    assert any("libc.so" in name for name in files)
    assert any("ld-linux" in name for name in files)


def test_equal_layers_are_shared_between_images(tmp_path):
    one = Recipe("one", ("example.org/one:1",), programs=("ls",))
    other = Recipe("other", ("example.org/other:1",), programs=("cat",))
    first, second = read(assemble(one, tmp_path)), read(assemble(other, tmp_path))
    assert first[0]["Layers"][0] == second[0]["Layers"][0]
    assert first[0]["Layers"][1] != second[0]["Layers"][1]


@pytest.mark.parametrize("reference", ["example.org/x", "localhost:5000/x", "x"])
def test_references_that_kubernetes_would_always_pull_are_refused(reference):
    with pytest.raises(InputError, match="a tag is needed"):
        Recipe("x", (reference,))


def test_missing_program_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "SEARCH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"'iperf3' is needed for the image 'x'.*apt-get install iperf3"):
        assemble(Recipe("x", ("example.org/x:1",), programs=("iperf3",), shell=False), tmp_path)
    assemble(Recipe("x", ("example.org/x:1",), programs=("iperf3?",), shell=False), tmp_path)


def test_missing_package_is_named(tmp_path):
    with pytest.raises(EnvironmentProblem, match="Python package 'no-such-package'"):
        assemble(Recipe("x", ("example.org/x:1",), python_packages=("no-such-package",), shell=False), tmp_path)


def test_packages_come_with_what_they_need():
    places = {place.split("/")[0] for _, place in contents.package_files(["jinja2"])}
    assert {"jinja2", "markupsafe"} <= places


def test_later_file_replaces_an_earlier_one_of_the_same_path():
    tree = FileTree()
    tree.add("/a", b"one")
    tree.add("/a", b"two")
    with tarfile.open(fileobj=io.BytesIO(tree.tar())) as tar:
        assert [m.name for m in tar.getmembers()] == ["a"]
        assert tar.extractfile("a").read() == b"two"


def test_byte_code_is_taken_without_a_look_at_time_stamps(tmp_path):
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    code = contents._compiled(source, "/usr/local/lib/module.py")
    assert code is not None
    assert int.from_bytes(code[4:8], "little") == 1  # PEP 552: hash-based, unchecked
    bad = tmp_path / "bad.py"
    bad.write_text("not python at all")
    assert contents._compiled(bad, "/bad.py") is None


def test_unreadable_archives_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_archive(tmp_path / "none.tar")
    text = tmp_path / "text.tar"
    text.write_text("no archive")
    with pytest.raises(InputError, match="cannot be read"):
        check_archive(text)
    empty = tmp_path / "empty.tar"
    with tarfile.open(empty, "w") as tar:
        tar.add(text, "text")
    with pytest.raises(InputError, match="contains no image"):
        check_archive(empty)
    good = assemble(plain(), tmp_path)
    assert check_archive(good) == ["example.org/plain:1"]
    cut = tmp_path / "cut.tar"
    cut.write_bytes(good.read_bytes()[:700])
    with pytest.raises(InputError, match="cannot be read"):
        check_archive(cut)


@pytest.mark.root
def test_python_of_an_image_runs(tmp_path):
    """Unpacks the layers, and runs the interpreter within them."""
    import subprocess

    if os.path.realpath(sys.base_prefix) == "/usr/local":
        pytest.skip("the interpreter of this machine lies at the place it has in images")
    archive = assemble(Recipe("py", ("example.org/py:1",), python=True), tmp_path)
    root = tmp_path / "root"
    with tarfile.open(archive) as tar:
        for layer in json.load(tar.extractfile("manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(tar.extractfile(layer).read())) as inner:
                inner.extractall(root)
    program = (
        "import ssl, json, socket, sys, os; print(sys.prefix, sorted(os.listdir('/'))[0], ssl.OPENSSL_VERSION[:7])"
    )
    said = subprocess.run(["chroot", root, "/usr/local/bin/python3", "-c", program], capture_output=True, text=True)
    assert said.stdout.startswith("/usr/local bin OpenSSL"), said.stderr
