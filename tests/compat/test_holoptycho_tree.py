"""holoptycho's tree in Tiled: every documented node has something that writes it, with the metadata that goes with it."""

import pytest

from firstlight.core.job import parse_job

from .holoptycho_jobs import STREAMS, job_with

TILED = STREAMS | {"TILED_BASE_URL": "http://t", "TILED_CATALOG_PATH": "a/b"}
NETWORK = "ptychography_network"

# What section 5 of the facts about holoptycho documents, and from what it is made here.
ENGINE = {
    "live/probe": {"ptychography.probe"},
    "live/object": {"ptychography.amplitude", "ptychography.phase"},
    "final/probe": {"ptychography.probe"},
    "final/object": {"ptychography.object"},
    "final/timestamps": {"ptychography.times"},
    "final/num_points": {"ptychography.points"},
}
LEARNED = {
    "vit/mosaic": {f"{NETWORK}.phase"},
    "vit/mosaic_amp": {f"{NETWORK}.amplitude"},
    "vit/mosaic_stack": {f"{NETWORK}.phase"},
    "vit/mosaic_stack_amp": {f"{NETWORK}.amplitude"},
    "vit/segmentation_mask": {"segmentation"},
    "diffraction/inference": {"inference"},
}
MEASURED = {
    "positions_um": {"source.positions"},
    "diffraction/dp": {"crop"},
    "diffraction/probe_position_x_m": {"source.positions"},
    "diffraction/probe_position_y_m": {"source.positions"},
}
OWN = {"final/error": {"ptychography.error"}}
METADATA = """
run_uid scan_num scan_id started_at recon_mode x_pixel_m y_pixel_m x_num y_num x_range_um y_range_um x_direction y_direction
xray_energy_kev wavelength_m distance_m fine_tunable complete dp_orient_iterative model_name model_version engine_path dp_stride
patch_crop_box
""".split()


def written(job):
    """By node: what is written there, and how."""
    found = {}
    shown = [{**to, "of": view["of"]} for view in job["views"] for to in view.get("to", []) if isinstance(to, dict)]
    for each in [*shown, *(sink for sink in job["sinks"] if sink["use"] == "tiled")]:
        if each.get("node") is not None:
            found.setdefault(each["node"], []).append(each)
    return found


def sources(job):
    return {node: {each["of"] for each in those} for node, those in written(job).items()}


def test_every_node_is_written():
    both, engine, network = (job_with(TILED, recon_mode=mode) for mode in ("both", "iterative", "vit"))
    assert sources(both) == ENGINE | LEARNED | MEASURED | OWN
    assert sources(engine) == ENGINE | MEASURED | OWN
    assert sources(network) == LEARNED | MEASURED
    for job in (both, engine, network):
        parse_job(job)
        assert len({each["container"] for those in written(job).values() for each in those}) == 1


def test_the_run_is_described():
    both = written(job_with(TILED, recon_mode="both", scan_id="9"))
    told = both["diffraction/dp"][0]["metadata"]
    assert set(METADATA) <= set(told)
    assert "raw_uid" not in told, "nobody gave it"
    # scan 411993 at HXN: 9.04 keV, 2.05 m, 75 um, 256 pixels make 14.6 nm
    assert told["x_pixel_m"] == pytest.approx(14.6e-9, rel=5e-3)
    assert (told["model_name"], told["model_version"], told["scan_id"]) == ("eight", "1", "9")
    assert (told["patch_crop_box"], told["dp_stride"], told["fine_tunable"]) == ([[90, 118], [346, 374]], 1, True)
    centred = job_with(TILED, auto_center_dp="True", recon_mode="both")
    assert sources(centred) == sources(job_with(TILED, recon_mode="both"))
    (patterns,) = written(centred)["diffraction/dp"]
    assert "patch_crop_box" not in patterns["metadata"], "nobody knows it yet"
    assert patterns["coordinates"] == {"crop_box": "patch_crop_box", "spot_box": "segmentation_box"}
    tells = [
        to["tells"]
        for view in job_with(TILED, recon_mode="both")["views"]
        for to in view.get("to", [])
        if isinstance(to, dict) and "tells" in to
    ]
    assert {"live/object": "iteration", "live/probe": "iteration"} in tells
    assert {"vit/mosaic": "canvas_origin_um", "vit/mosaic_amp": "canvas_origin_um"} in tells


def test_positions_have_the_shared_signs_and_the_slow_axis_first():
    (found,) = written(job_with(TILED, x_direction="-1", x_direction_iterative="1"))["positions_um"]
    # the engine takes x with the opposite sign; 100 times 100 points are expected
    assert (found["times"], found["rows"]) == ((1.0, -1.0), 10_000)
    (slow,) = written(job_with(TILED))["diffraction/probe_position_x_m"]
    assert (slow["column"], slow["times"]) == (0, (1e-6, 1e-6))


def test_how_many_patterns_are_written_can_be_chosen():
    nodes = {stride: written(job_with(TILED, recon_mode="both", frame_write_stride=stride)) for stride in ("7", "0")}
    assert {nodes["7"][node][0]["stride"] for node in ("diffraction/dp", "diffraction/inference")} == {7}
    assert not [node for node in nodes["0"] if node in ("diffraction/dp", "diffraction/inference")]
    for node in ("diffraction/dp", "diffraction/inference"):
        assert written(job_with(TILED, recon_mode="vit"))[node][0]["stride"] == 1000


def test_every_patch_is_written_where_that_is_asked_for():
    assert "vit/pred" not in written(job_with(TILED, recon_mode="vit"))
    job = job_with(TILED, recon_mode="vit", vit_batch_writes="True")
    (found,) = written(job)["vit/pred"]
    assert (found["of"], found["batch"]) == ("inference", 64)
    parse_job(job)


def test_the_segmentation_takes_its_threshold():
    steps = {
        step.get("name"): step for step in job_with(TILED, recon_mode="vit", segmentation_threshold="0.1")["steps"]
    }
    assert (steps["segmentation"]["use"], steps["segmentation"]["threshold"]) == ("bright_spot", 0.1)
    assert steps["mean_pattern"]["inputs"] == ["crop"]


def test_the_page_shows_what_it_shows_without_a_catalogue():
    def page(job):
        return {view["of"]: view["every"] for view in job["views"] if "web" in view.get("to", ["web"])}

    plain, tiled = job_with(recon_mode="both"), job_with(TILED, recon_mode="both")
    assert page(plain) == page(tiled)
