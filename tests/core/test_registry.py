"""Plugins by name."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from firstlight.core import registry
from firstlight.core.errors import MissingExtra, UnknownName


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from firstlight.core import registry;"
        "[registry.names(kind) for kind in registry.KINDS];"
        "print(sorted({'h5py', 'numba', 'p4p', 'scipy', 'finufft', 'fastapi', 'cupy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_comes_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean flat_field") as caught:
        registry.get("operators", "flatfield")
    assert str(caught.value).startswith("There is no operator 'flatfield'.")
    with pytest.raises(UnknownName, match="firstlight list sinks"):
        registry.get("sinks", "zzzz")
    with pytest.raises(UnknownName, match="one of operators, sources"):
        registry.names("detectors")


def test_what_is_added_is_found_until_it_is_removed() -> None:
    registry.add("operators", "mine", int)
    try:
        assert registry.get("operators", "mine") is int
        assert "mine" in registry.names("operators")
    finally:
        registry.remove("operators", "mine")
        registry.remove("operators", "mine")
    assert "mine" not in registry.names("operators")


@pytest.mark.parametrize(("module", "error"), [("p4p_is_not_here", ModuleNotFoundError), ("cupy", MissingExtra)])
def test_a_missing_library_names_its_extra(
    module: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(EntryPoint):
        def load(self) -> object:
            raise ModuleNotFoundError(f"No module named '{module}'", name=f"{module}.fft")

    points = {"gpu_step": Broken("gpu_step", "nowhere:step", "firstlight.operators")}
    monkeypatch.setattr(registry, "_points", lambda kind: points)
    with pytest.raises(error) as caught:
        registry.get("operators", "gpu_step")
    if error is MissingExtra:
        assert "pip install 'firstlight[gpu]'" in str(caught.value)


@pytest.mark.parametrize("kind", ["operators", "sources", "sinks", "runners"])
def test_every_built_in_loads_and_knows_its_name(kind: str) -> None:
    for name in registry.names(kind):
        found = registry.get(kind, name)
        use = getattr(getattr(found, "step", found), "use", name)
        assert use == name


def test_a_step_is_found_by_its_name_in_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"minus_log_of_theirs": "minus_log", "fbp": "minus_log", "gone": "no_such_step"}
    monkeypatch.setattr(registry, "aliases", lambda: tables)
    assert registry.get("operators", "minus_log_of_theirs") is registry.get("operators", "minus_log")
    assert registry.get("operators", "fbp") is not registry.get("operators", "minus_log"), "our own name wins"
    assert "minus_log_of_theirs" not in registry.names("operators")
    with pytest.raises(UnknownName, match="no operator 'gone'"):
        registry.get("operators", "gone")
    with pytest.raises(UnknownName, match="no source 'minus_log_of_theirs'"):
        registry.get("sources", "minus_log_of_theirs")


def test_every_alias_names_a_step_that_exists() -> None:
    assert set(registry.aliases().values()) <= set(registry.names("operators"))
