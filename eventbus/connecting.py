"""The transport that a URL asks for; its driver is imported when it is chosen."""

from __future__ import annotations

from datetime import timedelta

from eventbus.clock import Clock
from eventbus.errors import ConfigurationError, shorten
from eventbus.settings import Settings
from eventbus.transport import Transport


def connect(settings: Settings, source: str, clock: Clock) -> Transport:
    """The transport that the URL asks for, not opened yet; its driver is imported here and not before."""
    url = settings.url
    scheme = url.partition(":")[0].lower()
    if scheme in ("amqp", "amqps"):
        from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport

        return RabbitMQTransport(
            url,
            RabbitMQOptions(
                namespace=settings.namespace,
                connection_name=f"eventbus {shorten(source)}",
                connect_timeout=settings.connect_timeout,
                log_max_age=timedelta(days=settings.log_max_age_days),
                log_max_bytes=settings.log_max_bytes,
                management_url=settings.management_url,
                consumer_timeout=settings.consumer_timeout or None,
            ),
            clock,
        )
    if scheme == "sqlite":
        from eventbus.embedded import EmbeddedOptions, EmbeddedTransport, path_from_url

        return EmbeddedTransport(
            path_from_url(url),
            EmbeddedOptions(
                synchronous=settings.synchronous,
                log_max_age=timedelta(days=settings.log_max_age_days),
                log_max_bytes=settings.log_max_bytes,
            ),
            clock,
        )
    raise ConfigurationError(
        f"the URL begins with {scheme!r}: use amqp://user:password@host/vhost, sqlite:///events.db "
        "or sqlite://:memory:"
    )
