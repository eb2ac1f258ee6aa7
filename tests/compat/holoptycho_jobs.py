"""A config of holoptycho that is complete, the job made of it, and the parts of a job that tests look at."""

from pathlib import Path

from firstlight.compat.holoptycho.config import read_config
from firstlight.compat.holoptycho.environment import read_environment
from firstlight.compat.holoptycho.job import job_of

GOOD = {
    "scan_num": "411993",
    "nx": "256",
    "ny": "256",
    "x_range": "2",
    "y_range": "2",
    "x_num": "100",
    "y_num": "100",
    "det_roix0": "0",
    "det_roiy0": "0",
    "x_ratio": "-9.542e-05",
    "y_ratio": "-1.0309e-04",
    "xray_energy_kev": "9.04",
    "lambda_nm": "0.137146",
    "ccd_pixel_um": "75",
    "distance": "0",
    "z_m": "2.05",
    "batch_x0": "118",
    "batch_y0": "90",
}
STREAMS = {"SERVER_STREAM_SOURCE": "tcp://localhost:5555", "PANDA_STREAM_SOURCE": "tcp://localhost:5556"}


def crop(job):
    return next(step for step in job["steps"] if step["name"] == "crop")


def solver(job):
    return job["steps"][-1]


def solver_of(job):
    return next(step for step in job["steps"] if step["use"] == "ptychography")


def network(job):
    return next((step for step in job["steps"] if step["use"] == "patch_mosaic"), {})


def patches(job):
    return next((step for step in job["steps"] if step["use"] == "network_patches"), {})


def limits(job):
    return next((step for step in job["steps"] if step["use"] == "exclude_outside"), {"low": None, "high": None})


def panda(job):
    return job["source"]["sources"]["positions"]


def eiger(job):
    return job["source"]["sources"]["data"]


def job_with(variables=STREAMS, **changes):
    return job_of(read_config({**GOOD, **changes}), read_environment(variables), Path("/tmp"), "/models/eight_v1.onnx")
