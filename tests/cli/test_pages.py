"""The how-tos of the command line say what the commands do."""

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import firstlight as fl
from firstlight.cli.main import app
from firstlight.jobs.load import load_job

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
MINE = [
    "begin-with-a-template.md",
    "cite-what-you-used.md",
    "coming-from-savu-httomo-tofu-tomopy.md",
    "compare-two-results.md",
    "reconstruct-many-scans.md",
    "use-a-function-of-your-own.md",
]


def commands():
    for page in MINE:
        text = (PAGES / page).read_text(encoding="utf-8")
        for line in re.findall(r"^firstlight .*$", text, re.MULTILINE):
            yield page, line.partition("#")[0].split()[1:]


@pytest.mark.parametrize(
    ("page", "words"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, list) else value
)
def test_every_command_on_a_page_exists_with_its_options(page, words):
    verb = get_command(app).commands[words[0]]
    options = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word for word in words[1:] if word.startswith("-")}
    assert used <= options, f"{page}: 'firstlight {words[0]}' has no {used - options}"


@pytest.mark.parametrize("number", [0, 1])
def test_the_jobs_of_the_page_run(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    text = (PAGES / "use-a-function-of-your-own.md").read_text(encoding="utf-8")
    job = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[number])
    fl.start(load_job(job)).finished(timeout=60)
    assert (tmp_path / "rec.nxs").is_file()
