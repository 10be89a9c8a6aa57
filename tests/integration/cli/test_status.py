from __future__ import annotations

import json
import signal
from typing import Any

from tests.integration.cli.conftest import Cli
from tests.support.eventually import eventually_sync
from tests.support.rabbitmq_node import RabbitNode


def subscriptions(cli: Cli, *targets: str) -> dict[str, dict[str, Any]]:
    done = cli("status", *targets, "--output", "json")
    assert done.code == 0, done
    return {each["subscription"]: each for each in json.loads(done.out)["subscriptions"]}


def test_every_subscription_of_the_broker_is_shown(everywhere: Cli):
    everywhere("topology", "apply", "shop:both")
    everywhere("publish", "order.created", '{"order_id": 1, "total": 1}')
    everywhere("publish", "order.created", '{"order_id": 2, "total": 1}')

    found = eventually_sync(
        lambda: (found := subscriptions(everywhere))["payment.handle_payment"]["ready"] == 2 and found,
        within=30,
    )

    assert sorted(found) == ["email.send_invoice", "payment.handle_payment"]
    assert found["payment.handle_payment"]["consumers"] == 0
    assert found["payment.handle_payment"]["dead"] == 0
    assert found["email.send_invoice"]["ready"] == 0


def test_services_can_be_named(everywhere: Cli):
    everywhere("topology", "apply", "shop:both")

    assert sorted(subscriptions(everywhere, "shop:email")) == ["email.send_invoice"]


def test_people_get_a_table(cli: Cli):
    cli("topology", "apply", "shop:payment")
    cli("publish", "order.created", '{"order_id": 1, "total": 1}')

    header, _, row = cli("status").out.splitlines()

    assert header.split() == [
        "subscription",
        "ready",
        "in",
        "flight",
        "delayed",
        "dead",
        "oldest",
        "consumers",
    ]
    assert row.split()[:5] == ["payment.handle_payment", "1", "0", "0", "0"]


def test_a_queue_that_is_not_there_is_told_and_the_others_are_shown(cli: Cli):
    cli("topology", "apply", "shop:payment")

    done = cli("status", "shop:both", "--output", "json")

    assert done.code == 3
    assert "email.send_invoice: there is no such queue" in done.err
    assert [each["subscription"] for each in json.loads(done.out)["subscriptions"]] == [
        "payment.handle_payment"
    ]


def test_a_new_broker_has_no_subscriptions(cli: Cli):
    done = cli("status")

    assert (done.code, done.out) == (0, "")
    assert "there is no subscription at sqlite:///eventbus.db yet" in done.err


def test_watching_goes_on_until_ctrl_c(cli: Cli):
    cli("topology", "apply", "shop:payment")
    watching = cli.start("status", "--watch", "--output", "json")
    eventually_sync(lambda: len(watching.out.splitlines()) >= 2, within=20)

    done = watching.told(signal.SIGINT)

    assert done.code == 130
    assert all(json.loads(line)["subscriptions"] for line in done.out.splitlines())
    assert "Traceback" not in done.err


def test_watching_every_subscription_waits_for_a_broker_that_stops(cli: Cli, node: RabbitNode, node_url: str):
    cli.environment |= {"EVENTBUS_URL": node_url, "EVENTBUS_MANAGEMENT_URL": node.broker.http_url}
    assert cli("topology", "apply", "shop:payment").code == 0
    watching = cli.start("status", "--watch", "--output", "json")
    eventually_sync(lambda: len(watching.out.splitlines()) >= 1, within=20)

    node.kill()
    watching.says("eventbus: ")  # what it misses
    node.start()
    before = len(watching.out.splitlines())
    eventually_sync(
        lambda: watching.process.poll() is not None or len(watching.out.splitlines()) > before + 1, within=60
    )

    done = watching.told(signal.SIGINT)
    assert done.code == 130, done.err
    assert "Traceback" not in done.err


def test_watching_ends_where_nothing_could_be_seen_at_all(cli: Cli, amqp_url: str):
    done = cli("status", "--watch", EVENTBUS_URL=amqp_url, EVENTBUS_MANAGEMENT_URL="http://127.0.0.1:1")

    assert (done.code, done.out) == (2, "")
    assert "EVENTBUS_MANAGEMENT_URL" in done.err


def test_a_store_that_cannot_be_read_is_told_to_programs_too(cli: Cli):
    done = cli("status", "--output", "json", EVENTBUS_STORE="postgresql://shop:s3cret@127.0.0.1:1/shop")

    assert done.code == 0
    assert "s3cret" not in done.out + done.err
    told = json.loads(done.out)
    assert told["store"]["url"] == "postgresql://shop@127.0.0.1:1/shop"
    assert told["store"]["problem"]
    assert done.err.count("postgresql://shop@127.0.0.1:1/shop is not available") == 1
    assert (told["outbox"], told["catching_up"]) == (None, [])


def test_a_named_file_that_is_not_there_is_told_and_not_made(cli: Cli):
    done = cli("status", "--output", "json", "--store", "sqlite:///shop.db")

    assert done.code == 0
    problem = "no process on this machine has opened it yet"
    assert json.loads(done.out)["store"] == {"url": "sqlite:///shop.db", "problem": problem}
    assert f"the store sqlite:///shop.db is not there: {problem}" in done.err
    assert not (cli.directory / "shop.db").exists()


def test_of_the_usual_file_that_is_not_there_nothing_is_said(cli: Cli):
    done = cli("status", "--output", "json")

    assert json.loads(done.out)["store"] == {"url": "sqlite:///eventbus.db", "problem": None}
    assert "is not there" not in done.err


def test_what_waits_in_a_read_only_store_is_told_with_its_problem(cli: Cli, postgres_url: str):
    cli.environment["EVENTBUS_STORE"] = postgres_url
    cli.start("run", "shop:payment").says("worker.ready")
    well = json.loads(cli("status", "--output", "json").out)

    read_only = f"{postgres_url}?options=-c%20default_transaction_read_only%3Don"
    done = cli("status", "--output", "json", EVENTBUS_STORE=read_only)

    told = json.loads(done.out)
    assert (well["store"]["problem"], well["outbox"]["events"]) == (None, 0)
    assert "read-only" in told["store"]["problem"]
    assert told["outbox"] == well["outbox"]
    assert done.err.count("read-only") == 1


def test_a_port_that_is_no_number_is_told_in_one_line(cli: Cli):
    done = cli("status", "--store", "postgresql://shop:s3cret@127.0.0.1:port/shop")

    assert done.code == 0
    assert "cannot be read" in done.err
    assert "Traceback" not in done.err
    assert "s3cret" not in done.err
