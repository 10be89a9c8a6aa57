from __future__ import annotations

import pytest

from eventbus.errors import ConfigurationError
from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport
from eventbus.rabbitmq.address import parse
from eventbus.rabbitmq.management import Management, ManagementUnavailable


@pytest.mark.parametrize(
    "url",
    [
        "localhost:15672",
        "amqp://localhost",
        "http://",
        "http://admin:hunter2@localhost:port",
        "http://admin:hunter2[@localhost",
        "http://admin:hunter2\uff1a@localhost",
        "http://admin:hunter2\uff0f@localhost",
    ],
)
def test_a_wrong_management_url_is_told_with_a_right_one_and_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://localhost:15672") as failure:
        RabbitMQTransport("amqp://localhost/", RabbitMQOptions(management_url=url))

    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize("host", ["local host", "a" * 64, "lo\x7fcal"])
async def test_a_host_that_cannot_be_one_is_told_as_a_management_api_that_is_not_there(host: str) -> None:
    address = parse("amqp://localhost/")
    management = Management(address, RabbitMQOptions(management_url=f"http://admin:hunter2@{host}:15672"))

    with pytest.raises(ManagementUnavailable) as failure:
        await management.queues()

    assert "hunter2" not in str(failure.value)
