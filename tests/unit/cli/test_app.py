from __future__ import annotations

import subprocess
import sys

import pytest

from eventbus import __version__
from eventbus.cli import main
from eventbus.cli.app import VERBS
from eventbus.cli.connection import settings_for
from eventbus.cli.options import Common

GROUPS = ("topology", "dead", "replay")
COMMANDS = [
    *([verb] for verb in VERBS),
    *(["topology", each] for each in ("show", "apply", "diff")),
    *(["dead", each] for each in ("list", "show", "export", "redrive", "discard", "stats")),
    *(["replay", each] for each in ("start", "list", "pause", "resume", "cancel")),
]


def test_the_version_is_told_without_importing_what_it_does_not_need():
    program = (
        "import sys; from eventbus.cli import main; main(['--version'])\n"
        "print(sorted({'asyncio', 'pydantic', 'rich', 'structlog', 'sqlite3'} & set(sys.modules)))"
    )

    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert said.splitlines() == [f"eventbus {__version__}", "[]"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(
    command: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main([*command, "--help"]) == 0

    shown = capsys.readouterr().out
    example = shown.partition("Example")[2]
    assert f"eventbus {command[0]}" in example
    if command not in ([group] for group in GROUPS):
        assert all(option in shown for option in ("--url", "--store", "--output"))


def test_the_overview_names_every_verb(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0

    shown = capsys.readouterr().out
    assert all(f"\n  {verb}  " in shown for verb in VERBS)


def test_no_verb_at_all_is_a_wrong_use(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    assert "Usage: eventbus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["pubish"], "Did you mean 'publish'? (see eventbus --help)"),
        (["topology", "shwo"], "Did you mean 'show'? (see eventbus topology --help)"),
        (["status", "--wacth"], "Did you mean '--watch'? (see eventbus status --help)"),
        (["run"], "(see eventbus run --help)"),
        (["publish", "a.b", "--output", "xml"], "(see eventbus publish --help)"),
        (["demo", "--orders", "0"], "(see eventbus demo --help)"),
    ],
)
def test_a_wrong_use_is_one_line_with_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("eventbus: ")
    assert said.err.endswith(f"{hint}\n")
    assert said.err.count("\n") == 1


def test_the_store_is_what_the_option_says_else_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVENTBUS_STORE", "memory://")
    assert settings_for(Common(url=None, output="table")).store == "memory://"
    assert settings_for(Common(url=None, output="table", store="sqlite:///a.db")).store == "sqlite:///a.db"


def test_a_setting_that_cannot_be_is_a_wrong_use(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EVENTBUS_PUBLISH_TIMEOUT", "soon")

    assert main(["publish", "a.b", "{}"]) == 2
    assert "EVENTBUS_PUBLISH_TIMEOUT='soon'" in capsys.readouterr().err
