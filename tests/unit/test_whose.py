"""Which bus it is that keeps something: the same for all that are one, and never the same for two."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventbus.settings import Settings
from eventbus.whose import bus_of, relay_command

STORE = "postgresql://shop:s3cret@db/shop"


def of(url: str, namespace: str = "events", kept_in: str = STORE) -> str:
    return bus_of(Settings(url=url, namespace=namespace), kept_in=kept_in)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@localhost/shop",
        "amqps://other:s3cret@rabbit-1:5671,rabbit-2:5671/shop?heartbeat=5",
    ],
)
def test_on_rabbitmq_it_is_the_namespace_and_the_virtual_host_wherever_that_is(url: str):
    assert of(url) == "amqp:events:shop"
    assert of(url, "billing") == "amqp:billing:shop"


def test_the_usual_virtual_host_has_a_name_too():
    assert of("amqp://localhost") == of("amqp://localhost/") == of("amqp://localhost/%2F") == "amqp:events:/"


def test_an_embedded_bus_is_its_file_by_whatever_path_and_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    real = f"sqlite:{os.path.realpath(tmp_path)}/there/a%20b.db"

    assert of("sqlite:///there/a%20b.db") == of(f"sqlite:///{tmp_path}/link/a b.db", "billing") == real
    assert of("sqlite://:memory:") == "sqlite::memory:"


def test_what_is_kept_in_the_bus_s_own_file_may_be_moved_with_it(tmp_path: Path):
    before, after = f"sqlite:///{tmp_path}/shop.db", f"sqlite:///{tmp_path}/moved.db"

    assert of(before, kept_in=before) == of(after, kept_in=after)
    assert of(before, kept_in=before) != of(before, kept_in=after)


def test_a_person_is_told_how_to_send_on_what_another_bus_has_left():
    relay = "eventbus relay --once --url"

    assert relay_command("amqp:billing:/", kept_in=STORE) == (
        f"EVENTBUS_NAMESPACE=billing {relay} amqp://USER:PASSWORD@HOST/"
    )
    assert relay_command("amqp:events:a/b", kept_in="sqlite:///shop.db") == (
        f"EVENTBUS_NAMESPACE=events {relay} amqp://USER:PASSWORD@HOST/a%2Fb --store sqlite:///shop.db"
    )
    assert relay_command("sqlite:/srv/shop.db", kept_in=STORE) == f"{relay} sqlite:////srv/shop.db"
    assert relay_command("sqlite:here", kept_in="sqlite:///shop.db") == (
        f"{relay} sqlite:///shop.db --store sqlite:///shop.db"
    )
