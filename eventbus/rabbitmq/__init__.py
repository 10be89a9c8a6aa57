"""The RabbitMQ transport: topic exchanges, quorum queues, a stream as history, delays without a plugin."""

from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.transport import RabbitMQTransport

__all__ = ["RabbitMQOptions", "RabbitMQTransport"]
