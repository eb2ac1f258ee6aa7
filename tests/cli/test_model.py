"""``firstlight model``: networks are listed, one is chosen, what it is stands in its status; bad files are refused."""

import json

import pytest
from typer.testing import CliRunner

from firstlight.cli.main import app
from firstlight.operators.learn.models import choose_model, chosen_model, find_model, models

from ..operators.networks import write_network


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A folder with networks, and a way to ask."""
    monkeypatch.setenv("FIRSTLIGHT_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "models"
    folder.mkdir()
    write_network(folder / "eight_v2.onnx", 8, {"normalization": "frame", "beamline": "3"}, batch=2)
    write_network(folder / "eight_v10.onnx", 8, {"normalization": "7"})
    (folder / "cut_v1.onnx").write_bytes((folder / "eight_v2.onnx").read_bytes()[:200])
    (folder / "none.onnx").write_bytes(b"")

    def ask(*words):
        return CliRunner().invoke(app, ["model", *words])

    return folder, ask


def test_list_set_and_status(asked):
    folder, ask = asked
    listed = json.loads(ask("list", "--json").stdout)
    assert [(one["name"], one["version"], one["chosen"]) for one in listed] == [
        ("cut", 1, False), ("eight", 2, False), ("eight", 10, False), ("phantom", 2, True),
    ]  # fmt: skip
    assert "* phantom_v2" in ask("list").stdout
    assert ask("set", "eight").stdout.startswith("eight_v10")
    assert chosen_model().path == folder / "eight_v10.onnx"
    ask("set", "eight_v2")
    status = json.loads(ask("status", "--json").stdout)
    assert (status["name"], status["version"], status["window"], status["batch"]) == ("eight", 2, [8, 8], 2)
    assert (status["beamline"], status["holds_probe"]) == ("3", False)
    assert "window: [8, 8]" in ask("status").stdout


def test_what_can_not_be_chosen_changes_nothing(asked):
    folder, ask = asked
    ask("set", "eight_v2")
    for name, text in (
        ("nobody", "no network 'nobody'"),
        ("eight_v3", "eight_v2, eight_v10"),
        ("../eight_v2", "no network"),
        ("cut", "no whole ONNX file"),
    ):
        told = ask("set", name)
        assert told.exit_code == 1 or told.exit_code == 2
        assert text in told.stderr
        assert chosen_model().version == 2
    (folder / "eight_v2.onnx").unlink()
    told = ask("status")
    assert told.exit_code
    assert "eight_v2" in told.stderr
    (folder / "chosen.json").write_text("{")
    assert "Choose again" in ask("status").stderr
    assert "  eight_v10" in ask("list").stdout


def test_a_network_of_the_folder_goes_before_the_one_that_ships(asked):
    folder, _ = asked
    write_network(folder / "phantom_v2.onnx", 8)
    assert find_model("phantom").path == folder / "phantom_v2.onnx"
    assert [one.full_name for one in models(folder / "nothing")] == ["phantom_v2"]
    assert choose_model("phantom", folder / "new").full_name == "phantom_v2"
