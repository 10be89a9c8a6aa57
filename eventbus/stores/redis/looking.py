"""Whether a Redis can be the store, for those who only look."""

from __future__ import annotations

from eventbus.store import StoreUnavailable
from eventbus.stores.options import StoreOptions
from eventbus.stores.redis.server import Address, Server, refusal


async def check(url: str, options: StoreOptions) -> None:
    """Raises `StoreUnavailable`, and `ConfigurationError` where it refuses us."""
    server = Server(Address.of(url), options.timeout)
    try:
        async with server.asked() as client:
            told = await client.info("replication")  # pyright: ignore[reportUnknownMemberType]  their keywords
    except StoreUnavailable as error:
        if (refused := refusal(error)) is not None:
            raise refused from None
        raise
    finally:
        await server.close()
    if told.get("role") == "slave" and told.get("slave_read_only"):
        raise StoreUnavailable(server.address.url, "it is a replica, and read-only: name its primary")
