"""Pipelines of HTTomo become jobs; what is lost is told."""

import pytest

from firstlight.compat.httomo import pipeline
from firstlight.core.errors import SourceError
from firstlight.core.job import parse_job

from .their_settings import HTTOMO


def test_a_pipeline_of_httomo(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(HTTOMO)
    found = pipeline.read(path)
    assert found.job["only"] == {"row": "30:60", "col": "start+10:end-10"}
    assert found.job["source"]["angles"] == "0:181"
    steps = found.job["steps"]
    assert [step["use"] for step in steps] == [
        "find_center",
        "flat_field",
        "minus_log",
        "remove_small_stripes",
        "fbp",
        "denoise_tv",
        "histogram",
        "rescale",
    ]
    assert steps[6] == {"use": "histogram", "low": 0.0, "high": 100.0}
    assert steps[7] == {
        "use": "rescale",
        "bits": 16,
        "low": {"from": "histogram.low"},
        "high": {"from": "histogram.high"},
        "inputs": ["denoise_tv"],
    }
    assert steps[0]["method"] == "vo"
    assert steps[1]["inputs"] == ["source"]
    assert steps[3]["size"] == {"sweep": [11, 21]}
    assert steps[4] == {"use": "fbp", "center": {"from": "find_center"}}
    assert found.job["sinks"] == [
        {"use": "hdf5", "of": "fbp", "path": "pipeline_5.nxs"},
        {"use": "hdf5", "of": "denoise_tv", "path": "pipeline_6.nxs"},
        {"use": "tiff", "of": "rescale", "path": "pipeline_images"},
    ]
    parse_job(found.job)
    text = "\n".join(found.remarks)
    assert "regularisation_parameter has another scale: set weight" in text


def test_a_half_acquisition_of_httomo_is_joined_about_the_axis_that_was_found(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text("""
- {method: standard_tomo, module_path: httomo.data.hdf.loaders, parameters: {data_path: auto}}
- {method: dark_flat_field_correction, module_path: httomolibgpu.prep.normalize, parameters: {}}
- method: find_center_360
  module_path: httomolibgpu.recon.rotation
  parameters: {win_width: 10, side: null}
  id: centering
  side_outputs: {cor: centre_of_rotation, overlap: overlap, side: side}
- method: sino_360_to_180
  module_path: httomolibgpu.misc.morph
  parameters: {overlap: "${{centering.side_outputs.overlap}}", side: "${{centering.side_outputs.side}}"}
- {method: minus_log, module_path: httomolibgpu.prep.normalize, parameters: {}}
- method: FBP3d_tomobar
  module_path: httomolibgpu.recon.algorithm
  parameters: {center: "${{centering.side_outputs.centre_of_rotation}}"}
- {method: data_resampler, module_path: httomolibgpu.misc.morph, parameters: {newshape: [256, 300], interpolation: linear}}
""")
    found = pipeline.read(path)
    assert found.job["steps"][2:] == [
        {"use": "stitch_half_acquisition", "center": {"from": "find_center_360"}, "inputs": ["flat_field"]},
        {"use": "minus_log"},
        {"use": "fbp"},  # about the middle, where the axis lies once the halves are joined
        {"use": "resample", "height": 256, "width": 300, "interpolation": "linear"},
    ]


def test_the_first_form_of_httomo(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("""
- httomo.data.hdf.loaders: {standard_tomo: {data_path: /entry/imaging/data, image_key_path: /entry/instrument/imaging/image_key}}
- httomolibgpu.prep.normalize: {normalize: {cutoff: 10.0, minus_log: true}}
- tomopy.recon.algorithm: {recon: {algorithm: gridrec, center: !SweepRange {start: 555, stop: 565, step: 0.5}}}
""")
    found = pipeline.read(path)
    assert [step["use"] for step in found.job["steps"]] == ["flat_field", "minus_log", "fbp"]
    assert found.job["steps"][2]["center"]["sweep"][:3] == [555, 555.5, 556]
    assert len(found.job["steps"][2]["center"]["sweep"]) == 20
    parse_job(found.job)


def test_the_first_form_with_plain_names_previews_by_place_and_images_of_8_bits(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("""
- httomo.data.hdf.loaders:
    standard_tomo: {name: tomo, in_file: a.nxs, data_path: /d, dimension: 1, pad: 0, preview: [null, {start: 3, stop: 9}, null]}
- tomopy.misc.corr: {remove_outlier: {data_in: tomo, data_out: tomo, dif: 0.1, axis: auto}}
- httomolibgpu.prep.stripe: {remove_stripe_based_sorting: {data_in: tomo, data_out: tomo}}
- httomolibgpu.recon.rotation: {find_center_vo: {data_in: tomo, data_out: cor, ind: mid, step: 0.5}}
- httomolibgpu.recon.algorithm: {FBP: {data_in: tomo, data_out: tomo, center: cor, save_result: true}}
- httomolib.misc.images: {save_to_images: {data_in: tomo, bits: 8, perc_range_min: 5.0, perc_range_max: 95.0}}
- tomopy.misc.corr: {circ_mask: {data_in: tomo, data_out: tomo}}
""")
    found = pipeline.read(path)
    assert found.job["source"] == {"use": "nxtomo", "path": "a.nxs", "data": "/d"}
    assert found.job["only"] == {"row": "3:9"}
    assert found.job["steps"][1:] == [
        {"use": "remove_small_stripes", "size": 11},  # what it is there when it is left out
        {"use": "find_center", "method": "vo"},
        {"use": "fbp", "inputs": ["remove_small_stripes"], "center": {"from": "find_center"}},
        {"use": "histogram", "low": 5.0, "high": 95.0},
        {
            "use": "rescale",
            "bits": 8,
            "low": {"from": "histogram.low"},
            "high": {"from": "histogram.high"},
            "inputs": ["fbp"],
        },
        {"use": "circular_mask", "ratio": 1, "inputs": ["fbp"]},
    ]
    assert [(sink["use"], sink["of"]) for sink in found.job["sinks"]] == [("hdf5", "fbp"), ("tiff", "rescale")]
    assert [each.partition(":")[0] for each in found.remarks] == ["rescale_to_int", "tomopy.misc.corr.circ_mask"]
    parse_job(found.job)


@pytest.mark.parametrize("limit", ["!Sweep [1, 2]", "text", "[1]", ".nan", "null"])
def test_limits_of_grey_values_that_are_no_numbers_are_told(tmp_path, limit):
    path = tmp_path / "grey.yaml"
    path.write_text(f"""
- {{method: standard_tomo, module_path: httomo.data.hdf.loaders, parameters: {{data_path: auto}}}}
- {{method: minus_log, module_path: httomolibgpu.prep.normalize, parameters: {{}}}}
- {{method: rescale_to_int, module_path: httomolib.misc.rescale, parameters: {{perc_range_min: {limit}, bits: 8}}}}
""")
    found = pipeline.read(path)
    assert [step["use"] for step in found.job["steps"]] == ["minus_log", "histogram", "rescale"]
    assert any("perc_range_min" in each or "histogram" in each for each in found.remarks) == (limit != "null")


def loaded(tmp_path, parameters, *more):
    path = tmp_path / "p.yaml"
    lines = [f"- {{method: standard_tomo, module_path: httomo.data.hdf.loaders, parameters: {parameters}}}", *more]
    path.write_text("\n".join(lines))
    return pipeline.read(path)


def test_darks_and_flats_of_other_files(tmp_path):
    found = loaded(
        tmp_path,
        "{data_path: auto, darks: {file: d.h5, data_path: /entry/d}, flats: {file: input_data, data_path: /entry/f}}",
    )
    assert (found.job["source"]["darks"], found.job["source"]["flats"]) == ("d.h5:/entry/d", "/entry/f")
    for odd in (
        "darks: ignore",
        "flats: {file: d.h5, data_path: a, image_key_path: b}",
        "continuous_scan_subset: {start: 3, stop: 9}",
    ):
        name = odd.partition(":")[0]
        assert any(name in each for each in loaded(tmp_path, f"{{data_path: auto, {odd}}}").remarks)


def test_what_has_no_counterpart_is_told(tmp_path):
    recon = "- {method: FBP3d_tomobar, module_path: httomolibgpu.recon.algorithm, parameters: {center: 80.0, %s}}"
    plain = loaded(
        tmp_path,
        "{data_path: auto}",
        recon % "filter_freq_cutoff: 0.35, recon_size: null, recon_mask_radius: 0.95, neglog: false",
    )
    assert [step["use"] for step in plain.job["steps"]] == ["fbp"]
    assert len(plain.remarks) == 1, "the scan is not named, and nothing else"
    for name, value in (
        ("recon_size", 400),
        ("recon_mask_radius", 0.5),
        ("filter_freq_cutoff", 1.1),
        ("detector_pad", 20),
    ):
        assert f"{name} = {value}" in "\n".join(
            loaded(tmp_path, "{data_path: auto}", recon % f"{name}: {value}").remarks
        )
    negative = loaded(tmp_path, "{data_path: auto}", recon % "neglog: true")
    assert [step["use"] for step in negative.job["steps"]] == ["minus_log", "fbp"]


@pytest.mark.parametrize(("side", "center"), [("left", 9.5), ("right", None)])
def test_an_overlap_that_is_told_is_the_axis_and_nothing_after_it_has_a_center(tmp_path, side, center):
    found = loaded(
        tmp_path,
        "{data_path: auto}",
        "- method: sino_360_to_180\n  module_path: httomolibgpu.misc.morph",
        f"  parameters: {{overlap: 20, side: {side}}}",
        "- method: FBP3d_tomobar\n  module_path: httomolibgpu.recon.algorithm",
        "  parameters: {center: !SweepRange {start: 2100, stop: 2500, step: 2}}",
    )
    steps = found.job["steps"]
    assert (steps[0].get("center"), steps[1]) == (center, {"use": "fbp"})
    text = "\n".join(found.remarks)
    assert "center is not carried over" in text
    assert ("number of columns - 10.5" in text) == (center is None)


def test_paganins_filter_in_the_two_forms_it_has_had(tmp_path):
    filtered = "- {method: paganin_filter, module_path: httomolib.prep.phase, parameters: {%s}}"
    old = loaded(tmp_path, "{data_path: auto}", filtered % "pixel_size: 0.0001, dist: 50.0, energy: 53.0, alpha: 0.001")
    assert old.job["steps"] == [{"use": "paganin", "pixel": "0.0001 cm", "distance": "50.0 cm", "energy": "53.0 keV"}]
    assert any("alpha = 0.001" in each for each in old.remarks)
    new = loaded(tmp_path, "{data_path: auto}", filtered % "pixel_size: 1.3, distance: 1.0, ratio_delta_beta: 250")
    assert new.job["steps"] == [{"use": "paganin", "pixel": "1.3 um", "distance": "1.0 m", "delta_beta": 250}]


def test_tuples_of_their_templates_are_read_and_no_other_python(tmp_path):
    fitting = (
        "- {method: remove_stripe_based_fitting, module_path: tomopy.prep.stripe, parameters: {order: 3, sigma: %s}}"
    )
    found = loaded(tmp_path, "{data_path: auto}", fitting % "!!python/tuple [5, 20]")
    assert found.job["steps"][0]["order"] == 3
    with pytest.raises(SourceError, match="no YAML"):
        loaded(tmp_path, "{data_path: auto}", fitting % "!!python/object/apply:os.getcwd []")
