"""``firstlight cite``."""

import json

from typer.testing import CliRunner

from firstlight.cli.main import app

JOB = """
source: {use: phantom, columns: 32, rows: 4, angles: 24}
steps: [{use: flat_field}, {use: minus_log}, {use: fbp}]
"""


def call(*arguments):
    return CliRunner().invoke(app, ["cite", *map(str, arguments)])


def test_forms(tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text(JOB)
    text = call(job)
    assert text.exit_code == 0
    assert text.output.startswith("Data were processed with firstlight")
    assert "\n[1] Harris" in text.output
    assert call(job, "--format", "bibtex").output.startswith("@article{harris2020,")
    assert call(job, "--format", "ris").output.startswith("TY  - JOUR")
    told = json.loads(call(job, "--json").output)
    assert told["papers"][0]["doi"] == "10.1038/s41586-020-2649-2"
    out = tmp_path / "methods.bib"
    assert call(job, "--format", "bibtex", "-o", out).exit_code == 0
    assert out.read_text().count("@") == len(told["papers"])


def test_what_can_not_be_cited_is_told(tmp_path):
    (tmp_path / "broken.yaml").write_text("steps: [{use: fpb}]")
    for path in (tmp_path / "gone.h5", tmp_path / "gone.yaml", tmp_path / "broken.yaml", tmp_path):
        done = call(path)
        assert done.exit_code == 2, done.output
    assert call(tmp_path / "broken.yaml", "-o", tmp_path / "no" / "folder.bib").exit_code == 2
