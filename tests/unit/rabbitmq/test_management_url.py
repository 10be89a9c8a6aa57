from __future__ import annotations

import pytest

from eventbus.errors import ConfigurationError
from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport


@pytest.mark.parametrize(
    "url", ["localhost:15672", "amqp://localhost", "http://", "http://admin:hunter2@localhost:port"]
)
def test_a_wrong_management_url_is_told_with_a_right_one_and_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://localhost:15672") as failure:
        RabbitMQTransport("amqp://localhost/", RabbitMQOptions(management_url=url))

    assert "hunter2" not in str(failure.value)
