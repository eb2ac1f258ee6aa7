"""MkDocs hook: the navigation follows the folders; where a folder's index has headings with lists of pages, it follows those."""

import logging
import re
from pathlib import Path
from typing import Any

SECTIONS = {
    "tutorials": "Tutorials",
    "how-to": "How to",
    "reference": "Reference",
    "explanations": "Explanations",
}
"""Folders of the documentation, in the order in which they are read."""

_HEADING_OR_LINK = re.compile(r"^## (.+)$|^- \[.+?\]\(([^/)]+\.md)\)", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Fill in the navigation: the front page, then each section that has pages."""
    docs = Path(config["docs_dir"])
    sections = [{title: pages(docs, docs / name)} for name, title in SECTIONS.items()]
    config["nav"] = [{"firstlight": "index.md"}, *(section for section in sections if any(section.values()))]
    return config


def pages(docs: Path, folder: Path) -> list[Any]:
    """List the pages of a folder: its index first, then its files (in the index's groups, if it has any), then its subfolders."""
    place = folder.relative_to(docs)
    files = sorted(path.name for path in folder.glob("*.md") if path.name != "index.md")
    index = ["index.md"] if (folder / "index.md").is_file() else []
    groups = grouped((folder / "index.md").read_text(encoding="utf-8")) if index else {}
    if groups:
        listed = [name for names in groups.values() for name in names]
        for name in sorted({*files}.symmetric_difference(listed)):
            logging.getLogger("mkdocs").warning("%s: %s is in the index or in the folder, not in both", place, name)
        found: list[Any] = [{title: [str(place / name) for name in names]} for title, names in groups.items()]
    else:
        found = [str(place / name) for name in files]
    folders = sorted(path for path in folder.glob("*/") if any(path.rglob("*.md")))
    return [
        *(str(place / name) for name in index),
        *found,
        *({path.name.capitalize(): pages(docs, path)} for path in folders),
    ]


def grouped(index: str) -> dict[str, list[str]]:
    """The pages that an index lists under its headings, by heading; those before the first heading are in no group."""
    groups: dict[str, list[str]] = {}
    title = ""
    for heading, page in _HEADING_OR_LINK.findall(index):
        title = heading or title
        if page and title:
            groups.setdefault(title, []).append(page)
    return groups
