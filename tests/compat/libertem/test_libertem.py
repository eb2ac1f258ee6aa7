"""LiberTEM itself: its UDFs give the same over our plumbing, and those that we ship give the same as its own."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from firstlight.compat.libertem import shipped
from firstlight.compat.libertem.api import LiveContext

ROOT = Path(__file__).parents[3]
PEER = Path(os.environ.get("PEERS", ROOT / ".peers")) / "libertem-live" / "bin" / "python"

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        not PEER.exists(),
        reason=f"no LiberTEM: install requirements/peers/libertem-live.txt into {PEER.parents[1]}",
    ),
]


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    out = tmp_path_factory.mktemp("libertem") / "results.npz"
    script = Path(__file__).with_name("libertem_peer.py")
    subprocess.run([PEER, script, ROOT / "src", out], check=True, timeout=240)
    with np.load(out) as found:
        return dict(found)


def test_libertem_s_own_udfs_run_over_our_plumbing(peer):
    names = [name.partition("/")[2] for name in peer if name.startswith("theirs/")]
    assert len(names) > 20
    for name in names:
        theirs, ours = peer[f"theirs/{name}"], peer[f"ours/{name}"]
        assert np.allclose(ours.reshape(theirs.shape), theirs, rtol=1e-5, atol=1e-5, equal_nan=True), name


@pytest.mark.parametrize(
    ("name", "udf"),
    [
        ("sum", shipped.SumUDF()),
        ("sumsig", shipped.SumSigUDF()),
        ("std", shipped.StdDevUDF()),
        ("logsum", shipped.LogsumUDF()),
        ("masks", shipped.ApplyMasksUDF([lambda: np.ones((8, 9)), lambda: np.tri(8, 9)])),
        ("com", shipped.CoMUDF.with_params(cy=3, cx=4)),
        ("turned", shipped.CoMUDF.with_params(cy=3, cx=4, r=3.5, scan_rotation=33, flip_y=True)),
    ],
)
def test_udfs_that_we_ship_give_what_libertem_s_give(peer, name, udf):
    with LiveContext() as context:
        ours = context.run_udf(context.load("memory", data=peer["data"]), udf)
    for buffer, found in ours.items():
        theirs = peer[f"theirs/{name}/{buffer}"]
        assert np.allclose(found.data, theirs, rtol=1e-5, atol=1e-4), buffer
