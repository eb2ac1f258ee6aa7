"""Notebooks of the documentation run from their first cell to their last, in a kernel of their own."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def executed(name):
    nbformat = pytest.importorskip("nbformat", reason="the package 'nbformat' is not installed")
    client = pytest.importorskip("nbclient", reason="the package 'nbclient' is not installed")
    pytest.importorskip("ipykernel", reason="the package 'ipykernel' is not installed")
    notebook = nbformat.read(FOLDER / name, as_version=4)
    client.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return notebook


def said(notebook, words):
    """The text that the first cell with these words in its source gave."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and words in cell.source)
    return "".join(out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)


# the libraries of the kernel warn of themselves in this process
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_live_4dstem():
    notebook = executed("live-4dstem.ipynb")
    assert "start the scan now" in said(notebook, "fl.connect")
    assert "% of the points have come" in said(notebook, "np.isfinite")
    results = said(notebook, "run.finished")
    assert "done=1024" in results
    assert "lost=0" in results
    assert "scan_x" in results
    images = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert images
