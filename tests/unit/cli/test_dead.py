"""`eventbus dead`: its options, and what it prints."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import pytest

from eventbus.cli import main
from eventbus.cli.dead_options import Age
from eventbus.cli.dead_view import row, whole
from eventbus.transport import DeadLetterEntry, Message

ENTRY = DeadLetterEntry(Message(b'{"a": "\xc2\x9b31m"}', "order.created"), "rejected", "E: x", 3, None, None)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        ("15m", timedelta(minutes=15)),
        ("3d", timedelta(3)),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, age: timedelta):
    assert Age().convert(text, None, None) == age


@pytest.mark.parametrize("text", ["", "-1", "1w", "h", "1 h", "\u0661"])
def test_what_is_no_age_is_refused(text: str):
    with pytest.raises(click.BadParameter):
        Age().convert(text, None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("redrive", "q", "--edit", "--yes"),
        ("redrive", "q", "--yes", "--rate", "0"),
        ("redrive", "q", "--yes", "--rate", "inf"),
        ("redrive", "q", "--yes", "--rate", "1e-300"),
        ("discard", "q", "--yes", "--reason", "test cards", "--rate", "nan"),
        ("redrive", "q", "--yes", "--limit", "0"),
        ("discard", "q", "--yes"),
        ("discard", "q", "--yes", "--reason", " "),
        ("list", "q", "--type", "a..b"),
        ("list",),
        ("stats",),
        ("show", "evt_1"),
    ],
)
def test_a_wrong_use_ends_with_2(arguments: tuple[str, ...], tmp_path: Path):
    assert main(["dead", *arguments, "--url", f"sqlite:///{tmp_path}/events.db"]) == 2


def test_an_error_of_many_lines_is_one_row():
    assert "\n" not in row(replace(ENTRY, error="Boom\n\x1b[2J"))


def test_a_body_that_is_no_json_is_shown_as_bytes():
    entry = replace(ENTRY, message=replace(ENTRY.message, body=b"\xff\x1b[2J"))

    assert list(whole(entry))[-1] == "\\xff\\x1b[2J"
