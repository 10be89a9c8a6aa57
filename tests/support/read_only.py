"""A PostgreSQL that takes nothing for a while, as a primary that has become a standby."""

from __future__ import annotations

from tests.support.postgres_server import PostgresServer, execute


def read_only(postgres: PostgresServer) -> None:
    """For whoever connects from now on; whoever is connected has to connect again."""
    execute(
        postgres.url,
        "ALTER DATABASE postgres SET default_transaction_read_only = on",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = 'postgres'",
    )


def writable(postgres: PostgresServer) -> None:
    """For whoever connects from now on; a session keeps what it began with."""
    execute(
        postgres.url,
        "SET default_transaction_read_only = off",
        "ALTER DATABASE postgres RESET default_transaction_read_only",
    )
