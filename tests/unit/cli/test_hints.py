"""Hints fit where they are read: in `portability doctor`, on servers, and for each way in which a server is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ConnectionClosedError, SSLError

import cli.doctor
import web.provider
from cli.context import Context, start_hint
from cli.harmless import shortened
from portability.api.errors import PortabilityError, StorageUnavailable
from portability.errors import QueueUnavailable
from portability.queue import redis_url
from portability.settings import load_settings
from portability.storage.s3.errors import s3_errors
from portability.transfers.sending import WrongRegion

OF_OTHER_COMMANDS = {web.provider.ProviderUnavailable, WrongRegion}
"""Errors that no check of the doctor raises."""


def kinds(parent: type[PortabilityError] = PortabilityError) -> Iterator[type[PortabilityError]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_no_check_refers_to_the_doctor() -> None:
    """Who reads the hint has just run it."""
    assert cli.doctor.CHECKS  # loading it loads the errors of its checks
    referring = {kind for kind in kinds() if "portability doctor" in kind.default_hint}
    assert referring == OF_OTHER_COMMANDS


def test_the_embedded_stack_is_not_started_on_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`portability up` refuses there."""
    context = Context(load_settings, json=False)
    assert start_hint(context, "worker") == "start `portability up`"
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", "postgresql+psycopg://localhost/portability")
    context = Context(load_settings, json=False)
    assert start_hint(context, "worker") == "start `portability worker`"
    with pytest.raises(QueueUnavailable) as raised:
        redis_url(context.settings)
    assert "PORTABILITY_REDIS_URL" in raised.value.hint
    assert "portability up" not in raised.value.hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (SSLError(endpoint_url="https://s3.example", error=OSError("x")), "AWS_CA_BUNDLE"),
        (ConnectionClosedError(endpoint_url="https://s3.example"), "http or https"),
        (OSError("x"), "is its URL right?"),
    ],
)
def test_each_way_in_which_a_storage_is_away_has_a_hint(error: Exception, hint: str) -> None:
    """The name of an error of the library says nothing to an operator."""

    def fail() -> None:
        with s3_errors("read", "a/1"):
            raise error

    with pytest.raises(StorageUnavailable) as raised:
        fail()
    assert hint in raised.value.hint


def test_an_error_repeats_no_long_argument() -> None:
    """Only its beginning and its length; a sentence of many words stays whole."""
    path, argument, sentence = "/long/" * 100, "a b " * 1000, "a setting is wrong; " * 100
    message = f"no file {path}; no export {argument!r}; no {'x' * 5000!r}. {sentence}"
    found = shortened(message, [argument, "export"])
    assert found == f"no file {path}; no export '{('a b ' * 20)}... (4000 characters)'; " + found.split("'; ", 1)[1]
    assert f"{'x' * 79}... (500" in found
    assert found.endswith(sentence)
    assert len(found) < 3000
