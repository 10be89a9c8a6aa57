"""Where a bus keeps what must survive a crash, and which bus that is: others may keep theirs there too."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from eventbus.settings import Settings

_BESIDE_A_SERVICE: Final = "sqlite:///eventbus.db"
_THIS_FILE: Final = "sqlite:here"
"""The embedded bus of the very file that it is kept in, which may be moved."""


def store_url(settings: Settings) -> str:
    """The one that is set, else the embedded bus's own file, else a file in the working directory."""
    if settings.store is not None:
        return settings.store
    return settings.url if settings.url.startswith("sqlite:") else _BESIDE_A_SERVICE


def spool_path(settings: Settings) -> Path:
    return Path(settings.spool).absolute()


def bus_of(settings: Settings, *, kept_in: str | None = None) -> str:
    """Which bus it is, for what it keeps at this URL, by default its store.

    The same on each host, for each user and after a move.

    On RabbitMQ namespace and virtual host, and not the hosts: a broker that moves takes its outbox along. A
    SQLite file knows no namespaces. One line without blanks or secrets; raises `ConfigurationError`.
    """
    if settings.url.startswith("sqlite:"):
        from eventbus.embedded.url import MEMORY, path_from_url

        path = path_from_url(settings.url)
        if path == MEMORY:
            return f"sqlite:{MEMORY}"
        file, kept_in = Path(path).resolve(), kept_in or store_url(settings)
        is_this = kept_in.startswith("sqlite:") and file == Path(path_from_url(kept_in)).resolve()
        return _THIS_FILE if is_this else f"sqlite:{quote(str(file))}"
    from eventbus.rabbitmq.address import parse

    return f"amqp:{settings.namespace}:{quote(parse(settings.url).vhost)}"


def relay_command(bus: str, *, kept_in: str) -> str:
    """What sends on what that bus has at this URL, for a person to paste; no secrets are in it."""
    namespace, url, store = "", kept_in, ""
    scheme, _, place = bus.partition(":")
    if kept_in.startswith("sqlite:"):
        store = f" --store {kept_in}"
    if scheme == "amqp":
        name, _, vhost = place.partition(":")
        namespace = f"EVENTBUS_NAMESPACE={name} "
        url = f"amqp://USER:PASSWORD@HOST/{quote(unquote(vhost), safe='') if vhost != '/' else ''}"
    elif bus != _THIS_FILE:
        url = f"sqlite:///{place}"
    return f"{namespace}eventbus relay --once --url {url}{store}"
