"""The papers that steps cite: a table per family of steps, in the folder ``references``."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Paper:
    """A published work; what is not known is empty."""

    doi: str
    authors: tuple[str, ...] = ()
    """Surname, then initials."""
    title: str = ""
    year: int = 0
    journal: str = ""
    booktitle: str = ""
    publisher: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    kind: str = "article"

    @property
    def known(self) -> bool:
        """False if there is no more than the DOI."""
        return bool(self.title)

    def __str__(self) -> str:
        """As it stands in a list of references."""
        if not self.known:
            return f"https://doi.org/{self.doi}"
        where = self.journal or self.booktitle or self.publisher
        volume = f" {self.volume}" if self.volume else ""
        pages = f", {self.pages.replace('-', '–')}" if self.pages else ""
        return (
            f"{_people(self.authors)} ({self.year}). {self.title}. {where}{volume}{pages}. https://doi.org/{self.doi}"
        )


def _people(authors: tuple[str, ...]) -> str:
    names = [name for name in authors if name != "others"]
    if len(names) > 6 or "others" in authors:
        return f"{names[0]} et al."
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} & {names[-1]}"


@cache
def papers() -> dict[str, Paper]:
    """All papers that are known, by DOI in lower case (DOIs do not distinguish capitals)."""
    found: dict[str, Paper] = {}
    folder = files("firstlight") / "references"
    for table in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda e: e.name):
        for doi, fields in tomllib.loads(table.read_text(encoding="utf-8")).items():
            values = {**fields, "authors": tuple(fields["authors"])}
            kind = "inproceedings" if fields.get("booktitle") else "article"
            found[doi.lower()] = Paper(doi, **{"kind": kind, **values})
    return found


def paper(doi: str) -> Paper:
    """The work of a DOI; one of a plugin that is in no table has the DOI alone."""
    return papers().get(doi.lower(), Paper(doi))


def bibtex(works: Iterable[Paper]) -> str:
    """The works as BibTeX, in UTF-8."""
    taken: set[str] = set()
    return "\n".join(_entry(work, _key(work, taken)) for work in works)


def _key(work: Paper, taken: set[str]) -> str:
    surname = work.authors[0].partition(",")[0] if work.authors else work.doi
    plain = unicodedata.normalize("NFKD", surname).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9]", "", plain).lower() + (str(work.year) if work.year else "")
    suffixes = ("", *"abcdefghijklmnopqrstuvwxyz")
    key = next((stem + suffix for suffix in suffixes if stem + suffix not in taken), f"{stem}-{len(taken)}")
    taken.add(key)
    return key


def _entry(work: Paper, key: str) -> str:
    fields = {
        "author": " and ".join(work.authors),
        "title": f"{{{_escaped(work.title)}}}" if work.title else "",
        "journal": _escaped(work.journal),
        "booktitle": _escaped(work.booktitle),
        "publisher": _escaped(work.publisher),
        "year": str(work.year or ""),
        "volume": work.volume,
        "number": work.number,
        "pages": work.pages.replace("-", "--"),
        "doi": work.doi,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{work.kind if work.known else 'misc'}{{{key},", *lines, "}", ""])


def _escaped(text: str) -> str:
    return re.sub(r"([&%#_$])", r"\\\1", text)


_RIS = {"article": "JOUR", "book": "BOOK", "inproceedings": "CONF"}


def ris(works: Iterable[Paper]) -> str:
    """The works in RIS, which reference managers read."""
    return "\n".join(_ris(work) for work in works)


def _ris(work: Paper) -> str:
    start, _, end = work.pages.partition("-")
    tags = [("TY", _RIS.get(work.kind, "GEN") if work.known else "GEN")]
    tags += [("AU", author) for author in work.authors if author != "others"]
    tags += [
        ("TI", work.title),
        ("PY", str(work.year or "")),
        ("JO", work.journal),
        ("T2", work.booktitle),
        ("PB", work.publisher),
        ("VL", work.volume),
        ("IS", work.number),
        ("SP", start),
        ("EP", end),
        ("DO", work.doi),
        ("UR", f"https://doi.org/{work.doi}"),
    ]
    return "".join(f"{tag}  - {value}\n" for tag, value in tags if value) + "ER  - \n"
