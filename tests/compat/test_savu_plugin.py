"""Savu's plugins as steps: frames, neighbours and edges as they expect them, block by block as at once."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

import firstlight as fl
from firstlight.compat.savu.stand_in import BaseFilter, defaults, stand_ins
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import FirstlightError, JobError, StepFailed
from firstlight.jobs.confine import confine
from firstlight.jobs.load import load_job

spec = importlib.util.spec_from_file_location("savu_plugins", Path(__file__).parent / "savu_plugins.py")
plugins = importlib.util.module_from_spec(spec)
sys.modules["savu_plugins"] = plugins
spec.loader.exec_module(plugins)

RNG = np.random.default_rng(1)
ANGLES = np.linspace(0, 180, 24, endpoint=False)
FRAMES = RNG.random((24, 5, 16)).astype(np.float32)


def zingers():
    """A smooth scan with planted zingers, also in the first and the last projection."""
    frames = FRAMES.copy()
    for place in ((0, 1, 2), (5, 0, 0), (6, 3, 9), (23, 4, 15)):
        frames[place] += 100
    return frames


def results(step, data, *, runner="local", **source):
    run = fl.run(MemorySource.of(data, angles=ANGLES, **source), [step], runner=runner)
    return np.asarray(run.finished(timeout=60)[step.use])


@pytest.mark.parametrize("runner", ["naive", "local"])
@pytest.mark.parametrize("chunk", [1, 4, 24])
@pytest.mark.parametrize("kind", ["Dezinger", "OldDezinger"])
def test_the_dezinger_of_the_talk(kind, chunk, runner):
    frames = zingers()
    found = results(fl.from_savu(getattr(plugins, kind), outlier_mu=20.0), frames, runner=runner, frames=chunk)
    median = scipy.ndimage.median_filter(frames, (5, 1, 1), mode="nearest")
    np.testing.assert_allclose(found, np.where(np.abs(frames - median) > 20, median, frames), atol=1e-6)
    assert found[1:-1].max() < 2  # the outermost, whose neighbours are itself, keeps its own, as in Savu


def test_hooks_are_called_once():
    plugins.calls.clear()
    step = fl.from_savu(plugins.Dezinger)
    results(step, zingers(), frames=4)
    assert plugins.calls == ["pre", "post"]
    assert step.contract().plugin.shape == (24, 5, 16)


def test_edges_of_frames_are_repeated_and_taken_off():
    found = results(fl.from_savu(plugins.Smooth, size=5), FRAMES)
    wanted = [scipy.ndimage.uniform_filter(frame, 5, mode="nearest") for frame in FRAMES]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert defaults(plugins.Smooth) == {"size": 3}


def test_sinograms_come_with_the_angle_first():
    found = results(fl.from_savu(plugins.Columns), FRAMES)
    wanted = np.moveaxis(FRAMES - FRAMES.mean(axis=0, keepdims=True), 1, 0)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_plugin_that_sets_itself_up_names_its_pattern_there_and_knows_the_shape_of_a_frame():
    found = results(fl.from_savu(plugins.ByHand, part=0.5), FRAMES)
    np.testing.assert_allclose(found, np.moveaxis(FRAMES - 0.5 * FRAMES.mean(axis=0, keepdims=True), 1, 0), atol=1e-6)
    with pytest.raises(FirstlightError, match=r"detector_y.*rotation_angle, detector_x"):
        results(fl.from_savu(plugins.AsksForRows), FRAMES)


def test_a_reconstruction_gets_angles_and_center():
    found = results(fl.from_savu(plugins.Sums, center=6.25), FRAMES)
    assert found.shape == (5, 16, 16)
    plain = plugins.Sums("Sums")
    plain.frame_params = (6.25, ANGLES, (16, 16), None)
    np.testing.assert_allclose(found[3], plain.process_frames([FRAMES[:, 3]]), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("Spectra", "SPECTRUM"), ("Two", "several data sets"), ("OddPadding", "padding that is not offered")],
)
def test_what_is_not_offered_is_refused_when_the_step_is_made(kind, message):
    with pytest.raises(FirstlightError, match=message):
        fl.from_savu(getattr(plugins, kind))


def test_mistakes_are_told():
    with pytest.raises(FirstlightError, match=r"no parameter 'outlier_my'.*outlier_mu"):
        fl.from_savu(plugins.Dezinger, outlier_my=3)
    with pytest.raises(StepFailed, match="gave what it did not announce"):
        results(fl.from_savu(plugins.Wrong), FRAMES)
    with pytest.raises(FirstlightError, match="asks its data for 'data'"):
        results(fl.from_savu(plugins.AsksForDarks), FRAMES)


def test_in_a_job_a_plugin_is_named_by_module_and_class():
    steps = [{"use": "savu_plugin", "plugin": "savu_plugins:Dezinger", "settings": {"outlier_mu": 3.0}}]
    job = load_job({"source": "phantom", "steps": steps})
    assert job.pipeline.nodes[0].step.halo() == {"angle": 2}
    with pytest.raises(JobError, match="runs code that the job names"):
        confine(job, [])
    with pytest.raises(FirstlightError, match="can not be loaded"):
        load_job({"source": "phantom", "steps": [{**steps[0], "plugin": "no_such_module:Plugin"}]}).pipeline.nodes[
            0
        ].step.halo()


def test_parameters_are_described_in_a_file_beside_the_plugin(tmp_path, monkeypatch):
    (tmp_path / "own_scale.py").write_text(
        "from savu.data.plugin_list import CitationInformation\n"
        "from savu.plugins.filters.base_filter import BaseFilter\n"
        "class OwnScale(BaseFilter):\n"
        "    def process_frames(self, data):\n        return data[0] * self.parameters['factor']\n"
    )
    (tmp_path / "own_scale_tools.py").write_text(
        "from savu.plugins.plugin_tools import PluginTools\n"
        "class OwnScaleTools(PluginTools):\n    def define_parameters(self):\n"
        "        '''\n        factor:\n            dtype: int\n            default: 3\n        '''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with stand_ins():
        kind = importlib.import_module("own_scale").OwnScale
    np.testing.assert_allclose(results(fl.from_savu(kind), FRAMES), 3 * FRAMES)
    with pytest.raises(FirstlightError, match=r"no parameter 'times'.*factor"):
        fl.from_savu(kind, times=2)


def test_files_of_plugins_import_where_savu_is_missing(tmp_path):
    path = tmp_path / "own_filter.py"
    path.write_text(
        "from savu.plugins.filters.base_filter import BaseFilter\n"
        "from savu.plugins.driver.cpu_plugin import CpuPlugin\n"
        "from savu.plugins.utils import register_plugin\n"
        "@register_plugin\nclass OwnFilter(BaseFilter, CpuPlugin):\n"
        "    def __init__(self):\n        super(OwnFilter, self).__init__('OwnFilter')\n"
        "    def process_frames(self, data):\n        return data[0] * 2\n"
    )
    own = importlib.util.spec_from_file_location("own_filter", path)
    module = importlib.util.module_from_spec(own)
    with stand_ins():
        own.loader.exec_module(module)
    assert "savu" not in sys.modules
    assert issubclass(module.OwnFilter, BaseFilter)
    np.testing.assert_allclose(results(fl.from_savu(module.OwnFilter), FRAMES), 2 * FRAMES)
