"""The catalogue is made once, and again when something was installed."""

import json

import pytest

from firstlight.jobs import catalogue


@pytest.fixture
def made(monkeypatch):
    """How often a process made a catalogue; each time another one."""
    count = []

    def make(timeout):
        count.append(timeout)
        return json.dumps({"number": len(count)}).encode()

    monkeypatch.setattr(catalogue, "_made_by_another_process", make)
    return count


def number(folder):
    return json.loads(catalogue.catalogue_text(folder))["number"]


def test_it_is_kept_until_something_is_installed(made, tmp_path, monkeypatch):
    libraries, folder = tmp_path / "site-packages", tmp_path / "cache"
    libraries.mkdir()
    monkeypatch.syspath_prepend(libraries)
    assert [number(folder), number(folder)] == [1, 1]
    (libraries / "another_library").mkdir()
    assert [number(folder), number(folder)] == [2, 2]
    assert len(list(folder.iterdir())) == 1


def test_it_is_made_where_nothing_can_be_kept(made, tmp_path):
    (tmp_path / "file").touch()
    assert [number(tmp_path / "file"), number(tmp_path / "file")] == [1, 2]
