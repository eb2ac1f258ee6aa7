"""``firstlight hp``: what it does without a service, and how it remembers one."""

import pytest
from typer.testing import CliRunner

from firstlight.cli.hp import _overlap
from firstlight.cli.main import app
from firstlight.connectors.hxn.client import HoloptychoError, url_of


@pytest.fixture
def hp(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HOLOPTYCHO_URL", raising=False)

    def run(*words, code=0):
        found = CliRunner().invoke(app, ["hp", *words])
        assert found.exit_code == code, found.output
        return found.output

    return run


def test_remotes_are_remembered(hp):
    assert "* localhost  http://127.0.0.1:8000" in hp("remote", "list")
    hp("remote", "set", "hutch", "http://127.0.0.1:9/")
    assert "* hutch  http://127.0.0.1:9\n" in hp("remote", "list")
    assert "http://127.0.0.1:9" in hp("remote", "status", code=1), "that one is asked, and nobody is there"
    hp("remote", "set", "localhost")
    assert "* localhost" in hp("remote", "list")
    assert "Known are: localhost, hutch" in hp("remote", "set", "nowhere", code=2)
    assert "no address" in hp("remote", "set", "wrong", "file:///etc/passwd", code=2)


def test_no_service(hp):
    assert "firstlight serve --holoptycho" in hp("--url", "http://127.0.0.1:9", "status", code=1)
    for config in ("{", "[1]", "@/no/such/file"):
        assert "config" in hp("start", config, code=2)


def test_the_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("HOLOPTYCHO_URL", "http://hutch:8000/")
    assert url_of(None) == "http://hutch:8000"
    assert url_of("https://other") == "https://other"
    with pytest.raises(HoloptychoError, match="no address"):
        url_of("hutch:8000")


@pytest.mark.parametrize(
    ("known", "found", "old"),
    [([], ["a"], 0), (["a"], ["a", "b"], 1), (["a", "b"], ["b", "c"], 1), (["a"], ["x", "y"], 0), (["a"], [], 0)],
)
def test_following_shows_each_line_once(known, found, old):
    assert _overlap(known, found) == old
