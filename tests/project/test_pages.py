"""What the README and the pages say to type and to follow: commands that there are, with options that they have, and files that there are."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from firstlight.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```[^\n]*\n(.*?)^```|((?:^    .*\n)+)", re.MULTILINE | re.DOTALL)
TAKES_ANYTHING = {"sim"}
"""Verbs whose options are those of a plugin."""


def commands(text: str) -> list[str]:
    """The lines of a page's code that call `firstlight`, continued lines joined, and calls within its sentences."""
    code = "\n".join(fenced or indented for fenced, indented in CODE.findall(text))
    code += "\n" + "\n".join(re.findall(r"`(firstlight [^`\n]+)`", text))
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    return [line.strip().removeprefix("$ ") for line in lines if re.match(r"\s*(\$ )?firstlight ", line)]


def of_pages(find) -> list:
    return [
        pytest.param(page, found, id=f"{page.relative_to(ROOT)}: {found}") for page in PAGES for found in find(page)
    ]


@pytest.mark.parametrize(("page", "line"), of_pages(lambda page: sorted({*commands(page.read_text())})))
def test_every_command_of_a_page_exists_with_its_options(page, line):
    words = shlex.split(line, comments=True)[1:]
    for end in ("|", "&&", "&", ">", ";"):
        words = words[: words.index(end)] if end in words else words
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        word = words.pop(0)
        assert word in command.commands, f"there is no '{word}' in: {line}"
        command = command.commands[word]
        if word in TAKES_ANYTHING:
            return
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    given = {word.partition("=")[0] for word in words if re.match(r"-[a-zA-Z-]", word)}
    assert given <= known, f"{sorted(given - known)} in: {line}"


def links(page: Path) -> list[str]:
    """What a page points to within the repository; links of pages to pages are checked by mkdocs."""
    return sorted({each for each in re.findall(r"\]\(([^)#\s]+)", page.read_text()) if "://" not in each})


@pytest.mark.parametrize(("page", "link"), of_pages(links))
def test_every_link_leads_to_a_file(page, link):
    assert (page.parent / link).exists()


def recorded(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_how_fast_the_readme_says_it_is_was_recorded():
    offline, stem, engines = recorded("offline"), recorded("stem"), recorded("ptycho")
    slices = recorded("backproject")["ratios"]
    iterations = [method["ratios"]["firstlight"] for method in recorded("iterative")["methods"].values()]
    frames = {
        name: [each["ratio"] for each in recorded(name)["rounds"] if "ratio" in each] for name in ("dectris", "merlin")
    }
    ratios = [ratio for case in engines.values() if "ratios" in case for ratio in case["ratios"].values()]
    times = [line.rsplit("|", 2)[1].strip() for line in (ROOT / "README.md").read_text().splitlines() if "|" in line]
    assert times[times.index("times as fast") + 2 :] == [
        f"{offline['ratios']['gridrec_over_firstlight']:.1f}",
        f"{slices['firstlight_over_astra']:.0f}, {slices['firstlight_one_slice_over_astra']:.1f}",
        f"{min(iterations):.1f} to {max(iterations):.0f}",
        f"{stem['cases']['all']['times_faster']:.1f}",
        ", ".join(f"{ratio:.2f}" for ratio in frames["dectris"]),
        ", ".join(f"{ratio:.1f}" for ratio in frames["merlin"]),
        f"{min(ratios):.1f} to {max(ratios):.0f}",
    ]
