"""Ctrl-C, whenever it comes, ends the command with one line and the code that shells know."""

import os
import signal
import subprocess
import sys
import types

import pytest
import typer

from firstlight.cli import entry
from firstlight.cli.follow import uninterrupted
from firstlight.cli.say import verb


def interrupt(*_):
    raise KeyboardInterrupt


def test_while_the_command_is_loaded_or_at_work(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "firstlight.cli.main", types.SimpleNamespace(app=interrupt))
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_in_a_verb(capsys):
    with pytest.raises(typer.Exit) as ended:
        verb(interrupt)()
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_what_must_be_whole_is_not_interrupted_in_between():
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_importing_the_package_loads_nothing_but_itself():
    code = "import firstlight, sys; sys.exit(any(name.startswith('firstlight.core') or name == 'numpy' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there():
    import firstlight

    assert all(getattr(firstlight, name) is not None for name in firstlight.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = firstlight.nothing
