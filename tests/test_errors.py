from __future__ import annotations

import re

import pytest

from cli.context import exit_code
from portability import errors
from portability.api import errors as plugin_errors
from portability.api.errors import BadInput, PortabilityError, all_errors

MODULES = (plugin_errors, errors)

# Other modules may add their own below; which are loaded depends on the tests that ran before.
ERRORS = [error for error in all_errors() if error.__module__ in {module.__name__ for module in MODULES}]


def test_every_error_of_the_module_is_in_the_tree() -> None:
    """All classes of both modules are subclasses of PortabilityError, so one `except` catches them."""
    defined = {
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined <= set(ERRORS)


def test_codes_are_stable_names_and_no_two_are_alike() -> None:
    """A code permanently names one error: lower case, words, used once."""
    codes = [error.code for error in ERRORS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_an_error_has_its_message_and_a_hint(error: type[PortabilityError]) -> None:
    """`str` is the message alone; the hint is the error's own unless the place where it is raised knows better."""
    assert str(error("what failed")) == "what failed"
    assert error("what failed").hint == error.default_hint
    assert error("what failed", hint="do this").hint == "do this"
    assert error("what failed", hint="").hint == ""


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_exit_code_2_is_for_bad_input_alone(error: type[PortabilityError]) -> None:
    """2 means that the caller can mend it and nothing was changed; all else is 1."""
    assert exit_code(error("what failed")) == (2 if issubclass(error, BadInput) else 1)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_bad_input_is_never_tried_again(error: type[PortabilityError]) -> None:
    """A retry is for what may pass by itself; the same bad input stays bad."""
    assert not (issubclass(error, BadInput) and error.retryable)
