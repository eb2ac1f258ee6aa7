"""The job that comes out of a config of holoptycho: engine, network, probe, orientation."""

from pathlib import Path

import numpy as np
import pytest

from firstlight.compat.holoptycho.config import ConfigError, read_config
from firstlight.compat.holoptycho.environment import read_environment
from firstlight.compat.holoptycho.job import job_of
from firstlight.compat.holoptycho.orientation import for_rows, reduced
from firstlight.core.job import parse_job
from firstlight.operators.correct.orient import ORIENTATIONS
from firstlight.operators.learn.models import SHIPPED

from .holoptycho_jobs import GOOD, STREAMS, crop, job_with, network, panda, patches, solver, solver_of

SHIPPED_NETWORK = SHIPPED / "phantom_v2.onnx"


def test_the_network_alone_or_beside_the_engine():
    with pytest.raises(ConfigError, match="hp model set NAME"):
        job_of(read_config({**GOOD, "recon_mode": "vit"}), read_environment(STREAMS), Path("/tmp"))
    alone, both = (
        job_with(recon_mode="vit"),
        job_with({**STREAMS, "TILED_BASE_URL": "http://t:8000"}, recon_mode="both"),
    )
    assert {view["of"].partition(".")[0] for view in alone["views"]} == {"ptychography_network"}
    assert [sink["of"] for sink in alone["sinks"]] == ["ptychography_network.object"]
    # frames as they are before they are turned for the engine; the same positions, with the signs of the network
    assert (patches(both)["inputs"], solver_of(both)["inputs"]) == (["crop"], ["oriented"])
    assert network(both)["inputs"] == ["inference", "source.positions"]
    uses = [step["use"] for step in both["steps"]]
    assert uses.count("network_patches") + uses.count("ptychography_network") == 1, "the network runs once"
    assert network(job_with(recon_mode="vit", x_direction_iterative="1"))["signs"] == [1, -1]
    assert [node.name for node in parse_job(alone).pipeline.nodes][-1] == "ptychography_network"


def test_the_job_is_one_that_runs():
    job = parse_job(job_with())
    assert [node.name for node in job.pipeline.nodes] == ["mounted", "crop", "oriented", "ptychography"]
    # at HXN: fliplr of the detector, then rot90_cw with x first, which is flipud with y first
    assert [step["to"] for step in job_with()["steps"] if step["use"] == "orient"] == ["fliplr", "flipud"]


def test_units_flip_and_warm_start():
    assert solver(job_with(xray_energy_kev="9040 eV"))["energy"] == pytest.approx(9.04)
    assert panda(job_with(angle="-50", angle_flip_flag="True"))["x_direction"] == 1
    warm = solver(job_with(init_prb_flag="False", prb_path="/data/probe.npy"))
    assert (warm["probe"], warm["probe_defocus"]) == ("/data/probe.npy", 0)
    # holoptycho's has the fast axis first; ours, in HDF5, has not
    assert warm["probe_orientation"] == "transpose"
    assert "probe_orientation" not in solver(job_with(init_prb_flag="False", prb_path="/data/probe.h5"))
    assert "probe_defocus" not in solver(job_with()), "found from the data"


def test_the_network_is_told_the_probe_as_it_sees_patterns():
    """That of the iterative engine, turned by what turns its patterns into those of the network."""
    config = {
        **GOOD,
        "recon_mode": "vit",
        "nx": "64",
        "ny": "64",
        "init_prb_flag": "False",
        "prb_path": "/data/probe.npy",
    }

    def told(**changes):
        found = job_of(read_config(config | changes), read_environment(STREAMS), Path("/tmp"), str(SHIPPED_NETWORK))
        assert patches(found).get("probe") == network(found).get("probe")
        return patches(found).get("probe"), patches(found).get("probe_orientation")

    assert told() == ("/data/probe.npy", "identity")
    assert told(dp_orient="identity") == ("/data/probe.npy", "rot90_ccw")
    assert told(prb_path="/data/probe.h5") == ("/data/probe.h5", reduced("transpose, rot90_ccw, rot90_cw"))
    assert told(dp_orient_iterative="auto") == (None, None), "nobody knows how the engine sees them"
    assert told(init_prb_flag="True") == (None, None)
    assert told(nx="128", ny="128") == (None, None), "a probe in other pixels"


def test_a_network_for_smaller_patterns_sees_their_middle():
    def job(**changes):
        config = read_config({**GOOD, "recon_mode": "vit", **changes})
        return job_of(config, read_environment(STREAMS), Path("/tmp"), str(SHIPPED_NETWORK))

    large = job(nx="128", ny="100")
    (cut,) = (step for step in large["steps"] if step["name"] == "network_frames")
    assert (cut["inputs"], cut["rows"], cut["columns"]) == (["crop"], [18, 82], [32, 96])
    assert patches(large)["inputs"] == ["network_frames"]
    assert patches(job(nx="64", ny="64"))["inputs"] == ["crop"]
    with pytest.raises(ConfigError, match=r"phantom_v2.* takes patterns of 64 × 64.*hp model set"):
        job(nx="48", ny="128")


def test_switch_clamp_and_orientation_that_is_found():
    switched = solver(job_with(alg_flag="DM", alg2_flag="ePIE", alg_percentage="0.5"))
    assert (switched["algorithm"], switched["algorithm2"], switched["switch_after"]) == ("dm", "epie", 0.5)
    limits = {"amp_min": "0.5", "amp_max": "1.1"}
    clamped = solver(job_with(mask_obj_flag="True", **limits))
    assert (clamped["least_magnitude"], clamped["largest_magnitude"]) == (0.5, 1.1)
    assert "least_magnitude" not in solver(job_with(mask_obj_flag="False", **limits))
    phases = solver(job_with(mask_obj_flag="True", pha_min="-1", pha_max="0.01"))
    assert (phases["least_phase"], phases["largest_phase"]) == (-1, 0.01)
    assert "least_phase" not in solver(job_with(pha_min="-1"))
    found = job_with(dp_orient_iterative="auto", detector_orientation="identity")
    assert [step["use"] for step in found["steps"]] == ["crop", "ptychography"]
    assert solver(found)["orientation"] == "auto"
    parse_job(found)
    assert "alg_flag = PM" in " ".join(read_config({**GOOD, "alg_flag": "PM"}).warnings)


def test_slices_correction_and_a_crop_that_is_found():
    thick = job_with(multislice_flag="True", slice_num="3", slice_spacing_m="5e-06")
    assert (solver(thick)["slices"], solver(thick)["slice_gap"]) == (3, pytest.approx(5))
    assert "slices" not in solver(job_with(multislice_flag="False", slice_num="2", slice_spacing_m="5e-06"))
    late = solver(job_with(position_correction_flag="True", position_correction_start="50"))
    assert (late["refine_positions"], late["refine_after"]) == ("gradient", 50)
    assert "refine_after" not in solver(job_with(position_correction_start="50"))
    found = job_with(batch_x0="", batch_y0="", nx="128", ny="64", dp_orient_iterative="identity")
    assert [step["use"] for step in found["steps"]] == ["orient", "crop_bright", "orient", "ptychography"]
    assert (crop(found)["size"], "rows" in crop(found)) == ([64, 128], False), "anywhere in the frame"
    around = crop(job_with(auto_center_dp="True"))
    assert (around["rows"], around["columns"]) == ([26, 410], [54, 438]), "a quarter of nx around what is given"
    assert "rows" not in crop(job_with(auto_center_dp="True", auto_center_headroom="-1"))
    assert job_with(batch_x0="", recon_mode="both"), "the network too sees what was found"
    for job in (thick, found):
        parse_job(job)


def test_orientations_form_the_group():
    """A list of two is what numpy makes of one after the other, for all 64 pairs."""
    frame = np.arange(12).reshape(3, 4)
    for first in ORIENTATIONS:
        for second in ORIENTATIONS:
            wanted = ORIENTATIONS[second](ORIENTATIONS[first](frame))
            np.testing.assert_array_equal(ORIENTATIONS[reduced(f"{first},{second}")](frame), wanted)
    assert for_rows("transpose") == "identity"
