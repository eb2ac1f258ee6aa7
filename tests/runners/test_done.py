"""What a sink's log tells of, wherever it was cut off."""

from pathlib import Path

import numpy as np

from firstlight.runners.done import DoneLog


def test_a_line_that_was_cut_short_holds_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sink-0.log"
    log = DoneLog(path, fresh=True)
    log.add(0, np.array([3, 1, 2, 14]))
    whole = path.read_bytes()
    log.add(1, np.array([120, 121]))
    for end in range(len(whole), path.stat().st_size):
        path.write_bytes((whole + b"1 120 121\n")[:end])
        again = DoneLog(path, fresh=False)
        assert (again.ids(0).tolist(), again.ids(1).tolist()) == ([1, 2, 3, 14], [])
        again.add(0, np.array([7]))
        assert DoneLog(path, fresh=False).ids(0).tolist() == [1, 2, 3, 7, 14]
