from __future__ import annotations

import json

import pytest
from rich.text import Text

from eventbus.cli.output import print_json, show, table

EVIL = "\x1b[31m\x9b31m\r\n\u202e[bold]x[/bold]\x7f"


def test_json_is_one_line_of_plain_characters(capsys: pytest.CaptureFixture[str]):
    print_json({"x": EVIL, "ü": None})

    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x7f" not in printed
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"x": EVIL, "ü": None}


def test_a_cell_is_neither_markup_nor_a_command_to_the_terminal(capsys: pytest.CaptureFixture[str]):
    show(table(("name", "of"), [(EVIL, Text("2", style="red"))], numbers=["of"]))

    printed = capsys.readouterr().out
    assert "�[31m�31m���[bold]x[/bold]�" in printed
    assert not set("\x1b\x9b\r\u202e\x7f") & set(printed)


def test_a_row_that_a_program_reads_is_not_cut(capsys: pytest.CaptureFixture[str]):
    show(table(("name",), [("x" * 500,)]))

    assert "x" * 500 in capsys.readouterr().out
