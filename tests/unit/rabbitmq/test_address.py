from __future__ import annotations

import pytest

from eventbus.errors import ConfigurationError
from eventbus.rabbitmq.address import EXAMPLE, parse


def test_a_url_names_host_port_user_and_virtual_host() -> None:
    address = parse("amqp://shop:secret@broker.example:5673/orders")

    assert (address.host, address.port, address.user, address.password) == (
        "broker.example",
        5673,
        "shop",
        "secret",
    )
    assert address.vhost == "orders"
    assert not address.tls


def test_what_a_url_leaves_out_is_what_a_fresh_rabbitmq_has() -> None:
    address = parse("amqp://localhost")

    assert (address.port, address.user, address.password, address.vhost) == (5672, "guest", "guest", "/")
    assert parse("amqps://localhost").port == 5671


def test_special_characters_are_percent_encoded() -> None:
    address = parse("amqp://shop%40home:p%2Fw%23@localhost/%2Fprod")

    assert (address.user, address.password, address.vhost) == ("shop@home", "p/w#", "/prod")


@pytest.mark.parametrize("url", ["amqp://guest:guest@localhost/", "amqp://guest:guest@localhost/%2F"])
def test_no_virtual_host_is_the_default_one(url: str) -> None:
    assert parse(url).vhost == "/"


def test_an_address_shows_no_password() -> None:
    address = parse("amqps://shop:hunter2@localhost/orders?cafile=/etc/ca.pem")

    assert str(address) == "amqps://shop:***@localhost:5671/orders"
    assert "hunter2" not in repr(address)


def test_an_ipv6_address_keeps_its_brackets_in_logs() -> None:
    address = parse("amqp://guest:guest@[::1]:5672/")

    assert address.host == "::1"
    assert str(address) == "amqp://guest:***@[::1]:5672/"


def test_a_cluster_is_named_by_its_hosts_with_commas_between() -> None:
    address = parse("amqp://shop:hunter2@one,two:5673,[::1]:5674/orders?heartbeat=30")

    assert address.hosts == (("one", 5672), ("two", 5673), ("::1", 5674))
    assert (address.user, address.vhost, address.heartbeat) == ("shop", "orders", 30)
    assert str(address) == "amqp://shop:***@one:5672,two:5673,[::1]:5674/orders"


@pytest.mark.parametrize(
    "url",
    [
        "http://guest:hunter2@localhost/",
        "localhost:5672",
        "amqp://",
        "amqp:///vhost",
        "amqp://guest:hunter2@one,/",
        "amqp://guest:hunter2@,two/",
        "amqp://guest:hunter2@one:5672,two:port/",
        "amqp://guest:hunter2@localhost:port/",
        "amqp://guest:hunter2@localhost:99999/",
        "amqp://guest:hunter2@local host/",
        "amqp://guest:hunter#2@localhost/",
        "amqp://guest:hunter2@localhost/a/b",
        "amqp://guest:hunter2@localhost/?color=red",
        "amqp://guest:hunter2@localhost/?heartbeat=often",
        "amqp://guest:hunter2@localhost/?heartbeat=0",
        "amqp://guest:hunter2@localhost/?cafile=/etc/ca.pem",
    ],
)
def test_a_wrong_url_is_told_with_a_right_one_and_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        parse(url)

    assert EXAMPLE in str(failure.value)
    assert "hunter" not in str(failure.value)


def test_certificates_cannot_be_left_unverified() -> None:
    with pytest.raises(ConfigurationError, match="cafile"):
        parse("amqps://guest:guest@localhost/?no_verify_ssl=1")


def test_a_certificate_that_is_not_there_is_a_configuration_error() -> None:
    address = parse("amqps://guest:guest@localhost/?cafile=/nowhere/ca.pem")

    with pytest.raises(ConfigurationError, match="certificates"):
        address.ssl_context()


def test_a_heartbeat_can_be_chosen() -> None:
    assert parse("amqp://localhost/?heartbeat=30").heartbeat == 30
