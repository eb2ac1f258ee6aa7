"""The job of a sweep: what is kept of the other job, and the stated centres of real scans."""

import json

import numpy as np
import pytest

from firstlight.cli.sweep import tell_best
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import JobError
from firstlight.core.job import parse_job
from firstlight.jobs.defaults import suggest
from firstlight.jobs.start import start
from firstlight.jobs.sweep import sheet_beside, sweep_job
from firstlight.operators.reduce.contact_sheet import ContactSheet

JOB = {
    "source": {"use": "phantom", "columns": 32, "rows": 4, "angles": 24},
    "steps": [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center"},
        {"use": "live_slices", "name": "slices", "inputs": ["minus_log"]},
        {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
        {"use": "crop", "name": "unused", "inputs": ["minus_log"]},
    ],
    "sinks": [{"use": "hdf5", "of": "fbp", "path": "x.h5"}],
    "views": [{"of": "slices"}],
}


def test_only_what_leads_to_the_pictures_is_kept(tmp_path):
    job = sweep_job(
        JOB, {"fbp.center": "14:17:0.5"}, tmp_path / "out.h5", overrides={"fbp.filter": "hann", "only.row": "mid"}
    )
    assert [step["use"] for step in job["steps"]] == ["flat_field", "minus_log", "fbp", "contact_sheet"]
    assert job["steps"][2]["center"] == {"sweep": "14:17:0.5"}
    assert job["steps"][2]["filter"] == "hann"
    assert job["only"] == {"row": "mid"}
    assert job["sinks"] == [{"use": "hdf5", "of": "fbp", "path": str(tmp_path / "out.h5")}]
    assert job["snapshots"][0]["path"] == str(sheet_beside(tmp_path / "out.h5"))
    assert parse_job(job).name == "sweep of fbp.center"
    again = sweep_job(JOB, {"fbp.center": "14,15"}, tmp_path / "out.h5", overrides={"sink.overwrite": "true"})
    assert again["sinks"][0]["overwrite"] is True
    assert JOB["steps"][4]["center"] == {"from": "find_center"}


def test_a_center_that_is_found_stays_where_another_parameter_is_swept(tmp_path):
    job = sweep_job(JOB, {"fbp.cutoff": "0.5,1"}, tmp_path / "out.h5")
    assert [step["use"] for step in job["steps"]] == ["flat_field", "minus_log", "find_center", "fbp", "contact_sheet"]


@pytest.mark.parametrize(("target", "words"), [("fbq.center", "no step 'fbq'"), ("fbp", "step.parameter=value")])
def test_mistakes(target, words, tmp_path):
    with pytest.raises(JobError, match=words):
        sweep_job(JOB, {target: "1,2"}, tmp_path / "out.h5")


def test_a_best_value_at_the_end_of_its_range_is_told(capsys):
    def told(best, values):
        tell_best({"best": {"fbp.center": best}, "sweep": {"metric": "entropy", "parameters": {"fbp.center": values}}})
        return capsys.readouterr().err

    tell_best({"sweep": {"metric": "entropy", "parameters": {}}})
    assert "none that could be told" in capsys.readouterr().err
    assert "a better one may lie beyond it" in told(47.0, [45.0, 46.0, 47.0])
    assert "may lie beyond" not in told(46.0, [45.0, 46.0, 47.0])
    assert "may lie beyond" not in told("hann", ["hann", "ram-lak", "parzen"])


@pytest.mark.parametrize(("value", "why"), [(np.nan, "no number"), (0.25, "no number"), (None, "the same for all")])
def test_pictures_that_do_not_differ_have_no_best_value(value, why):
    stream = Stream(
        ("center", "row", "col"), {"center": 3, "row": 16, "col": 16}, "float32", marks={"center": (1, 2, 3)}
    )
    picture = np.random.default_rng(0).random((16, 16)) if value is None else np.full((16, 16), value)
    fold = ContactSheet(tile=16)
    state = fold.empty(Scan({"data": stream}))
    fold.add(state, Chunk(np.stack([picture] * 3).astype(np.float32), ("row", "col"), np.arange(3)))
    assert why in fold.remarks(state)[0]
    assert "best" not in fold.findings(state)
    if value is not None:
        assert fold.result(state)["sheet"].max() < 255  # no frame, no white number


def test_without_a_place_for_the_pictures_the_sheet_alone_is_drawn(tmp_path):
    swept = sweep_job(JOB, {"fbp.center": "30:32:1"}, None, sheet=tmp_path / "sheet.png")
    assert swept["sinks"] == []
    assert swept["snapshots"] == [{"of": "contact_sheet.sheet", "path": str(tmp_path / "sheet.png")}]


@pytest.mark.parametrize(
    ("parameter", "true", "values"),
    [
        ("tilt", 30, "27,30,33"),
        pytest.param("roll", 3, "1,3,5", marks=pytest.mark.slow),
        pytest.param("roll", -2, "-4:1:1", marks=pytest.mark.slow),
        pytest.param("tilt", 2, "-1:5:1", marks=pytest.mark.slow),
        pytest.param("tilt", 30, "26:34:1", marks=pytest.mark.slow),
    ],
)
def test_what_is_left_of_the_data_finds_how_the_axis_leans(parameter, true, values, tmp_path):
    """Numbers taken from pictures name the lowest tilt, where least is unknown. Noise, and smoothing as in the how-to."""
    smooth = {"use": "call", "function": "scipy.ndimage.gaussian_filter", "axes": "row col -> row col", "sigma": 1.5}
    source = {"use": "phantom", "columns": 48, "rows": 48, "angles": 40, "range": 360, "counts": 20000, parameter: true}
    job = {
        "source": source,
        "steps": [{"use": "flat_field"}, {"use": "minus_log"}, smooth, {"use": "cgls_volume", "iterations": 10}],
    }
    swept = sweep_job(job, {f"cgls_volume.{parameter}": values}, tmp_path / "out.h5", metric="residual")
    assert [step["use"] for step in swept["steps"][-2:]] == ["contact_sheet", "least_residual"]
    run = start(parse_job(swept))
    run.finished(300)
    assert run.report()["best"] == {f"cgls_volume.{parameter}": true}
    assert run.report()["sweep"]["metric"] == "residual"


def test_a_step_without_a_residual_is_told_so(tmp_path):
    with pytest.raises(JobError, match="'fbp' does not tell what it leaves of the data"):
        sweep_job(JOB, {"fbp.center": "1:2:1"}, tmp_path / "out.h5", metric="residual")


SCANS = [
    ("tomography/tooth.h5", "293:299:0.5", "mid", 296.0, 0.5),
    ("tomography/neutompy_sinogram.tiff", "458:462:0.5", "mid", 459.75, 0.75),
    # its notes say 50.5, where the grain is doubled; the thin wall of the capillary is a circle about 44.5 alone
    ("multimodal/mm.nxs", "40:56:0.5", "3", 44.5, 1.0),
]


@pytest.mark.parametrize(("name", "values", "row", "center", "tolerance"), SCANS)
def test_the_stated_centers_of_real_scans_are_found(name, values, row, center, tolerance, data_folder, tmp_path):
    path = data_folder / name
    if not path.is_file():
        pytest.skip(f"no real data: {name}")
    job = suggest(path, tmp_path / "out.h5").job
    run = start(parse_job(sweep_job(job, {"fbp.center": values}, tmp_path / "out.h5", overrides={"only.row": row})))
    run.finished(110)
    best = run.report()["best"]["fbp.center"]
    assert best == pytest.approx(center, abs=tolerance)
    picture = run.snapshots[0]
    assert picture.data.dtype == np.uint8
    json.dumps(run.record, default=str)
