from __future__ import annotations

import json

import pika

from tests.integration.cli.conftest import Cli


def test_show_draws_publishers_events_queues_and_handlers_without_a_broker(cli: Cli):
    done = cli("topology", "show", "shop:both")

    assert done.code == 0
    assert "published outside these services → order.created 2.0" in done.out
    assert "payment.handle_payment → shop.handle_payment" in done.out
    assert "publishes invoice.sent" in done.out
    assert "email.send_invoice → invoice.sent 1.0" in done.out
    assert not (cli.directory / "eventbus.db").exists()


def test_show_tells_programs_the_same(cli: Cli):
    shown = json.loads(cli("topology", "show", "shop:both", "--output", "json").out)

    assert shown["exchange"] == "events"
    assert {event["topic"]: event["queues"] for event in shown["events"]} == {
        "order.created": ["payment.handle_payment"],
        "payment.*": ["email.send_invoice"],
        "invoice.sent": [],
    }
    queues = {queue["queue"]: queue for queue in shown["queues"]}
    assert queues["payment.handle_payment"]["concurrency"] == 1
    assert queues["email.send_invoice"]["publishes"] == ["invoice.sent"]
    assert queues["email.send_invoice"]["retry"]["max_attempts"] == 5


def test_diff_finds_what_is_missing_and_apply_makes_it(everywhere: Cli):
    before = everywhere("topology", "diff", "shop:both", "--output", "json")
    made = everywhere("topology", "apply", "shop:both", "--output", "json")
    after = everywhere("topology", "diff", "shop:both", "--output", "json")
    again = everywhere("topology", "apply", "shop:both", "--output", "json")

    assert before.code == 1
    missing = [drift["what"] for drift in json.loads(before.out)["drift"]]
    assert "queue payment.handle_payment" in missing
    assert (made.code, json.loads(made.out)) == (0, {"made": missing, "drift": []})
    assert (after.code, json.loads(after.out)) == (0, {"drift": []})
    assert (again.code, json.loads(again.out)) == (0, {"made": [], "drift": []})


def test_diff_says_how_each_drift_is_mended(cli: Cli):
    done = cli("topology", "diff", "shop:payment")

    assert done.code == 1
    assert "queue payment.handle_payment" in done.out
    assert "eventbus topology apply" in done.out


def test_apply_tells_people_what_it_made(cli: Cli):
    assert "made queue payment.handle_payment" in cli("topology", "apply", "shop:payment").out
    again = cli("topology", "apply", "shop:payment")
    assert (again.code, again.out, again.err) == (0, "", "nothing was missing for payment\n")
    assert cli("topology", "diff", "shop:payment").err == "no drift: everything is as payment needs it\n"


def test_prune_unbinds_what_is_not_subscribed_to_any_more_and_diff_names_it(everywhere: Cli):
    everywhere("topology", "apply", "shop:both")
    narrowed = (everywhere.directory / "shop.py").read_text().replace('"payment.*"', '"payment.sent"')
    (everywhere.directory / "shop.py").write_text(narrowed)
    told = "binding payment.* → email.send_invoice"

    drifts = json.loads(everywhere("topology", "diff", "shop:both", "--output", "json").out)["drift"]
    (fix,) = {drift["fix"] for drift in drifts if drift["kind"] == "unexpected"}
    assert fix.endswith(": eventbus topology apply shop:both --prune")
    kept = everywhere("topology", "apply", "shop:both")
    assert told not in kept.out
    pruned = everywhere("topology", "apply", "shop:both", "--prune")
    again = everywhere("topology", "apply", "shop:both", "--prune", "--output", "json")

    assert (pruned.code, pruned.out.splitlines()[0]) == (0, f"unbound {told}")
    assert json.loads(again.out) == {"made": [], "unbound": [], "drift": []}


def test_prune_without_the_management_api_says_what_it_needs(cli: Cli, amqp_url: str):
    blind = {"EVENTBUS_MANAGEMENT_URL": "http://127.0.0.1:9"}
    done = cli("topology", "apply", "shop:payment", "--prune", "--url", amqp_url, **blind)

    assert done.code == 2
    assert "Set EVENTBUS_MANAGEMENT_URL" in done.err


def test_diff_finds_a_queue_that_was_changed_by_hand(cli: Cli, amqp_url: str):
    cli("topology", "apply", "shop:payment", "--url", amqp_url)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_delete("payment.handle_payment")
        channel.queue_declare("payment.handle_payment", durable=True)

    done = cli("topology", "diff", "shop:payment", "--url", amqp_url, "--output", "json")

    assert done.code == 1
    drifts = {drift["what"]: drift for drift in json.loads(done.out)["drift"]}
    assert drifts["queue payment.handle_payment"]["kind"] == "changed"
    assert drifts["queue payment.handle_payment"]["fix"]


def test_diff_claims_no_more_than_it_could_compare(cli: Cli, amqp_url: str):
    cli("topology", "apply", "shop:payment", "--url", amqp_url)
    blind = {"EVENTBUS_MANAGEMENT_URL": "http://127.0.0.1:9"}

    done = cli("topology", "diff", "shop:payment", "--url", amqp_url, **blind)

    assert done.code == 0
    assert "unknown" in done.out
    assert "bindings" in done.out
    assert done.err == "no drift: what could be compared is as payment needs it\n"


def test_a_broker_that_is_away_is_told_by_the_exit_code(cli: Cli):
    done = cli("topology", "diff", "shop:payment", "--url", "amqp://guest:guest@127.0.0.1:1/")

    assert done.code == 4
    assert done.err.count("\n") == 1
