"""What is run on a GPU once there is one compares every body, and marks those alone that agreed."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / "tools" / "on_a_gpu.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("on_a_gpu", TOOL)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "on_a_gpu", module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        yield module


def test_every_body_is_compared_on_data_that_its_step_takes(tool):
    assert {case.use for case in tool.cases()} == tool.steps_with_bodies()
    data = tool.make_data(32)
    for case in tool.cases():
        assert set(case.data) | set(case.at) <= set(data)
        if case.use in ("bin", "normalize_by_monitor", "rescale"):
            step = tool.registry.get("operators", case.use).step(**case.parameters)
            step.run(*(data[name] for name in case.data), **{name: data[name] for name in case.at})


def test_differences_are_parts_of_the_largest_value(tool):
    wanted = np.array([0.0, -4, np.nan], np.float32)
    assert tool.apart(wanted + np.float32(1), wanted) == 0.25
    assert tool.apart(np.nan_to_num(wanted), wanted) == np.inf
    assert tool.apart(wanted.astype(np.float64), wanted) == np.inf


def test_what_agrees_is_marked_and_nothing_else(tool, tmp_path, monkeypatch):
    for folder in ("src/firstlight/operators", "tools"):
        (tmp_path / folder).mkdir(parents=True)
    source = TOOL.parents[1] / "src" / "firstlight" / "operators"
    for path in (*source.rglob("*.py"), TOOL.with_name("verified.toml")):
        to = tmp_path / path.relative_to(TOOL.parents[1])
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(path.read_text())
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "OPERATORS", tmp_path / "src" / "firstlight" / "operators")
    phase = {"paganin", "paganin_generalised", "tie", "ctf", "quasi_particle", "bronnikov", "ctf_multidistance"}
    found = [{"step": step, "agrees": True} for step in (*phase, "bin", "crop", "remove_small_stripes")]
    found += [{"step": "crop", "agrees": False}]
    assert tool.agreed(found) == phase | {"bin", "remove_small_stripes"}
    changed = {path.relative_to(tmp_path).name for path in tool.mark(tool.agreed(found), "NVIDIA X")}
    assert changed == {"bin.py", "optics.py", "verified.toml"}, "other stripes were not tried: their file is shared"
    table = (tmp_path / "tools" / "verified.toml").read_text()
    assert re.search(r"^bin = .*CUDA on NVIDIA X", table, re.MULTILINE)
    assert not re.search(r"^crop = .*CUDA on NVIDIA X", table, re.MULTILINE)
