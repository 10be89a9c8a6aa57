"""What a URL names; what cannot be an archive is refused before anything is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from eventbus.archives.opening import archive_for
from eventbus.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("url", ["redis://host", "memory://", "amqp://host", "archive.db", ""])
def test_what_names_no_archive_is_refused(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"is no archive .* use sqlite:///archive\.db or postgresql://"
    ):
        archive_for(url)


@pytest.mark.parametrize("url", ["sqlite://:memory:", "sqlite:///:memory:"])
def test_an_archive_in_memory_is_refused_for_it_would_end_with_the_process(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no place for an archive.*Name a file"):
        archive_for(url)


def test_a_url_that_names_no_file_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names no archive"):
        archive_for("sqlite:///folder/")


@pytest.mark.parametrize(
    "password", ["secret/with/slash", "secret[", "secret]", "secret\uff1awide", "secret\uff0fwide"]
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(password: str) -> None:
    with pytest.raises(ConfigurationError, match="the archive's URL cannot be read") as refused:
        archive_for(f"postgresql://user:{password}@host/database")
    assert "secret" not in str(refused.value)


def test_what_has_no_scheme_is_not_quoted_for_it_may_be_a_password() -> None:
    with pytest.raises(ConfigurationError, match="is no archive") as refused:
        archive_for("user@secret:5432/database")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "problem"), [("missing/archive.db", "no archive can be in"), (".", "is a directory")]
)
async def test_a_place_that_cannot_hold_a_file_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        await archive_for(f"sqlite:///{tmp_path / name}").open()


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_text("no database" * 1000)

    with pytest.raises(ConfigurationError, match="is no SQLite database"):
        await archive_for(f"sqlite:///{tmp_path / 'archive.db'}").open()


async def test_an_archive_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    archive = archive_for(url)
    await archive.open()
    await archive.close()
    with closing(sqlite3.connect(tmp_path / "archive.db", isolation_level=None)) as newer:
        newer.execute("UPDATE eventbus_archive SET version = 99")

    with pytest.raises(ConfigurationError, match=r"the archive in .* newer eventbus.*version 99"):
        await archive_for(url).open()
