"""What the project promises in its own files: locks without index addresses, a glossary without doubles."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pinned(lock: Path) -> dict[str, set[str]]:
    """Package names and the versions that a lock allows (several where Python versions differ)."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_locks_have_hashes_and_name_no_index(lock):
    text = lock.read_text()
    assert "://" not in text
    assert "index-url" not in text
    for entry in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_lock_of_the_user_is_part_of_the_lock_of_the_developer():
    user, developer = pinned(ROOT / "requirements/install.txt"), pinned(ROOT / "requirements/dev.txt")
    assert len(user) > 20
    assert {name: versions for name, versions in user.items() if developer.get(name) != versions} == {}


def test_every_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = {re.match(r"[a-z0-9_-]+", line)[0] for line in [*project["dependencies"], *extras["epics"]]}
    assert names - pinned(ROOT / "requirements/install.txt").keys() == set()


def test_the_lock_of_the_web_ui_names_no_registry():
    lock = ROOT / "web" / "package-lock.json"
    if not lock.is_file():
        pytest.skip("no web UI in this tree")
    assert '"resolved": "http' not in lock.read_text()


def test_the_glossary_defines_each_term_once():
    terms = re.findall(r"^(\S.*)\n:   ", (ROOT / "docs/explanations/glossary.md").read_text(), re.MULTILINE)
    assert len(terms) > 50
    assert sorted(terms) == sorted(set(terms))


def test_every_decision_is_listed_dated_and_has_its_three_sections():
    folder = ROOT / "docs/explanations/decisions"
    index = (folder / "index.md").read_text()
    for page in sorted(folder.glob("[0-9]*.md")):
        text = page.read_text()
        assert f"]({page.name})" in index, f"{page.name} is missing in {folder.name}/index.md"
        assert re.match(r"# [^\n]+\n\nDecided on \d{4}-\d\d-\d\d\.\n", text), page.name
        assert [line for line in text.splitlines() if line.startswith("## ")] == [
            "## Context",
            "## Decision",
            "## Consequences",
        ]


def test_the_lock_of_the_web_ui_is_whole_for_every_platform():
    """`npm ci` refuses a lock without the optional packages of other platforms; pin the parent with `overrides` then."""
    lock = ROOT / "web" / "package-lock.json"
    if not lock.is_file():
        pytest.skip("no web UI in this tree")
    packages = json.loads(lock.read_text())["packages"]
    locked = {place.rpartition("node_modules/")[2] for place in packages}
    wanted = {name: place for place, entry in packages.items() for name in entry.get("optionalDependencies", {})}
    assert {name: place for name, place in wanted.items() if name not in locked} == {}
