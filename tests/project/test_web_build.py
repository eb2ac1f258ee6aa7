"""The build hook: when it builds, when it does not, and what it says when it fails. No Node is run here."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hook() -> ModuleType:
    pytest.importorskip("hatchling", reason="hatchling is not installed: make dev")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FIRSTLIGHT_SKIP_WEB", raising=False)
    (tmp_path / "web" / "src").mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}")
    (tmp_path / "web" / "src" / "page.tsx").write_text("page")
    return tmp_path


@pytest.fixture
def calls(hook: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What npm was asked for; `run build` leaves the pages, as vite does."""
    asked: list[tuple[str, ...]] = []

    def npm(web: Path, *arguments: str) -> None:
        asked.append(arguments)
        if arguments == ("run", "build"):
            static = project / hook.STATIC
            static.mkdir(parents=True, exist_ok=True)
            (static / "index.html").write_text("built")

    monkeypatch.setattr(hook, "npm", npm)
    return asked


def test_builds_once_and_again_only_when_a_source_changes(hook, project, calls):
    hook.build_web(project)
    hook.build_web(project)
    assert [call[-1] for call in calls if call[0] == "run"] == ["build"]
    (project / "web" / "src" / "page.tsx").write_text("another page")
    hook.build_web(project)
    assert calls.count(("run", "build")) == 2


def test_installed_packages_and_build_results_are_no_sources(hook, project, calls):
    hook.build_web(project)
    (project / "web" / "node_modules").mkdir()
    (project / "web" / "node_modules" / "x.js").write_text("x")
    (project / "web" / "tsconfig.tsbuildinfo").write_text("{}")
    hook.build_web(project)
    assert calls.count(("run", "build")) == 1


def test_packages_newer_than_the_lock_are_kept(hook, project, calls):
    (project / "web" / "package-lock.json").write_text("{}")
    (project / "web" / "node_modules").mkdir()
    (project / "web" / "node_modules" / ".package-lock.json").write_text("{}")
    hook.build_web(project)
    assert calls == [("run", "build")]


@pytest.mark.usefixtures("project")
def test_a_tree_without_web_sources_and_a_wish_to_skip_build_nothing(
    hook, project, calls, monkeypatch, tmp_path_factory
):
    hook.build_web(tmp_path_factory.mktemp("empty"))
    monkeypatch.setenv("FIRSTLIGHT_SKIP_WEB", "1")
    hook.build_web(project)
    assert calls == []


def test_a_build_that_leaves_no_page_is_an_error_with_the_next_move(hook, project, monkeypatch):
    monkeypatch.setattr(hook, "npm", lambda web, *arguments: None)
    with pytest.raises(hook.WebBuildError, match=r"index\.html.*vite\.config\.ts"):
        hook.build_web(project)


def test_a_failing_npm_is_quoted(hook, project, monkeypatch):
    script = "import sys; print('src/page.tsx: type error'); sys.exit(3)"
    monkeypatch.setattr(hook, "npm_command", lambda: [sys.executable, "-c", script])
    monkeypatch.setattr(hook, "node_environment", lambda: None)
    with pytest.raises(hook.WebBuildError, match=r"code 3:\nsrc/page\.tsx: type error\n.*FIRSTLIGHT_SKIP_WEB"):
        hook.npm(project / "web", "run", "build")
