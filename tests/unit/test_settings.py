from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from eventbus.errors import ConfigurationError
from eventbus.settings import Settings

SECRET_URL = "amqp://order:s3cr3t@broker.example:5672/shop?ssl_key_password=s3cr3t"


def test_without_any_variable_the_defaults_hold():
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.url, settings.namespace, settings.publish_timeout) == (
        "sqlite:///eventbus.db",
        "events",
        10,
    )


def test_each_setting_is_read_from_its_variable():
    settings = Settings.from_environment(
        {
            "EVENTBUS_URL": "amqp://localhost/",
            "EVENTBUS_NAMESPACE": "shop",
            "EVENTBUS_SCHEMAS": "schemas, billing.schemas,",
            "EVENTBUS_PUBLISH_TIMEOUT": "2.5",
            "EVENTBUS_MAX_BODY_BYTES": "1000",
            "EVENTBUS_LOG_LEVEL": "DEBUG",
            "UNRELATED": "1",
            "EVENTBUS_UNRELATED": "1",
        }
    )
    assert settings.url == "amqp://localhost/"
    assert settings.namespace == "shop"
    assert settings.schemas == ("schemas", "billing.schemas")
    assert settings.publish_timeout == 2.5
    assert settings.max_body_bytes == 1000
    assert settings.log_level == "DEBUG"


def test_what_the_program_says_goes_before_the_environment():
    settings = Settings.from_environment({"EVENTBUS_NAMESPACE": "shop"}, namespace="test", url=None)
    assert (settings.namespace, settings.url) == ("test", "sqlite:///eventbus.db")


@pytest.mark.parametrize(("text", "declares"), [("on", True), ("1", True), ("off", False), ("0", False)])
def test_declaring_is_switched_on_and_off(text: str, declares: bool):
    assert Settings.from_environment({"EVENTBUS_DECLARE": text}).declare is declares


def test_a_setting_can_be_read_from_a_file(tmp_path: Path):
    secret = tmp_path / "url"
    secret.write_text(f"{SECRET_URL}\n")
    assert Settings.from_environment({"EVENTBUS_URL_FILE": str(secret)}).url == SECRET_URL


def test_a_file_goes_before_the_plain_variable(tmp_path: Path):
    secret = tmp_path / "url"
    secret.write_text("amqp://from-the-file/")
    environment = {"EVENTBUS_URL": "amqp://from-the-variable/", "EVENTBUS_URL_FILE": str(secret)}
    assert Settings.from_environment(environment).url == "amqp://from-the-file/"


def test_a_file_that_cannot_be_read_is_named_with_its_variable(tmp_path: Path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError, match=rf"EVENTBUS_URL_FILE='{path}' cannot be read"):
            Settings.from_environment({"EVENTBUS_URL_FILE": str(path)})


@pytest.mark.parametrize(
    ("variable", "bad"),
    [
        ("EVENTBUS_PUBLISH_TIMEOUT", "soon"),
        ("EVENTBUS_PUBLISH_TIMEOUT", ""),
        ("EVENTBUS_PUBLISH_TIMEOUT", "0"),
        ("EVENTBUS_PUBLISH_TIMEOUT", "nan"),
        ("EVENTBUS_PUBLISH_TIMEOUT", "inf"),
        ("EVENTBUS_CONNECT_TIMEOUT", "-1"),
        ("EVENTBUS_SHUTDOWN_GRACE", "inf"),
        ("EVENTBUS_MAX_BODY_BYTES", "1 MB"),
        ("EVENTBUS_MAX_BODY_BYTES", "999999999"),
        ("EVENTBUS_NAMESPACE", "Shop!"),
        ("EVENTBUS_LOG_MAX_AGE_DAYS", "1e12"),
        ("EVENTBUS_LOG_MAX_AGE_DAYS", "inf"),
        ("EVENTBUS_LOG_LEVEL", "CHATTY"),
        ("EVENTBUS_LOG_FORMAT", "xml"),
        ("EVENTBUS_SYNCHRONOUS", "off"),
        ("EVENTBUS_DECLARE", "never"),
        ("EVENTBUS_DECLARE", ""),
    ],
)
def test_a_bad_value_names_its_variable_and_shows_the_value(variable: str, bad: str):
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({variable: bad})
    assert str(caught.value).startswith(f"{variable}={bad!r}: ")


def test_a_bad_value_out_of_a_file_names_the_file_and_does_not_show_what_is_in_it(tmp_path: Path):
    secret = tmp_path / "timeout"
    secret.write_text("s3cr3t")
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({"EVENTBUS_PUBLISH_TIMEOUT_FILE": str(secret)})
    assert str(caught.value).startswith(f"EVENTBUS_PUBLISH_TIMEOUT_FILE='{secret}': ")
    assert "s3cr3t" not in str(caught.value)


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().namespace = "other"  # type: ignore[misc]


def test_a_setting_that_is_none_is_refused():
    with pytest.raises(ValidationError, match="publish_timeuot"):
        Settings(publish_timeuot=1)  # type: ignore[call-arg]


def test_secrets_are_not_shown():
    settings = Settings(url=SECRET_URL, management_url="https://order:s3cr3t@broker.example:15671/")
    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert "s3cr3t" not in shown
        assert "broker.example" in shown


@pytest.mark.parametrize("name", ["store", "archive"])
def test_the_password_of_the_store_and_of_the_archive_is_not_shown(name: str):
    shown = repr(
        Settings.model_validate({name: "postgresql://order:s3cr3t@db.example/shop?sslpassword=s3cr3t"})
    )
    assert "s3cr3t" not in shown
    assert "postgresql://***@db.example/shop" in shown
