from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.integration.cli.conftest import COMMAND, Cli, Ended
from tests.support.broker import Broker
from tests.support.eventually import eventually_sync

FITTING = '{"order_id": 1, "total": "3.00"}'


def test_the_event_id_is_all_that_comes_to_stdout(everywhere: Cli):
    done = everywhere("publish", "order.created", FITTING)

    assert done.code == 0
    assert done.err == ""
    assert done.out.startswith("evt_")
    assert done.out.count("\n") == 1


def test_programs_are_told_what_became_of_it(cli: Cli):
    now = cli("publish", "order.created", FITTING, "--id", "evt_1", "--output", "json")
    later = cli("publish", "order.created", FITTING, "--id", "evt_2", "--delay", "3600", "--output", "json")

    assert json.loads(now.out) == {"event_id": "evt_1", "state": "confirmed"}
    assert json.loads(later.out) == {"event_id": "evt_2", "state": "scheduled"}


def test_the_data_may_come_from_a_file_or_from_stdin(cli: Cli):
    (cli.directory / "order.json").write_text(FITTING)

    assert cli("publish", "order.created", "@order.json").code == 0
    assert cli("publish", "order.created", "-", stdin=FITTING).code == 0


def test_without_data_it_is_an_empty_object(cli: Cli):
    assert cli("publish", "shop.opened").code == 0


def test_json_that_cannot_be_read_is_a_wrong_use_with_line_and_column(cli: Cli):
    done = cli("publish", "order.created", '{"order_id": 1,\n "total" 2}')

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("eventbus: invalid JSON: ")
    assert "line 2 column 10" in done.err
    assert done.err.count("\n") == 1


def test_data_that_does_not_fit_its_class_is_not_sent(cli: Cli):
    done = cli("publish", "order.created", '{"order_id": "many", "total": "3.00"}')

    assert (done.code, done.out) == (1, "")
    assert "data.order_id of order.created does not fit" in done.err
    assert done.err.count("\n") == 1
    assert not (cli.directory / "eventbus.db").exists()


def test_what_an_event_says_about_itself_is_checked_as_an_option(cli: Cli):
    for wrong, option in (
        (("Order Created", "{}"), "TYPE"),
        (("a.b", "{}", "--id", ""), "--id"),
        (("a.b", "{}", "--version", "one"), "--version"),
        (("a.b", "{}", "--key", "\t"), "--key"),
        (("a.b", "{}", "--delay", "-1"), "--delay"),
        (("a.b", "--lines", "--version", "one"), "--version"),
    ):
        done = cli("publish", *wrong)
        assert (done.code, done.out) == (2, ""), wrong
        assert option in done.err


def test_a_version_without_a_class_is_refused(cli: Cli):
    done = cli("publish", "order.created", FITTING, "--version", "3.0")

    assert done.code == 1
    assert "known are 1.0, 2.0" in done.err


def test_data_of_an_older_version_is_sent_as_that_version(cli: Cli):
    tail = cli.start("tail", "--count", "1", "--output", "json")
    tail.says("listening…")
    done = cli("publish", "order.created", '{"order_id": 1}')

    assert done.code == 0
    assert "order.created 1.0" in done.err
    assert json.loads(tail.ends().out)["version"] == "1.0"


def test_a_type_that_no_class_describes_is_sent_as_it_is_and_says_so(cli: Cli):
    done = cli("publish", "order.creatd", '{"anything": [1, 2]}')

    assert done.code == 0
    assert done.err == (
        "eventbus: no class describes order.creatd (did you mean order.created?): the data is sent as it is\n"
    )


def test_event_classes_are_found_where_they_are_named(cli: Cli):
    (cli.directory / "facts.py").write_text(
        'from eventbus import Event\nclass Shipped(Event, type="order.shipped"):\n    parcel: int\n'
    )

    assert cli("publish", "order.shipped", "{}").code == 0
    assert cli("publish", "order.shipped", "{}", "--schemas", "facts").code == 1
    assert cli("publish", "order.shipped", "{}", EVENTBUS_SCHEMAS="facts").code == 1
    assert cli("publish", "order.created", "{}", "--schemas", "facts").code == 0
    assert cli("publish", "order.shipped", "{}", "--schemas", "fiction").code == 2


def test_schemas_that_cannot_be_imported_are_told_and_gone_without(cli: Cli):
    (cli.directory / "schemas" / "order.py").write_text("1 / 0")

    done = cli("publish", "order.created", "{}")

    assert done.code == 0
    assert "importing schemas.order failed: ZeroDivisionError" in done.err


def test_every_line_is_an_event(everywhere: Cli):
    lines = "".join(f'{{"order_id": {n}, "total": "3.00"}}\n' for n in range(1000))
    (everywhere.directory / "orders.jsonl").write_text(lines)

    done = everywhere("publish", "order.created", "@orders.jsonl", "--lines")

    assert done.code == 0
    assert len(set(done.out.split())) == 1000
    assert done.err == "1000 published\n"


def test_a_line_that_is_no_event_is_told_by_its_number_and_left_out(cli: Cli):
    lines = f'{FITTING}\n\n{{"order_id": 2\n{{"order_id": "x", "total": 1}}\n{FITTING}'

    done = cli("publish", "order.created", "--lines", stdin=lines)

    assert done.code == 3
    assert len(done.out.split()) == 2
    assert "line 3: invalid JSON: " in done.err
    assert "at column 14" in done.err
    assert "line 4: data.order_id of order.created does not fit" in done.err
    assert done.err.endswith("2 published, 2 not\n")


def test_a_line_too_large_to_travel_is_left_out_and_the_others_are_sent(cli: Cli):
    large = json.dumps({"text": "x" * 4000})
    lines = f'{{"n": 1}}\n{large}\n{{"n": 3}}\n'

    done = cli("publish", "note.taken", "-", "--lines", stdin=lines, EVENTBUS_MAX_BODY_BYTES="3000")

    assert done.code == 3
    assert len(done.out.split()) == 2
    assert "line 2: data of note.taken makes a message of" in done.err


def test_input_without_line_ends_is_given_up(cli: Cli):
    done = cli("publish", "a.b", "--lines", stdin="x" * 500_000, EVENTBUS_MAX_BODY_BYTES="1000")

    assert done.code == 1
    assert "line 1 is longer than 2000 bytes" in done.err


def test_no_event_at_all_is_a_failure_when_there_were_lines(cli: Cli):
    assert cli("publish", "a.b", "--lines", stdin="[]\n").code == 1
    assert cli("publish", "a.b", "--lines", stdin="\n\n").code == 0


def test_lines_are_sent_while_the_rest_is_still_to_come(cli: Cli):
    tail = cli.start("tail", "--count", "1")
    tail.says("listening…")
    publishing = subprocess.Popen(
        [COMMAND, "publish", "a.b", "--lines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=cli.directory,
        env=cli.environment,
    )
    with publishing:
        assert publishing.stdin is not None
        publishing.stdin.write(b"{}\n")
        publishing.stdin.flush()
        assert tail.ends().code == 0
        assert publishing.poll() is None


def test_options_that_do_not_go_together_are_a_wrong_use(cli: Cli):
    assert cli("publish", "a.b", "{}", "--lines").code == 2
    assert cli("publish", "a.b", "--lines", "--id", "evt_1").code == 2
    assert cli("publish", "a.b", "@nowhere").code == 2
    assert cli("publish", "a.b", "@.").code == 2


def test_whoever_has_read_enough_ends_it_quietly(cli: Cli):
    (cli.directory / "many.jsonl").write_text("{}\n" * 50_000)
    publishing = subprocess.Popen(
        [COMMAND, "publish", "a.b", "@many.jsonl", "--lines"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cli.directory,
        env=cli.environment,
    )
    with publishing:
        assert publishing.stdout is not None
        assert publishing.stderr is not None
        publishing.stdout.readline()
        publishing.stdout.close()
        said = publishing.stderr.read().decode()
    assert publishing.returncode == 1
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_whoever_cannot_know_whether_it_arrived_is_told_its_id(
    cli: Cli, amqp_url: str, rabbitmq: Broker, vhost: str
):
    cli("topology", "apply", "shop:payment", "--url", amqp_url)
    full = {"pattern": "^payment[.]handle_payment$", "apply-to": "queues", "definition": {"max-length": 1}}
    rabbitmq.api("PUT", f"policies/{vhost}/full", full)

    def refused() -> Ended | None:
        done = cli("publish", "order.created", FITTING, "--url", amqp_url)
        return done if done.code else None

    done = eventually_sync(refused, within=60)
    assert done is not None
    assert re.search(r"to publish it again, add --id evt_[0-9a-f]{32}\n", done.err)


def test_a_password_that_is_refused_is_not_taken_for_a_broker_that_is_away(cli: Cli, amqp_url: str):
    parts = urlsplit(amqp_url)
    wrong = amqp_url.replace(f":{parts.password}@", ":wrong@")
    done = cli("publish", "a.b", "{}", "--url", wrong)

    assert done.code == 4
    assert "Are the user and the password of the URL" in done.err
    assert ".." not in done.err


def test_the_password_of_a_url_is_never_shown(cli: Cli):
    done = cli("publish", "a.b", "{}", "--url", "amqp://guest:hush@127.0.0.1:1/")

    assert done.code == 4
    assert "cannot reach the broker" in done.err
    assert "hush" not in done.err
    assert "Traceback" not in done.err


def test_what_lies_beside_an_installed_command_is_importable(cli: Cli, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    cli.directory = tmp_path / "elsewhere"

    assert cli("run", "shop:payment").code == 2
