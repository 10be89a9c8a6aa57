from __future__ import annotations

import json
import signal

import pytest

from tests.integration.cli.conftest import Cli, Running
from tests.support.eventually import eventually_sync
from tests.support.rabbitmq_node import RabbitNode


def handled(cli: Cli) -> list[str]:
    file = cli.directory / "handled.txt"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_services_run_until_they_are_asked_to_stop(everywhere: Cli, number: signal.Signals):
    worker = everywhere.start("run", "shop:payment")
    worker.says("worker.ready")
    everywhere("publish", "order.created", '{"order_id": 7, "total": "3.00"}')
    eventually_sync(lambda: handled(everywhere) == ["7"], within=30)

    done = worker.told(number)

    assert done.code == 0
    assert done.out == ""
    assert "worker.stopped" in done.err


def test_what_has_begun_is_finished_before_it_ends(cli: Cli):
    (cli.directory / "slow.py").write_text(
        "import pathlib, time\n"
        "from eventbus import Service, subscribe\n"
        "@subscribe('a.b')\n"
        "def handle(event):\n"
        "    pathlib.Path('begun').touch()\n"
        "    time.sleep(1)\n"
        "    pathlib.Path('ended').touch()\n"
        "service = Service('slow', [handle])\n"
    )
    worker = cli.start("run", "slow:service")
    worker.says("worker.ready")
    cli("publish", "a.b", "{}")
    eventually_sync((cli.directory / "begun").exists, within=30)

    assert worker.told(signal.SIGTERM).code == 0
    assert (cli.directory / "ended").exists()
    assert json.loads(cli("status", "slow:service", "--output", "json").out)["subscriptions"][0]["ready"] == 0


def test_several_services_share_a_process(cli: Cli):
    for targets in (("shop:payment", "shop:email"), ("shop:both",), ("shop:both", "shop:payment")):
        worker = cli.start("run", *targets)
        worker.says("worker.ready")

        done = worker.told(signal.SIGTERM)

        assert done.code == 0
        assert "payment.handle_payment" in done.err
        assert "email.send_invoice" in done.err


def test_logs_are_json_where_programs_read_them(cli: Cli):
    for how in ({"arguments": ("--output", "json")}, {"EVENTBUS_LOG_FORMAT": "json"}):
        arguments = how.pop("arguments", ())
        worker = cli.start("run", "shop:payment", *arguments, **how)
        worker.says("worker.ready")
        lines = [json.loads(line) for line in worker.told(signal.SIGTERM).err.splitlines()]
        assert [line["event"] for line in lines] == ["worker.ready", "worker.draining", "worker.stopped"]


def test_a_broker_that_is_away_is_tried_again_until_it_is_there(cli: Cli, node: RabbitNode, node_url: str):
    node.kill()
    worker = cli.start("run", "shop:payment", "--url", node_url)
    _says_twice(worker, "broker.unreachable")
    assert "retrying_in" in worker.err
    node.start()

    worker.says("worker.ready", within=60)

    assert "Traceback" not in worker.err
    assert worker.told(signal.SIGTERM).code == 0


def test_it_can_be_stopped_while_the_broker_is_away(cli: Cli):
    worker = cli.start("run", "shop:payment", "--url", "amqp://guest:hush@127.0.0.1:1/")
    worker.says("broker.unreachable")

    done = worker.told(signal.SIGTERM)

    assert done.code == 0
    assert "hush" not in done.err


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:service", "there is no module 'nowhere'"),
        ("shop.nowhere:service", "there is no module 'shop.nowhere'"),
        ("shop:paymet", "shop has no 'paymet'. Did you mean shop:payment?"),
        (
            "shop:number",
            "is of type int, and no Service or list of Services. Its services: shop:email, shop:payment",
        ),
        ("shop", "'shop' names no service. Its services: shop:email, shop:payment"),
        ("./shop.py:payment", "is no module's name; did you mean 'shop'?"),
        ("json:payment", "It has no Service"),
    ],
)
def test_a_target_that_is_none_is_told_with_what_could_have_been_meant(cli: Cli, target: str, message: str):
    done = cli("run", target)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("eventbus: ")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "importing broken failed: ZeroDivisionError: division by zero"),
        ("def f(:", "importing broken failed: SyntaxError"),
        (
            "import not_installed",
            "importing broken failed: ModuleNotFoundError: No module named 'not_installed'",
        ),
        ("raise SystemExit('no')", "importing broken failed: SystemExit: no"),
        (
            "from eventbus import *\n@subscribe('a.b')\ndef f(event: int): ...\ns = Service('x', [f])",
            "subscription 'x.f': 'event' is annotated int, which is no event",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_says_why_in_one_line(cli: Cli, source: str, message: str):
    (cli.directory / "broken.py").write_text(source)

    done = cli("run", "broken:s")

    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_two_services_of_one_name_are_refused(cli: Cli):
    (cli.directory / "twin.py").write_text("from eventbus import Service\nservice = Service('payment', [])\n")

    done = cli("run", "shop:payment", "twin:service")

    assert done.code == 2
    assert "two services are called 'payment'" in done.err


def test_a_url_that_cannot_work_ends_it_at_once(cli: Cli):
    for url in ("htp://localhost", "sqlite:////nowhere/at/all.db", "amqp://"):
        done = cli("run", "shop:payment", "--url", url)
        assert done.code == 2, done
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.err


def _says_twice(worker: Running, text: str) -> None:
    eventually_sync(lambda: worker.err.count(text) >= 2, within=20)
