"""The connection to Merlin by itself: who gets which acquisition."""

import threading

import pytest

from firstlight.connectors.merlin.connection import Address, Connection
from firstlight.connectors.merlin.wire import Start
from firstlight.core.receiving import Limits

STARTS = [Start({"ScanX": str(n)}) for n in range(3)]


@pytest.fixture
def connection():
    made = Connection(Address("127.0.0.1", 1), Limits())
    yield made
    made.close()


def test_who_waits_gets_each_acquisition_however_slowly_it_wakes(connection):
    found = []
    waits = threading.Event()
    taker = threading.Thread(
        target=lambda: found.append(connection.wait(20.0, stopped=lambda: waits.set() or False).start)
    )
    taker.start()
    assert waits.wait(20)
    with connection.changed:  # the waiting thread cannot wake before both have begun
        connection._begin(STARTS[0])
        connection._begin(STARTS[1])
    taker.join(20)
    assert [*found, connection.wait(1.0).start] == STARTS[:2]
    assert connection.wait(0.0) is None


def test_who_comes_later_gets_the_newest_and_the_log_tells_of_the_others(connection, caplog):
    for start in STARTS:
        connection._begin(start)
    assert connection.wait(1.0).start == STARTS[2]
    assert caplog.text.count("passed over") == 2
