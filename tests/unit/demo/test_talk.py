from __future__ import annotations

from random import Random

import pytest

from demo.scripts import SCRIPTS, Script
from demo.talk import make_talk


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("number", range(30))
def test_no_blank_is_left_open(language: str, number: int) -> None:
    """Every placeholder of every script is filled."""
    talk = make_talk(Random(number), language, customer="Siti Aminah", company="PT Maju", city="Bogor")
    words = " ".join([talk.subject, talk.summary, *(line.text for line in talk.lines)])
    assert "{" not in words
    assert "}" not in words
    assert "PT Maju" in words


def test_both_speak_and_the_company_begins_and_ends() -> None:
    """It reads like a customer-service chat: a greeting, the matter, thanks and goodbye."""
    speakers = [line.speaker for line in make_talk(Random(1), "en", customer="A B", company="C", city="D").lines]
    assert (speakers[0], speakers[1], speakers[-2], speakers[-1]) == ("agent", "customer", "customer", "agent")


@pytest.mark.parametrize("lines_min", [0, 20, 200])
def test_a_long_talk_continues_to_further_topics(lines_min: int) -> None:
    """It has at least the requested lines, and at most one script more."""
    lines = make_talk(Random(2), "id", customer="A B", company="C", city="D", lines_min=lines_min).lines
    assert lines_min <= len(lines) <= lines_min + 12


@pytest.mark.parametrize("script", SCRIPTS["en"] + SCRIPTS["id"], ids=lambda script: script.subject)
def test_scripts_are_well_formed(script: Script) -> None:
    """A script begins with the customer, and each line says who speaks."""
    assert script.lines[0].startswith("< ")
    assert all(line.startswith(("< ", "> ")) for line in script.lines)
    assert script.sentiment in {"positive", "neutral", "negative"}


def test_both_languages_tell_the_same_matters() -> None:
    """An intent means the same in English and Indonesian."""
    assert [script.intent for script in SCRIPTS["en"]] == [script.intent for script in SCRIPTS["id"]]
