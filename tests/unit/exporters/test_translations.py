"""Every title and description of the built-in datasets stands in Indonesian, too (R23)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from exporters.translations import translated
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources

KEPT = re.compile(
    r"`[^`]+`|\b[a-z]+/[a-z]+\b|\b[a-z]+_[a-z_]+\b|\bnull\b|E\.164|ISO \d+|RFC \d+|BCP 47|SHA-256|vCon|UTC"
)
"""What a translation may not lose: names of data, codes, standards."""


def texts() -> Iterator[tuple[str, str, str | None]]:
    """(place, English, Indonesian) of every text."""
    for name, exporter in load_exporters(PlatformSources(load_settings())).items():
        for dataset in exporter.datasets:
            place = f"{name}/{dataset.name}"
            yield f"{place} title", dataset.title, dataset.title_id
            yield f"{place} description", dataset.description, dataset.description_id
            for number, held in enumerate(dataset.withheld):
                yield f"{place} withheld {number}", held.what, held.what_id
                yield f"{place} withheld {number} why", held.reason, held.reason_id
            for field in dataset.fields:
                yield f"{place}.{field.name}", field.description, field.description_id


TEXTS = [*texts()]


@pytest.mark.requirement("R23")
def test_every_text_is_translated() -> None:
    """A field that is new, or whose English text has changed, needs its Indonesian one in descriptions/id.toml."""
    assert len(TEXTS) > 500
    assert [place for place, _, indonesian in TEXTS if not (indonesian or "").strip()] == []
    assert [place for place, english, indonesian in TEXTS if english == indonesian] == []


def test_nothing_is_translated_that_nobody_says() -> None:
    """A translation whose English text is gone is stale."""
    assert translated().keys() - {english for _, english, _ in TEXTS} == set()


@pytest.mark.parametrize("english", translated())
def test_a_translation_keeps_names_codes_and_standards(english: str) -> None:
    """`null`, `crm/contacts`, `ai_agent` and E.164 mean the same in every language."""
    indonesian = translated()[english]
    assert [word for word in KEPT.findall(english) if word not in indonesian] == []
    assert english.endswith(".") is indonesian.endswith(".")
