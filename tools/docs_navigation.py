"""MkDocs hook: the navigation follows the folders, so that adding a page is adding a file and nothing else."""

from pathlib import Path
from typing import Any

SECTIONS = {
    "tutorials": "Tutorials",
    "how-to": "How to",
    "reference": "Reference",
    "explanations": "Explanations",
}
"""Folders of the documentation, in the order in which they are read."""


def on_config(config: Any) -> Any:
    """Fill in the navigation: the front page, then each section that has pages."""
    docs = Path(config["docs_dir"])
    sections = [{title: pages(docs, docs / name)} for name, title in SECTIONS.items()]
    config["nav"] = [{"firstlight": "index.md"}, *(section for section in sections if any(section.values()))]
    return config


def pages(docs: Path, folder: Path) -> list[Any]:
    """List the pages of a folder: its index first, then its files, then its subfolders."""
    files = sorted(folder.glob("*.md"), key=lambda path: (path.name != "index.md", path.name))
    folders = sorted(path for path in folder.glob("*/") if any(path.rglob("*.md")))
    listed: list[Any] = [path.relative_to(docs).as_posix() for path in files]
    return [*listed, *({path.name.capitalize(): pages(docs, path)} for path in folders)]
