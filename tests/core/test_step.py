"""Folds, steps and results: what holds without a word from the author."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from firstlight.core.chunk import MAIN, Gap, Scan, Stream
from firstlight.core.errors import ChangeRefused
from firstlight.core.fold import Fold
from firstlight.core.record import versions
from firstlight.core.run import Result, Results
from firstlight.core.sequence import Sequencer
from firstlight.core.step import Configured
from firstlight.testing.steps import Adding


class Bare(Fold[list[int]]):
    """A fold that does as little as it may."""

    use = "bare"  # type: ignore[misc]
    signature = "[*] row col -> count: "  # type: ignore[assignment]

    def empty(self, scan: Scan) -> list[int]:
        """Nothing."""
        return []

    def add(self, state: list[int], chunk: Any, *held: Any) -> None:
        """Count."""
        state.append(len(chunk))

    def result(self, state: list[int]) -> dict[str, Any]:
        """The sum."""
        return {"count": np.array(sum(state))}


def test_a_bare_fold_refuses_what_it_can_not_do() -> None:
    fold, scan = Bare(), Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 2, "row": 3, "col": 4}, "uint8")})
    state = fold.empty(scan)
    fold.miss(state, Gap(0, 0, 1, "lost"))
    assert (fold.ready(state), fold.refine(state), fold.coverage(state)) == (True, False, None)
    for work in (
        lambda: fold.merge(state, state),
        lambda: fold.adapt(state, fold),
        lambda: fold.save(state),
        lambda: fold.load({}, scan),
    ):
        with pytest.raises(ChangeRefused, match="'bare'"):
            work()
    assert fold.after(scan)["count"].dtype == "float32"
    assert fold.workspace(scan, 5) == 0
    assert fold.calibrated(scan) is fold
    assert fold.unit(scan) is None
    assert fold.first_output == "count"
    assert Adding().first_output == "image"


def test_results_are_found_by_step() -> None:
    results = Results({"fbp.data": Result(np.arange(3), ("z",))})
    assert results["fbp"] is results["fbp.data"]
    assert np.asarray(results["fbp"]).tolist() == [0, 1, 2]
    assert np.asarray(results["fbp"], dtype=np.float32).dtype == np.float32
    with pytest.raises(KeyError, match=r"There is no result 'x'. There are: fbp\.data"):
        results["x"]


def test_versions_name_only_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.core.record.LIBRARIES", ("numpy", "not-a-library"))
    assert set(versions()) == {"python", "platform", "numpy"}


def test_a_finish_before_any_number_gives_up_nothing() -> None:
    sequencer = Sequencer()
    assert sequencer.gaps() == []
    assert sequencer.top is None
    assert sequencer.place(7) is not None
    assert sequencer.place(7) is None
    assert sequencer.finish() == []


class Mixed(Bare):
    """A fold whose outputs have units of their own."""

    use = "mixed"  # type: ignore[misc]
    signature = "[*] row col -> count: , share: , same: "  # type: ignore[assignment]

    def unit(self, scan: Scan) -> str:
        """Of what is not named below."""
        return "px"

    def units(self, scan: Scan) -> dict[str, str | None]:
        """Two exceptions."""
        return {"count": "1/cm", "share": None}


def test_outputs_may_have_units_of_their_own() -> None:
    scan = Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 2, "row": 3, "col": 4}, "uint8", unit="counts")})
    assert {name: stream.unit for name, stream in Mixed().after(scan).items()} == {
        "count": "1/cm",
        "share": None,
        "same": "px",
    }


def test_an_address_is_no_file_of_this_machine() -> None:
    class Written(Configured):
        """A plugin with a file and with a text."""

        use = "written"  # type: ignore[misc]
        path: Path | None = None
        """The file."""
        place: str = ""
        """Any text."""

    with pytest.raises(ValidationError, match=r"path\n.*takes a file of this machine"):
        Written.model_validate({"path": "s3://scans/rec.h5"})
    assert Written.model_validate({"path": "a/rec.h5", "place": "s3://scans"}).path == Path("a/rec.h5")
