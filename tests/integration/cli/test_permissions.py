"""What a service may do at RabbitMQ when a deploy step declares: as `go-to-rabbitmq.md` tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from eventbus.cli import main
from tests.integration.cli.conftest import Cli
from tests.support.broker import Broker
from tests.support.eventually import eventually_sync

PERMISSIONS = {
    "configure": "^$",
    "write": r"^events(\.(redeliver|dead|delay\.[0-9]+))?$",
    "read": r"^payment\..*$|^events\.log$",
}


TOPICS = {
    "events": r"^payment\..*$",
    **{f"events.delay.{level:02d}": r"^([01]\.){28}(event\.payment\..*|queue\..*)$" for level in range(28)},
}
"""Of who publishes the events `payment.…`."""


@pytest.fixture
def limited_url(rabbitmq: Broker, vhost: str) -> Iterator[str]:
    """For a user who may not declare."""
    user = f"user-{vhost}"
    rabbitmq.api("PUT", f"users/{user}", {"password": "one", "tags": ""})
    rabbitmq.api("PUT", f"permissions/{vhost}/{user}", PERMISSIONS)
    at = urlsplit(rabbitmq.amqp_url(vhost))
    yield f"amqp://{user}:one@{at.hostname}:{at.port}/{quote(vhost, safe='')}"
    rabbitmq.api("DELETE", f"users/{user}")


def test_who_may_not_declare_can_run_publish_and_tail(cli: Cli, amqp_url: str, limited_url: str):
    assert cli("topology", "apply", "shop:payment", EVENTBUS_URL=amqp_url).code == 0
    cli.environment |= {"EVENTBUS_URL": limited_url, "EVENTBUS_DECLARE": "off"}
    worker = cli.start("run", "shop:payment")
    worker.says("worker.ready")
    tail = cli.start("tail", "--count", "1", "--output", "json")
    tail.says("listening…")

    published = cli("publish", "order.created", '{"order_id": 7, "total": "3.00"}')

    assert published.code == 0, published.err
    passed = tail.ends()
    assert (passed.code, json.loads(passed.out)["data"]["order_id"]) == (0, 7), passed.err
    handled = cli.directory / "handled.txt"
    eventually_sync(lambda: handled.exists() and handled.read_text() == "7\n", within=20)
    assert "ACCESS_REFUSED" not in worker.err + tail.err + published.err


def test_who_owns_some_event_types_publishes_no_others_at_once_or_with_a_delay(
    cli: Cli, rabbitmq: Broker, vhost: str, amqp_url: str, limited_url: str
):
    assert cli("topology", "apply", "shop:payment", EVENTBUS_URL=amqp_url).code == 0
    for exchange, pattern in TOPICS.items():
        allowed = {"exchange": exchange, "write": pattern, "read": ".*"}
        rabbitmq.api("PUT", f"topic-permissions/{vhost}/user-{vhost}", allowed)
    cli.environment |= {"EVENTBUS_URL": limited_url, "EVENTBUS_DECLARE": "off"}

    for event_type, code in (("payment.noted", 0), ("order.noted", 1)):
        for more in ((), ("--delay", "5"), ("--delay", "86400")):
            published = cli("publish", event_type, "{}", *more)
            assert published.code == code, (event_type, more, published.err)
            assert ("ACCESS_REFUSED" in published.err) is bool(code)


def test_a_deploy_step_declares_all_the_same(everywhere: Cli):
    everywhere.environment["EVENTBUS_DECLARE"] = "off"

    assert everywhere("topology", "diff", "shop:payment").code == 1
    assert everywhere("topology", "apply", "shop:payment").code == 0
    assert everywhere("topology", "diff", "shop:payment").code == 0


def test_what_is_neither_on_nor_off_is_a_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("EVENTBUS_DECLARE", "never")

    assert main(["publish", "order.created", "{}"]) == 2
    assert "EVENTBUS_DECLARE='never'" in capsys.readouterr().err
