from __future__ import annotations

import json
import signal

from tests.integration.cli.conftest import Cli


def test_each_line_is_an_envelope(everywhere: Cli):
    tail = everywhere.start("tail", "order.*", "--count", "2", "--output", "json")
    tail.says("listening…")
    everywhere("publish", "order.created", '{"order_id": 1, "total": "3.00"}', "--id", "evt_1", "--key", "k")
    everywhere("publish", "payment.captured", "{}")
    everywhere("publish", "order.shipped", '{"parcel": "\u00fc"}', "--id", "evt_2")

    done = tail.ends()

    first, second = map(json.loads, done.out.splitlines())
    assert done.code == 0
    assert done.err.splitlines() == [line for line in done.err.splitlines() if line.startswith("listening")]
    assert (first["event_id"], first["version"], first["key"]) == ("evt_1", "2.0", "k")
    assert first["data"] == {"order_id": 1, "total": "3.00"}
    assert (second["event_id"], second["data"]) == ("evt_2", {"parcel": "\u00fc"})


def test_what_passed_before_it_listened_is_not_shown(everywhere: Cli):
    everywhere("publish", "a.b", "{}", "--id", "before")
    tail = everywhere.start("tail", "--count", "1", "--output", "json")
    tail.says("listening…")
    everywhere("publish", "a.b", "{}", "--id", "after")

    assert json.loads(tail.ends().out)["event_id"] == "after"


def test_nothing_out_of_a_payload_reaches_the_terminal_as_a_command(cli: Cli):
    tail = cli.start("tail", "--count", "1", FORCE_COLOR="1")
    tail.says("listening…")
    cli("publish", "a.b", '{"x": "\\u001b[31m\\u009b31m\\n\\u202e[bold]b[/bold]\\u007f"}')

    shown = tail.ends().out

    assert shown.count("\n") == 1
    assert "[bold]b[/bold]" in shown
    assert not {"\u009b", "\u202e", "\u007f"} & set(shown)
    assert "\x1b[31m" not in shown


def test_colours_are_left_out_where_nobody_wants_them(cli: Cli):
    tail = cli.start("tail", "--count", "1", FORCE_COLOR="1", NO_COLOR="1")
    tail.says("listening…")
    cli("publish", "a.b", "{}")

    shown = tail.ends().out

    assert "a.b" in shown
    assert "\x1b[3" not in shown


def test_ctrl_c_ends_it(everywhere: Cli):
    tail = everywhere.start("tail")
    tail.says("listening…")

    done = tail.told(signal.SIGINT)

    assert done.code == 130
    assert done.err.split("\n", 1)[1].strip() == ""


def test_a_pattern_that_never_matches_is_a_wrong_use(cli: Cli):
    done = cli("tail", "Order Created")

    assert done.code == 2
    assert "is no binding pattern" in done.err
