"""Fixtures of the Merlin tests."""

import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory, request):
    """Real files of Merlin detectors, unpacked: test patterns of all depths, and a scan."""
    from_session = request.getfixturevalue("data_folder")
    folder = tmp_path_factory.mktemp("merlin")
    for name in ("detector/Merlin_Single_Quad.zip", "stem/Merlin_navigation4x2_ROI.zip"):
        zipfile.ZipFile(from_session / name).extractall(folder)
    return folder
