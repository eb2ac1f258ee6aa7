"""The service in a process of its own, over made-up runs: for tests of its loop, and of what its death does to runs."""

import sys
import threading
from pathlib import Path

from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

FAKE = Path(__file__).parents[1] / "jobs" / "fake_process.py"

if __name__ == "__main__":
    supervisor = Supervisor(Store(Path(sys.argv[1])), process=(sys.executable, str(FAKE)))
    service = ServiceThread(Settings(port=0), supervisor)
    sys.stdout.write(f"{service.port}\n")
    sys.stdout.flush()
    threading.Event().wait()
