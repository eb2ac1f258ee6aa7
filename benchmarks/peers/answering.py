"""The loop of a peer's worker: names of steps in, seconds of the processor out."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def answer_names(steps: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
    """Answer each name with the seconds of one run; write the first result to FOLDER/NAME.npy."""
    folder = Path(sys.argv[1])
    data = dict(np.load(folder / "data.npz"))
    for line in sys.stdin:
        name = line.strip()
        try:
            start = time.process_time()
            result = steps[name](data)
            seconds = time.process_time() - start
        except ImportError as error:
            print(json.dumps({"absent": str(error)}), flush=True)
            continue
        target = folder / f"{name}.npy"
        if not target.exists():
            np.save(target, np.asarray(result))
        print(json.dumps({"seconds": seconds}), flush=True)
