"""The tables of names in other programs are true of our steps, and stand on the page that maps them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.compat.tables import Row, aliases, row, tables
from firstlight.core import registry
from firstlight.core.job import parse_job
from firstlight.core.pipeline import build

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "coming-from-savu-httomo-tofu-tomopy.md"
ROWS = [each for rows in tables().values() for each in rows]


def model(use):
    found = registry.get("operators", use)
    return getattr(found, "step", found)


@pytest.mark.parametrize("each", ROWS, ids=lambda each: f"{each.program} {each.name}")
def test_every_row_names_a_step_and_parameters_that_exist(each):
    kind = model(each.ours)
    ours = {name for names in each.parameters.values() for name in names.split()}
    assert ours | set(each.set) <= set(kind.model_fields)
    assert set(each.units) <= set(each.parameters)
    assert set(each.values) <= set(each.parameters)
    properties = kind.model_json_schema()["properties"]
    for theirs, unit in each.units.items():
        options = [properties[each.parameters[theirs]], *properties[each.parameters[theirs]].get("anyOf", ())]
        assert any("unit" in option for option in options), f"{each.ours}.{each.parameters[theirs]} takes no {unit}"


@pytest.mark.parametrize("each", [e for e in ROWS if e.defaults], ids=lambda each: f"{each.program} {each.name}")
def test_what_is_usual_there_is_accepted_and_not_usual_here(each):
    kind = model(each.ours)
    step, remarks = each.step({})
    own = {name: value for name, value in step.items() if name != "use"}
    problems = []
    made = build(kind, own, each.name, problems)
    assert not problems
    for theirs, value in each.defaults.items():
        if theirs not in each.parameters:
            assert any(f"{theirs} = {value!r}" in remark for remark in remarks), f"{theirs} is told"
        for name in each.parameters.get(theirs, "").split():
            assert getattr(made, name) != kind.model_fields[name].default, f"{theirs} need not stand there"
    assert each.step(dict.fromkeys(each.defaults)) == (step, remarks), "None, as these programs write it, is the same"


@pytest.mark.parametrize("each", [e for e in ROWS if e.values], ids=lambda each: f"{each.program} {each.name}")
def test_every_value_that_is_carried_over_is_accepted(each):
    kind = model(each.ours)
    needed = {name: 1 for name, field in kind.model_fields.items() if field.is_required()}
    for theirs, values in each.values.items():
        for value in values.values():
            problems = []
            build(kind, {**needed, **each.set, each.parameters[theirs]: value}, each.name, problems)
            assert not [text for text in problems if f"{each.parameters[theirs]} =" in text], problems


def test_parameters_are_renamed_with_units_and_what_is_lost_is_told():
    known = row("httomo", "httomolibgpu.prep.phase.paganin_filter")
    step, remarks = known.step(
        {"pixel_size": 1.28, "distance": 1, "energy": None, "ratio_delta_beta": 250, "gpu_id": 0, "odd": 3}
    )
    assert step == {"use": "paganin", "pixel": "1.28 um", "distance": "1 m", "energy": "53.0 keV", "delta_beta": 250}
    assert remarks == ["httomolibgpu.prep.phase.paganin_filter: odd = 3 has no counterpart in 'paganin'."]
    step, remarks = row("tomopy", "recon:gridrec").step({"filter_name": "butterworthy"})
    assert "filter" not in step
    assert "shepp" in remarks[-1]
    step, remarks = row("tomopy", "recon:gridrec").step({"center": 5.0})
    assert step == {"use": "fbp", "filter": "shepp-logan", "center": 5.0}, "tomopy's own filter, where none is given"


def test_modules_in_front_may_differ():
    assert row("httomo", "somewhere.else.minus_log").ours == "minus_log"
    assert row("httomo", "recon:nothing") is None
    assert row("savu", "AstraReconCpu:SIRT").ours == "sirt"


def test_aliases_mean_one_step_in_every_program():
    known = aliases()
    assert known["remove_stripe_based_sorting"] == "remove_small_stripes"
    assert "find_center_vo" not in known, "find_center alone would not use Vo's method"
    assert "find_center" not in known, "a name of ours keeps its meaning"
    names = {each.short for each in ROWS}
    assert set(known) <= names
    job = {"source": "phantom", "steps": [{"use": "remove_stripe_based_sorting", "size": 21}]}
    node = parse_job(job).pipeline.nodes[0]
    assert (node.name, node.step.use) == ("remove_stripe_based_sorting", "remove_small_stripes")


def test_two_meanings_make_no_alias(monkeypatch):
    rows = {
        "a": (Row("A", "m.same", "fbp"), Row("A", "m.one", "fbp")),
        "b": (Row("B", "n.same", "sirt"), Row("B", "one", "fbp")),
    }
    monkeypatch.setattr("firstlight.compat.tables.tables", lambda: rows)
    assert aliases.__wrapped__() == {"one": "fbp"}


def test_the_page_has_every_row():
    text = PAGE.read_text(encoding="utf-8").partition("<!-- end of tables -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    for each in ROWS:
        start = f"| `{each.name}` | `{each.ours}` |"
        assert any(line.startswith(start) for line in lines), (
            f"add to the page: {start} (tools/peers_page.py writes it)"
        )
    assert len(lines) == len(ROWS), "a line of the page stands in no table"


OF_OTHER_FIELDS = (".operators.stem.", ".operators.ptychography.", ".operators.learn.")
"""Families of steps that the programs of this page know nothing of."""


def test_the_page_names_every_step_that_tomography_may_use():
    text = PAGE.read_text(encoding="utf-8")
    ours = [name for name in registry.names("operators") if not _of_another_field(registry.get("operators", name))]
    assert len(ours) > 70
    assert [name for name in ours if f"`{name}`" not in text] == []


def _of_another_field(found):
    return any(family in f"{found.__module__}." for family in OF_OTHER_FIELDS)


def test_show_finds_a_step_by_its_name_elsewhere():
    done = CliRunner().invoke(app, ["show", "remove_stripe_based_sorting", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["name"] == "remove_small_stripes"
