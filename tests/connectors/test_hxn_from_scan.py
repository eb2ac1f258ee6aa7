"""A config for a scan that is there already: from files of every kind, checked by the reader that runs it."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.compat.holoptycho.config import read_config
from firstlight.connectors.hxn.from_scan import config_from_file
from firstlight.core.errors import SourceError


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan_411993.h5"
    with h5py.File(path, "w") as file:
        file["dp"], file["points"] = (
            np.ones((6, 8, 10), np.uint16),
            np.array([[0, 0, 0, 2, 2, 2], [0, 1, 3, 0, 1, 3.0]]),
        )
        file["z_m"], file["ccd_pixel_um"], file["lambda_nm"] = 2.05, 75.0, 0.137146
    return path


def test_of_a_scan(scan):
    config = read_config(config_from_file(scan))
    values = [config.get(name) for name in ("scan_num", "nx", "ny", "x_range", "y_range", "z_m", "ccd_pixel_um")]
    assert values == ["411993", 10, 8, 3.0, 2.0, 2.05, 75.0]
    assert config.get("xray_energy_kev") == pytest.approx(9.04, abs=1e-3)


@pytest.mark.parametrize("ending", [".txt", ".json"])
def test_of_a_config(scan, tmp_path, ending):
    given = config_from_file(scan) | {"alg_flag": "ML_grad", "prb_path": "50%"}
    text = json.dumps(given) if ending == ".json" else "[GUI]\n" + "".join(f"{k} = {v}\n" for k, v in given.items())
    (path := tmp_path / f"config{ending}").write_text(text)
    assert config_from_file(path) == given


def test_the_verb_prints_what_start_takes(scan, tmp_path):
    found = CliRunner().invoke(app, ["hp", "config", "from", "file", str(scan)])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) == config_from_file(scan)
    (tmp_path / "none.dat").write_bytes(b"none")
    found = CliRunner().invoke(app, ["hp", "config", "from", "file", str(tmp_path / "none.dat")])
    assert found.exit_code == 2
    assert "neither a scan nor a config" in found.output


def test_what_is_missing_is_told(scan, tmp_path):
    with h5py.File(scan, "r+") as file:
        del file["z_m"]
    with pytest.raises(SourceError, match="distance"):
        config_from_file(scan)


@given(st.binary(max_size=400), st.sampled_from([".txt", ".ini", ".json"]))
def test_any_text_is_read_or_refused(tmp_path_factory, text, ending):
    (path := tmp_path_factory.mktemp("any") / f"c{ending}").write_bytes(text)
    try:
        found = config_from_file(path)
    except SourceError:
        return
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in found.items())
