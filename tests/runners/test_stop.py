"""A run that was asked to end does not wait for the block in work: long steps look up between their rounds."""

from pathlib import Path
from typing import Any

import pytest

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.runners.checkpoint import can_go_on
from firstlight.testing.runner import wait_until


def endless(**more: Any) -> Any:
    return start(
        load_job(
            {
                "source": {"use": "phantom", "columns": 64, "rows": 4, "angles": 40},
                "steps": [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "sirt", "iterations": 100_000}],
                **more,
            }
        )
    )


def iterates(run: Any) -> bool:
    return str(run.status().bound).startswith("computing sirt (")


@pytest.mark.timeout(120)
def test_an_iterative_step_ends_between_two_iterations(tmp_path: Path) -> None:
    out = tmp_path / "rec.h5"
    run = endless(sinks=[{"use": "hdf5", "of": "sirt", "path": str(out)}])
    wait_until(lambda: iterates(run), 60)
    status = run.status()
    assert status.state == "draining"
    assert status.stages["sirt"]["title"] == "gathered for sirt"
    assert status.stages["sink sirt.volume"]["done"] == 0
    assert 0.5 <= status.progress < 0.6  # gathered, and hardly begun
    run.stop()
    run.finished(100)
    assert run.status().state == "stopped"
    assert can_go_on(str(out))


@pytest.mark.timeout(120)
def test_nor_is_a_block_waited_for_that_nothing_could_go_on_with_however_often_the_run_is_asked() -> None:
    run = endless(views=[{"of": "sirt"}])
    wait_until(lambda: iterates(run), 60)
    run.stop()
    run.stop()
    run.finished(100)
    status = run.status()
    assert status.state == "stopped"
    assert status.stages["sirt"]["title"] == "gathered for sirt", "which is not done, as its name alone would say"
    assert run.view("sirt.volume", timeout=0.0) is None


@pytest.mark.timeout(120)
def test_a_sweep_ends_between_two_values_and_tells_how_many_it_has_done() -> None:
    steps = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp", "cutoff": {"sweep": "0.2:1:0.0002"}}]
    source = {"use": "phantom", "columns": 64, "rows": 2, "angles": 40}
    sinks, views = [{"use": "memory", "of": "fbp"}], [{"of": "fbp"}]
    run = start(load_job({"source": source, "steps": steps, "sinks": sinks, "views": views}))
    wait_until(lambda: "of 4001 rounds" in str(run.status().bound), 60)
    assert 0.5 <= run.status().progress < 1  # gathered, and some of the values
    run.stop()
    run.finished(100)
    assert run.status().state == "stopped"
    assert run.view("fbp", timeout=0.0) is None
