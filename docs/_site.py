"""Pages that the site has beside those in this folder, made from the project's own files: they cannot differ."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"index.md": "README.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}
# Pages link to them, and readers want to see them
SHOWN = (
    "suites/*.robot",
    "resources/*.resource",
    "manifests/**/*.yaml",
    "benchmarks/*.py",
    "NetLibrary/_mechanics/*.json",
    "NetLibrary/lab/networks/**/*",
    ".ci/*",
    "Jenkinsfile",
    "robot.toml",
    "LICENSE",
)
_folder = tempfile.TemporaryDirectory(prefix="netlibrary-docs-")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds README and its like, the files that pages link to, keyword documentation and the reference of records."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    documented = sorted(_keyword_pages(config, files))
    listed = "\n".join(f"- [{Path(name).stem}]({name}): {text}" for name, text in documented)
    files.append(File.generated(config, "keywords.md", content=f"# Keywords\n\n{listed}\n"))
    files.append(File.generated(config, "records.md", content=records()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Makes links of files in a clone into links of the site, where `docs` is the top."""
    return re.sub(r"\]\((?:\.\./|docs/)", "](", markdown)


def _keyword_pages(config: MkDocsConfig, files: Files) -> list[tuple[str, str]]:
    from robot.libdoc import LibDoc
    from robot.libdocpkg import LibraryDocumentation

    found = []
    for source in ["NetLibrary", *(str(path) for path in sorted((ROOT / "resources").glob("*.resource")))]:
        name = Path(source).stem
        target = Path(_folder.name, f"{name}.html")
        LibDoc().execute(source, str(target), quiet=True)
        files.append(File.generated(config, f"keywords/{name}.html", abs_src_path=str(target)))
        text = LibraryDocumentation(source).doc.split("\n\n")[0].replace("\n", " ")
        found.append((f"keywords/{name}.html", "the library" if source == "NetLibrary" else text))
    return found


def records() -> str:
    """Returns the reference of `measurements.jsonl`, made from its schema."""
    schema = json.loads((ROOT / "NetLibrary" / "_mechanics" / "measurements.schema.json").read_text())
    lines = [
        "# Records", "",
        "Each measurement is one line of JSON in `measurements.jsonl` in the output folder. This page comes from "
        "its [schema](NetLibrary/_mechanics/measurements.schema.json); tests validate every record.", "",
    ]  # fmt: skip
    if schema.get("description"):
        lines += [schema["description"], ""]
    lines += _table("The record", schema, schema)
    for name, part in schema.get("$defs", {}).items():
        if part.get("properties"):
            lines += _table(name, part, schema)
    return "\n".join(lines) + "\n"


def _table(title: str, part: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    required = set(part.get("required", []))
    rows = [f"| `{name}` | {_type(field)} | {'yes' if name in required else ''} | {_said(field, schema)} |"
            for name, field in part.get("properties", {}).items()]  # fmt: skip
    return [f"## {title}", "", *([part["description"], ""] if part.get("description") else []),
            "| field | type | required | meaning |", "| --- | --- | --- | --- |", *rows, ""]  # fmt: skip


def _type(field: Any) -> str:
    if not isinstance(field, dict):
        return "any"
    if "$ref" in field:
        return f"[{field['$ref'].rsplit('/', 1)[-1]}](#{field['$ref'].rsplit('/', 1)[-1].lower()})"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type", "any")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text} of {_type(field['items'])}" if isinstance(field.get("items"), dict) else text


def _said(field: Any, schema: dict[str, Any]) -> str:
    if not isinstance(field, dict):
        return ""
    if "$ref" in field and not field.get("description"):
        field = schema.get("$defs", {}).get(field["$ref"].rsplit("/", 1)[-1], {})
    return str(field.get("description", "")).replace("|", "\\|").replace("\n", " ")
