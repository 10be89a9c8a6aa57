"""`eventbus doctor` on brokers that have something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.cli.conftest import Cli, Ended
from tests.support.broker import Broker
from tests.support.eventually import eventually_sync
from tests.support.rabbitmq_node import RabbitNode

pytestmark = pytest.mark.empty_vhost

ORDER = '{"order_id": 1, "total": 1}'

FAILING = """
from eventbus import Reject, Service, subscribe


@subscribe("order.created")
def refuse(event):
    raise Reject("never")


@subscribe("order.created", timeout=7200)
async def ponder(event):
    pass


@subscribe("order.created", timeout=600, concurrency=1, prefetch=10)
async def queue_up(event):
    pass


failing = Service("failing", [refuse])
slow = Service("slow", [ponder])
waiting = Service("waiting", [queue_up])
"""


def examined(cli: Cli, *arguments: str) -> tuple[Ended, list[dict[str, str]]]:
    done = cli("doctor", *arguments, "--output", "json")
    return done, json.loads(done.out)["findings"]


def found(cli: Cli, *arguments: str) -> dict[str, str]:
    """What was found, with how bad it is."""
    _, findings = examined(cli, *arguments)
    return {finding["what"]: finding["severity"] for finding in findings}


def test_a_service_whose_queues_are_missing_is_serious_and_its_fix_mends_it(everywhere: Cli):
    done, findings = examined(everywhere, "shop:payment")
    assert done.code == 1
    (drift,) = (finding for finding in findings if finding["what"].startswith("not there: "))
    assert drift["severity"] == "serious"

    assert drift["fix"] == "eventbus topology apply shop:payment"
    everywhere(*drift["fix"].split()[1:])

    done, findings = examined(everywhere, "shop:payment")
    assert done.code == 0
    assert [finding["what"] for finding in findings] == ["payment.handle_payment: nobody consumes it"]


def test_a_queue_that_fills_with_nobody_to_empty_it_is_serious(everywhere: Cli):
    everywhere("topology", "apply", "shop:both")
    everywhere("publish", "order.created", ORDER)

    seen = eventually_sync(lambda: "1 event" in str(seen := found(everywhere)) and seen, within=30)

    assert seen["payment.handle_payment: nobody consumes it, and 1 event waiting"] == "serious"
    assert seen["email.send_invoice: nobody consumes it"] == "warning"
    assert everywhere("doctor").code == 1


def test_dead_letters_are_found_with_the_command_that_shows_them(everywhere: Cli):
    (everywhere.directory / "trouble.py").write_text(FAILING)
    everywhere("topology", "apply", "trouble:failing")
    everywhere("publish", "order.created", ORDER)
    everywhere.start("run", "trouble:failing").says("event.dead_lettered")

    def dead() -> dict[str, str]:
        (finding,) = (each for each in examined(everywhere)[1] if "dead letter" in each["what"])
        assert finding["severity"] == "warning"
        return finding

    finding = eventually_sync(dead, within=30)

    assert finding["what"] == "failing.refuse: 1 dead letter"
    assert "event.dead" not in finding["fix"]
    shown = everywhere(*finding["fix"].split()[1:])
    assert (shown.code, "rejected" in shown.out) == (0, True)


AWAY = "postgresql://shop:s3cret@127.0.0.1:1/shop"
"""Nobody listens there."""


@pytest.mark.parametrize("how", ["--store", "EVENTBUS_STORE"])
def test_a_store_that_is_away_is_serious(cli: Cli, how: str):
    if how == "EVENTBUS_STORE":
        cli.environment[how] = AWAY
    done, findings = examined(cli, *(["--store", AWAY] if how == "--store" else []))

    assert done.code == 1
    assert "s3cret" not in done.out + done.err
    (finding,) = (each for each in findings if each["severity"] == "serious")
    assert finding["what"].startswith("the store at postgresql://shop@127.0.0.1:1/shop is not available: ")
    assert finding["what"].endswith("; nothing is handled until it is")
    assert "psql postgresql://shop@127.0.0.1:1/shop" in finding["fix"]


def test_a_store_on_postgresql_is_missed_until_a_worker_has_opened_it(cli: Cli, postgres_url: str):
    cli.environment["EVENTBUS_STORE"] = postgres_url

    before, findings = examined(cli)
    assert before.code == 0
    (missing,) = (each for each in findings if "is not there" in each["what"])
    assert missing["severity"] == "warning"

    cli.start("run", "shop:payment").says("worker.ready")
    done, findings = examined(cli, "shop:payment")
    assert (done.code, findings) == (0, [])


def test_a_file_is_missed_only_where_it_was_named(cli: Cli):
    cli("topology", "apply", "shop:payment")
    unnamed = found(cli, "shop:payment", "--url", "sqlite:///eventbus.db")
    named = found(cli, "shop:payment", "--store", "sqlite:///shop.db")

    assert list(unnamed) == ["payment.handle_payment: nobody consumes it"]
    what = "the store sqlite:///shop.db is not there: no process on this machine has opened it yet"
    assert named[what] == "warning"
    assert not (cli.directory / "shop.db").exists()


def test_people_get_a_table_and_a_summary(cli: Cli):
    cli("topology", "apply", "shop:payment")

    done = cli("doctor", "shop:payment")

    assert done.code == 0
    assert done.out.split()[:3] == ["severity", "finding", "fix"]
    assert "eventbus run shop:payment" in done.out
    assert "1 queue: 1 finding" in done.err


def test_a_broker_that_is_not_there_is_exit_code_4(cli: Cli):
    done = cli("doctor", "--url", "amqp://guest:s3cr3t@127.0.0.1:1/")

    assert (done.code, done.out) == (4, "")
    assert "cannot reach the broker" in done.err
    assert "s3cr3t" not in done.err


def test_a_store_that_is_away_is_told_where_the_broker_is_too(cli: Cli):
    done = cli("doctor", "--url", "amqp://guest:guest@127.0.0.1:1/", "--store", AWAY)

    assert done.code == 4
    assert "postgresql://shop@127.0.0.1:1/shop" in done.err
    assert "cannot reach the broker" in done.err


def test_a_service_that_cannot_be_found_is_a_matter_of_usage(cli: Cli):
    assert cli("doctor", "shop:nothing").code == 2


def test_the_help_shows_an_example(cli: Cli):
    assert "eventbus doctor services.payment.main:service" in cli("doctor", "--help").out


# --- RabbitMQ


@pytest.fixture
def on_rabbitmq(cli: Cli, request: pytest.FixtureRequest) -> Cli:
    cli.environment["EVENTBUS_URL"] = request.getfixturevalue("amqp_url")
    cli.environment["EVENTBUS_MANAGEMENT_URL"] = request.getfixturevalue("rabbitmq").http_url
    (cli.directory / "trouble.py").write_text(FAILING)
    return cli


def test_handlers_that_take_longer_than_the_broker_waits_are_found_and_not_run(on_rabbitmq: Cli):
    seen = found(on_rabbitmq, "trouble:slow", "trouble:waiting")
    assert any("slow.ponder: its timeout of 7200 s" in what for what in seen)
    assert any("waiting.queue_up: 10 deliveries fetched ahead" in what for what in seen)

    refused = on_rabbitmq("run", "trouble:slow")

    assert refused.code == 2
    assert "slow.ponder (timeout 7200 s)" in refused.err
    assert "EVENTBUS_CONSUMER_TIMEOUT" in refused.err


def test_a_broker_that_waits_longer_is_believed(on_rabbitmq: Cli):
    on_rabbitmq.environment["EVENTBUS_CONSUMER_TIMEOUT"] = "10800"

    assert not any("7200" in what for what in found(on_rabbitmq, "trouble:slow"))


def test_without_the_management_api_the_rest_is_examined(on_rabbitmq: Cli):
    on_rabbitmq("topology", "apply", "shop:payment")
    on_rabbitmq.environment["EVENTBUS_MANAGEMENT_URL"] = "http://127.0.0.1:1"

    named = found(on_rabbitmq, "shop:payment")
    assert named["payment.handle_payment: nobody consumes it"] == "warning"
    (unreached,) = (what for what in named if what.startswith("the management API"))
    assert named[unreached] == "warning"
    assert "alarms, clock, connections" in unreached

    (all_of_them,) = found(on_rabbitmq)
    assert "the list of queues" in all_of_them


def test_a_queue_that_others_have_bound_under_a_bad_name_disturbs_nothing(
    on_rabbitmq: Cli, rabbitmq: Broker, vhost: str
):
    on_rabbitmq("topology", "apply", "shop:payment")
    rabbitmq.api("PUT", f"queues/{vhost}/a%1b%5b31mb%0ac", {"durable": True})
    bound = {"routing_key": "a\x1b[31mb\nc"}
    rabbitmq.api("POST", f"bindings/{vhost}/e/events.redeliver/q/a%1b%5b31mb%0ac", bound)

    assert list(found(on_rabbitmq)) == ["payment.handle_payment: nobody consumes it"]


@pytest.fixture
def alarmed(node: RabbitNode, node_url: str, cli: Cli) -> Iterator[None]:
    """A node with a memory alarm, and a publisher that waits for its end."""
    cli.environment |= {
        "EVENTBUS_URL": node_url,
        "EVENTBUS_MANAGEMENT_URL": node.broker.http_url,
        "EVENTBUS_PUBLISH_TIMEOUT": "60",
    }
    cli("topology", "apply", "shop:both")
    node.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        cli.start("publish", "order.created", ORDER).says("broker.blocked")
        yield
    finally:
        node.ctl("set_vm_memory_high_watermark", "0.4")


@pytest.mark.usefixtures("alarmed")
def test_an_alarm_and_the_publishers_that_it_stops_are_told_by_doctor_and_status(cli: Cli):
    def broker() -> dict[str, Any]:
        broker = json.loads(cli("status", "--output", "json").out)["broker"]
        assert broker["held_up"]
        return broker

    seen = eventually_sync(broker, within=30)
    assert seen["alarms"] == ["memory alarm on test@localhost"]
    (blocked,) = seen["held_up"]
    assert (blocked["name"], blocked["state"]) == ("eventbus cli publishing", "blocked")

    told = cli("status")
    assert told.code == 0
    assert "memory alarm on test@localhost: nobody can publish" in told.err
    assert "eventbus cli publishing of user guest is blocked" in told.err

    done, findings = examined(cli)
    assert done.code == 1
    serious = [finding for finding in findings if finding["severity"] == "serious"]
    assert "memory alarm" in serious[0]["what"]
    assert "memory_breakdown" in serious[0]["fix"]
    assert "eventbus cli publishing" in serious[1]["what"]
