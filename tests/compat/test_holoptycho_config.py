"""holoptycho's flat config and its environment: what is read, what is refused, and what stays secret."""

from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from firstlight.compat.holoptycho.config import ConfigError, read_config
from firstlight.compat.holoptycho.environment import read_environment, z85
from firstlight.compat.holoptycho.job import job_of
from firstlight.compat.holoptycho.kept import write_ini
from firstlight.compat.holoptycho.keys import KEYS

from .holoptycho_jobs import GOOD, STREAMS, eiger, job_with, panda, solver


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.required])
def test_a_required_key_is_named(name):
    with pytest.raises(ConfigError, match=f"missing: {name}"):
        read_config({other: value for other, value in GOOD.items() if other != name})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lambda_nm": "0.2"}, "contradicts xray_energy_kev"),
        ({"batch_width": "128"}, "batch_width = 128 contradicts nx = 256"),
        ({"nx": "0"}, "nx = '0': expected a whole number of at least 1"),
        ({"nx": "12.5"}, "whole number"),
        ({"z_m": "2 keV"}, "z_m"),
        ({"z_m": "-1"}, "more than 0 m"),
        ({"x_ratio": "nan"}, "x_ratio"),
        ({"xray_energy_kev": "1e400"}, "finite"),
        ({"x_direction": "2"}, "1 or -1"),
        ({"angle_flip_flag": "maybe"}, "True or False"),
        ({"dp_orient_iterative": "sideways"}, "rot90_cw"),
        ({"recon_mode": "fast"}, "expected iterative or vit or both"),
        ({"recon_mode": "vit", "dp_orient": "auto"}, "dp_orient = auto is not possible"),
        ({"obj_mode_num": "2", "alg_flag": "DM"}, "ePIE and rPIE alone"),
        ({"multislice_flag": "True"}, "needs slice_spacing_m"),
        ({"multislice_flag": "True", "slice_spacing_m": "5e-6", "obj_mode_num": "2"}, "not possible together"),
        ({"pha_min": "1", "pha_max": "0"}, "less than pha_max"),
        ({"precision": "half"}, "expected single or double"),
        ({"simulate_positions": "True"}, "must be measured"),
        ({"init_prb_flag": "False"}, "needs prb_path"),
        ({"panda_upsampl": "10"}, "did you mean 'panda_upsample'"),
        ({"alg_percentage": "1.5"}, "0 to 1"),
        ({"amp_min": "1", "amp_max": "0.5"}, "less than amp_max"),
        ({"detector_orientation": "auto"}, "rot90_cw"),
        ({"batch_x0": "", "auto_center_dp": "False"}, "batch_x0 and batch_y0"),
    ],
)
def test_what_can_not_be_is_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        read_config({**GOOD, **changes})


def test_every_mistake_is_told_at_once():
    with pytest.raises(ConfigError, match=r"nx.*ny.*missing: scan_num"):
        read_config({**GOOD, "nx": "x", "ny": "y", "scan_num": ""})


def test_a_secret_is_refused_and_never_repeated():
    with pytest.raises(ConfigError, match="CLIENT_SECRET_KEY") as refused:
        read_config({**GOOD, "tiled_api_key": "geheim-1234"})
    assert "geheim" not in str(refused.value)


def test_a_config_is_kept_as_the_file_that_other_programs_read(tmp_path, caplog):
    from firstlight.connectors.hxn.from_scan import config_from_file

    odd = {**GOOD, "pos_x_channel": "/A%B.VAL.Value", "raw_uid": "a\n[b]\nc = d"}
    write_ini(tmp_path / "configs", odd)
    assert config_from_file(tmp_path / "configs" / "config.txt") == {**odd, "raw_uid": "a [b] c = d"}
    (tmp_path / "taken").write_text("")
    write_ini(tmp_path / "taken", GOOD)
    assert "HOLOPTYCHO_CONFIG_DIR" in caplog.text


# ---- environment -----------------------------------------------------------------------------------------------------


def curve():
    server, (public, secret) = zmq.curve_keypair()[0], zmq.curve_keypair()
    return {
        "SERVER_PUBLIC_KEY": server.decode(),
        "CLIENT_PUBLIC_KEY": public.decode(),
        "CLIENT_SECRET_KEY": secret.decode(),
    }


def test_missing_streams_are_named():
    with pytest.raises(ConfigError, match="PANDA_STREAM_SOURCE"):
        read_environment({"SERVER_STREAM_SOURCE": "tcp://h:1"})


def test_what_the_engine_works_on_is_dumped_where_the_environment_says():
    assert solver(job_with(STREAMS | {"HOLOPTYCHO_DUMP_ENGINE_INPUTS": "/tmp/dump"}))["inputs_folder"] == "/tmp/dump"
    assert "inputs_folder" not in solver(job_with())


def test_the_secret_key_stays_in_the_environment():
    keys = curve()
    job = job_with(STREAMS | keys, panda_curve="True")
    assert keys["CLIENT_SECRET_KEY"] not in str(job)
    for stream in (eiger(job), panda(job)):
        assert (stream["server_key"], stream["secret_key"]) == (keys["SERVER_PUBLIC_KEY"], "CLIENT_SECRET_KEY")
    assert "server_key" not in panda(job_with(STREAMS | keys)), "holoptycho's positions are never encrypted"


def test_keys_come_all_or_none_as_z85_or_base64_and_fit():
    import base64

    from zmq.utils import z85 as reference

    keys = curve()
    raw = base64.b64encode(reference.decode(keys["SERVER_PUBLIC_KEY"])).decode()
    assert z85(raw, "SERVER_PUBLIC_KEY") == keys["SERVER_PUBLIC_KEY"]
    with pytest.raises(ConfigError, match="Missing: CLIENT_SECRET_KEY"):
        read_environment(STREAMS | keys | {"CLIENT_SECRET_KEY": ""})
    with pytest.raises(ConfigError, match="no pair") as refused:
        read_environment(STREAMS | keys | {"CLIENT_SECRET_KEY": curve()["CLIENT_SECRET_KEY"]})
    assert keys["CLIENT_PUBLIC_KEY"] not in str(refused.value)
    with pytest.raises(ConfigError, match="TILED_API_KEY") as told:
        read_environment(STREAMS | {"TILED_BASE_URL": "http://t?api_key=geheim"})
    assert "geheim" not in str(told.value)
    with pytest.raises(ConfigError, match="SERVER_PUBLIC_KEY is no CurveZMQ key"):
        read_environment(STREAMS | keys | {"SERVER_PUBLIC_KEY": "short"})


# ---- anything at all -------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(sorted(KEYS)) | st.text(max_size=20)
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.integers(), max_size=3)
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_config_is_read_or_refused(changes):
    try:
        found = read_config({**GOOD, **changes})
    except ConfigError:
        return
    job_of(found, read_environment(STREAMS), Path("/tmp"))
