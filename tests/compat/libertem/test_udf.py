"""UDFs as steps: our class, what LiberTEM ships, regions, corrections, and scans that come in any order."""

import sys

import numpy as np
import pytest

import firstlight as fl
from firstlight.compat.libertem import shipped
from firstlight.compat.libertem.corrections import CorrectionSet
from firstlight.compat.libertem.udf import UDF
from firstlight.core.errors import FirstlightError, MissingExtra

RNG = np.random.default_rng(3)
FRAMES = RNG.integers(0, 500, (5, 6, 8, 9)).astype(np.uint16)
FLAT = FRAMES.reshape(-1, 8, 9)


class Arrived(fl.Source):
    """The frames, in an order of its own."""

    use = "arrived"
    missing: tuple[int, ...] = ()

    def open(self):
        sizes = dict(zip(("scan_y", "scan_x", "row", "col"), FRAMES.shape, strict=True))
        return fl.Scan({"data": fl.Stream(tuple(sizes), sizes, "uint16", 2, order="any")})

    def items(self):
        ids = np.array([n for n in np.random.default_rng(1).permutation(30) if n not in self.missing])
        for part in np.array_split(ids, 7):
            yield fl.Chunk(FLAT[part], ("row", "col"), part)

    def stop(self):
        pass

    def close(self):
        pass


def results(udf, source=None, **given):
    step = fl.from_libertem(udf, **given)
    found = fl.run(source or Arrived(), [step]).finished(60)
    return {name.partition(".")[2]: result.data for name, result in found.items()}


class Everything(UDF):
    """One buffer of each kind, with and without further axes."""

    def get_result_buffers(self):
        return {
            "total": self.buffer("nav", dtype="float64"),
            "corners": self.buffer("nav", extra_shape=(2,), dtype="float64"),
            "peak": self.buffer("sig", dtype="float64"),
            "count": self.buffer("single", dtype="int64"),
            "scaled": self.buffer("nav", dtype="float64", use="result_only"),
            "hidden": self.buffer("single", extra_shape=(3,), use="private"),
        }

    def get_task_data(self):
        return {"weights": np.full(self.meta.dataset_shape.sig, self.params.weight)}

    def preprocess(self):
        self.results.peak[:] = -1

    def process_frame(self, frame):
        assert frame.dtype == np.float32
        self.results.total[:] = (frame * self.task_data.weights).sum()
        self.results.corners[:] = frame[0, 0], frame[-1, -1]
        self.results.peak[:] = np.maximum(self.results.peak, frame)
        self.results.count += 1
        y, x = self.meta.coordinates[0]
        assert np.array_equal(frame, FRAMES[y, x])

    def merge(self, dest, src):
        dest.total[:] = src.total
        dest.corners[:] = src.corners
        dest.peak[:] = np.maximum(dest.peak, src.peak)
        dest.count[:] += src.count

    def get_results(self):
        kept = {name: self.results[name] for name in ("total", "corners", "peak", "count")}
        return {**kept, "scaled": self.results.total * 10}


def test_every_kind_of_buffer():
    found = results(Everything(weight=2.0))
    assert np.allclose(found["total"], FRAMES.sum((2, 3)) * 2.0)
    assert np.array_equal(found["corners"], FRAMES[:, :, [0, -1], [0, -1]])
    assert np.array_equal(found["peak"], FLAT.max(0))
    assert found["count"].tolist() == [30]
    assert np.array_equal(found["scaled"], found["total"] * 10)
    assert set(found) == {"total", "corners", "peak", "count", "scaled", "covered_points"}


def test_frames_that_did_not_come_are_not_in_it():
    found = results(Everything(weight=1.0), Arrived(missing=(0, 7)))
    assert found["count"].tolist() == [28]
    assert np.flatnonzero(~found["covered_points"]).tolist() == [0, 7]
    assert (found["total"].flat[0], found["total"].flat[7]) == (0, 0)
    assert np.array_equal(found["peak"], FLAT[[n for n in range(30) if n not in (0, 7)]].max(0))


def test_shipped_sums_are_exact():
    assert np.array_equal(results(shipped.SumUDF())["intensity"], FLAT.sum(0))
    assert np.array_equal(results(shipped.SumSigUDF())["intensity"], FRAMES.sum((2, 3)))
    assert np.array_equal(results(shipped.PickUDF())["intensity"], FLAT)
    assert np.array_equal(results(shipped.SignalMonitorUDF())["intensity"], FLAT[-1])


def test_shipped_statistics():
    found = results(shipped.StdDevUDF())
    assert np.allclose(found["std"], FLAT.std(0))
    assert np.allclose(found["var"], FLAT.var(0))
    assert np.allclose(found["mean"], FLAT.mean(0))
    assert found["num_frames"].tolist() == [30]
    log = np.log(FLAT - FLAT.min((1, 2), keepdims=True).astype(float) + 1).sum(0)
    assert np.allclose(results(shipped.LogsumUDF())["logsum"], log, rtol=1e-5)


def test_shipped_masks():
    weights = RNG.random((8, 9))
    found = results(shipped.ApplyMasksUDF(mask_factories=[lambda: np.ones((8, 9)), lambda: weights]))["intensity"]
    assert found.shape == (5, 6, 2)
    assert np.allclose(found[..., 0], FRAMES.sum((2, 3)))
    assert np.allclose(found[..., 1], (FRAMES * weights).sum((2, 3)), rtol=1e-5)
    stack = results(shipped.ApplyMasksUDF(mask_factories=lambda: np.stack([weights, 1j * weights])))["intensity"]
    assert np.allclose(stack[..., 1], 1j * stack[..., 0])


def test_shipped_centre_of_mass():
    found = results(shipped.CoMUDF.with_params(cy=3, cx=4, scan_rotation=90))
    rows, cols = (np.tensordot(FRAMES, np.indices((8, 9))[n], 2) / FRAMES.sum((2, 3)) for n in (0, 1))
    assert np.allclose(found["raw_com"], np.stack([rows, cols], -1))
    assert np.allclose(found["raw_shifts"], np.stack([rows - 3, cols - 4], -1))
    assert np.allclose(found["field_y"], cols - 4)
    assert np.allclose(found["field_x"], -(rows - 3))
    assert np.allclose(found["magnitude"], np.hypot(rows - 3, cols - 4))
    assert np.allclose(found["divergence"], np.gradient(cols - 4, axis=0) - np.gradient(rows - 3, axis=1))


def test_a_function_of_a_frame():
    found = results(shipped.AutoUDF(f=lambda frame: frame[2:4, 1]))["result"]
    assert np.array_equal(found, FRAMES[:, :, 2:4, 1])


def test_a_region_of_the_scan():
    roi = RNG.random((5, 6)) > 0.5
    total = results(Everything(weight=1.0), roi=roi)["total"]
    assert np.array_equal(np.isnan(total), ~roi)
    assert np.allclose(total[roi], FRAMES.sum((2, 3))[roi])
    assert np.array_equal(results(shipped.PickUDF(), roi=roi)["intensity"], FRAMES[roi])
    with pytest.raises(FirstlightError, match="another shape than the scan"):
        results(shipped.SumUDF(), roi=np.ones((2, 2), bool))


def test_corrections():
    dark, gain, bad = RNG.random((8, 9)), RNG.random((8, 9)) + 0.5, np.zeros((8, 9), bool)
    bad[0, 0] = bad[3, 4] = True
    found = results(shipped.PickUDF(), corrections=CorrectionSet(dark, gain, bad))["intensity"]
    expected = (FLAT - dark) * gain
    kept = ~bad
    assert np.allclose(found[:, kept], expected[:, kept])
    total = results(shipped.ApplyMasksUDF([lambda: kept.astype(float)]), corrections=CorrectionSet(dark, gain, bad))
    assert np.allclose(total["intensity"][..., 0].reshape(-1), expected[:, kept].sum(1), rtol=1e-5)
    patched = CorrectionSet(excluded_pixels=np.array([[3], [4]])).apply(FLAT)
    near = [(r, c) for r in (2, 3, 4) for c in (3, 4, 5) if (r, c) != (3, 4)]
    assert np.allclose(patched[:, 3, 4], np.mean([FLAT[:, r, c] for r, c in near], axis=0))
    with pytest.raises(FirstlightError, match="not as large as a frame"):
        CorrectionSet(dark=np.ones(3)).apply(FLAT)
    with pytest.raises(FirstlightError, match="outside the frame"):
        CorrectionSet(excluded_pixels=[[9], [1]]).apply(FLAT)


def test_recording(tmp_path):
    results(shipped.RecordUDF(tmp_path / "scan.npy"))
    assert np.array_equal(np.load(tmp_path / "scan.npy"), FRAMES)
    with pytest.raises(FirstlightError, match="recorded"):
        results(shipped.RecordUDF(tmp_path / "part.npy"), roi=np.ones((5, 6), bool))
    assert not (tmp_path / "part.npy").exists()


def test_a_udf_beside_other_steps_in_one_pass():
    steps = [fl.step("virtual_detector", shape="annulus"), fl.from_libertem(shipped.SumUDF())]
    found = fl.run(Arrived(), steps).finished(60)
    assert np.array_equal(found["virtual_detector"].data, FRAMES.sum((2, 3)))
    assert np.array_equal(found["libertem_udf.intensity"].data, FLAT.sum(0))


def test_what_can_not_run_is_told(monkeypatch):
    class NoMerge(UDF):
        def get_result_buffers(self):
            return {"image": self.buffer("sig")}

        def process_frame(self, frame):
            self.results.image[:] += frame

    class Nothing(UDF):
        def get_result_buffers(self):
            return {"value": self.buffer("nav")}

    class Objects(UDF):
        def get_result_buffers(self):
            return {"value": self.buffer("nav", dtype=object)}

    with pytest.raises(FirstlightError, match="must say how its buffer 'image' is merged"):
        results(NoMerge())
    with pytest.raises(FirstlightError, match="nothing that processes frames"):
        results(Nothing())
    with pytest.raises(FirstlightError, match="can not be a result"):
        results(Objects())
    monkeypatch.setitem(sys.modules, "libertem.udf.sum", None)
    monkeypatch.setitem(sys.modules, "libertem", None)
    with pytest.raises(MissingExtra, match=r"firstlight\[libertem\]"):
        fl.from_libertem("libertem.udf.sum:SumUDF")
    assert fl.from_libertem("firstlight.compat.libertem.shipped:SumUDF").use == "libertem_udf"
    with pytest.raises(FirstlightError, match="no such UDF"):
        fl.from_libertem("firstlight.compat.libertem.shipped:Nothing")
    with pytest.raises(FirstlightError, match="no UDF"):
        fl.from_libertem(shipped.SumUDF)
    with pytest.raises(FirstlightError, match="no such buffer"):
        UDF().buffer("frames")
