"""What an event's class marks as Secret is in no output of an operator's command."""

from __future__ import annotations

import json
import signal

import pytest

from tests.integration.cli.conftest import Cli
from tests.support.eventually import eventually_sync

NUMBER, CODE = "4111-1111-1111", "opensesame"
DATA = json.dumps({"user_id": 7, "card": {"number": NUMBER, "expires": "12/30"}, "code": CODE})
QUEUE = "wallet.keep"
SCHEMAS = """
from typing import Annotated
from pydantic import BaseModel
from eventbus import Event, Secret


class Card(BaseModel):
    number: Annotated[str, Secret()]
    expires: str


class CardAdded(Event, type="card.added"):
    user_id: int
    card: Card
    code: Annotated[str, Secret()]
"""
WALLET = """
from eventbus import Reject, Service, subscribe
from schemas.card import CardAdded


@subscribe(CardAdded)
async def keep(event: CardAdded) -> None:
    raise Reject(f"no bank knows {event.card.number}")


service = Service("wallet", [keep])
"""


@pytest.fixture
def given_up(cli: Cli) -> Cli:
    """One card, refused by its only subscription with an error that tells its number."""
    (cli.directory / "schemas" / "card.py").write_text(SCHEMAS)
    (cli.directory / "wallet.py").write_text(WALLET)
    worker = cli.start("run", "wallet:service")
    worker.says("worker.ready")
    assert cli("publish", "card.added", DATA, "--id", "evt_1").code == 0
    eventually_sync(lambda: cli("dead", "export", QUEUE).out != "", within=20)
    worker.told(signal.SIGTERM)
    return cli


LOOKING = (
    ("show", "evt_1", QUEUE),
    ("show", "evt_1", QUEUE, "--output", "json"),
    ("list", QUEUE),
    ("list", QUEUE, "--output", "json"),
    ("list", QUEUE, "--group"),
    ("stats", QUEUE),
    ("export", QUEUE),
    ("redrive", QUEUE, "--dry-run", "--output", "json"),
    ("discard", QUEUE, "--dry-run", "--reason", "no", "--output", "json"),
)


def test_no_verb_of_dead_shows_a_secret(given_up: Cli):
    for arguments in LOOKING:  # none of which changes anything, so one dead letter is enough for all
        done = given_up("dead", *arguments)

        assert done.code == 0, (arguments, done.err)
        assert "card.added" in done.out, arguments
        for secret in (NUMBER, CODE):
            assert secret not in done.out + done.err, arguments


def test_an_export_is_whole_with_reveal(given_up: Cli):
    masked = json.loads(given_up("dead", "export", QUEUE).out)
    whole = json.loads(given_up("dead", "export", QUEUE, "--reveal").out)

    assert json.loads(masked["body"])["data"] == {
        "user_id": 7,
        "card": {"number": "***", "expires": "12/30"},
        "code": "***",
    }
    assert json.loads(whole["body"])["data"] == json.loads(DATA)
    assert masked["fingerprint"] == whole["fingerprint"]


def test_an_edit_shows_masks_and_keeps_what_is_under_them(given_up: Cli):
    edited = given_up(
        *("dead", "redrive", QUEUE, "--edit", "--id", "evt_1", "--yes"),
        EDITOR="sh -c 'cp $0 seen.json; sed -i s/7/8/ $0'",
        VISUAL="",
    )

    assert edited.code == 0, edited.err
    assert NUMBER not in edited.out + edited.err + (given_up.directory / "seen.json").read_text()
    assert NUMBER not in (given_up.directory / "eventbus-audit.jsonl").read_text()
    worker = given_up.start("run", "wallet:service")
    eventually_sync(lambda: given_up("dead", "export", QUEUE).out != "", within=30)
    worker.told(signal.SIGTERM)
    again = json.loads(given_up("dead", "export", QUEUE, "--reveal").out)
    assert json.loads(again["body"])["data"] == json.loads(DATA) | {"user_id": 8}


@pytest.mark.parametrize("output", ["table", "json"])
def test_tail_shows_masks(cli: Cli, output: str):
    (cli.directory / "schemas" / "card.py").write_text(SCHEMAS)
    tail = cli.start("tail", "--count", "1", "--output", output)
    tail.says("listening…")
    cli("publish", "card.added", DATA)

    done = tail.ends()

    assert "12/30" in done.out
    assert "***" in done.out
    for secret in (NUMBER, CODE):
        assert secret not in done.out + done.err


def test_data_that_does_not_fit_is_refused_without_its_value(cli: Cli):
    (cli.directory / "schemas" / "card.py").write_text(SCHEMAS)

    done = cli("publish", "card.added", json.dumps({"user_id": 7, "card": NUMBER, "code": CODE}))

    assert done.code == 1
    assert "data.card" in done.err
    assert NUMBER not in done.err
