from __future__ import annotations

import pytest

from eventbus.embedded import EmbeddedTransport, path_from_url
from eventbus.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///events.db", "events.db"),
        ("sqlite:///data/events.db", "data/events.db"),
        ("sqlite:////var/lib/shop/events.db", "/var/lib/shop/events.db"),
        ("sqlite://:memory:", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite:///my%20events%3F.db", "my events?.db"),
    ],
)
def test_a_url_names_a_path(url: str, path: str):
    assert path_from_url(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://events.db",
        "sqlite:events.db",
        "sqlite:///",
        "sqlite://",
        "sqlite:///data/",
        "sqlite:///events.db?mode=ro",
        "sqlite:///a%00b",
        "postgresql:///events",
        "events.db",
    ],
)
def test_a_bad_url_is_answered_with_right_ones(url: str):
    with pytest.raises(
        ConfigurationError, match=r"sqlite:///events\.db .* sqlite:////var/.*sqlite://:memory:"
    ):
        path_from_url(url)


@pytest.mark.parametrize("path", ["events.db", "/var/lib/events.db", ":memory:", "my events?.db"])
def test_a_transport_tells_the_url_that_leads_to_it(path: str):
    assert path_from_url(EmbeddedTransport(path).url) == path
