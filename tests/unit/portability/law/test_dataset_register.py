"""The dataset register: whole, versioned, published, and never behind the code."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from factories import MadeUpExporter, dataset
from repository import ROOT

from portability.api import Exporter, Withheld, WithheldKind
from portability.law import dataset_register, notice
from portability.locale import SOURCE, languages
from portability.plugins import load_all_formats, load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources


def published(**exporters: Exporter) -> dict[str, object]:
    """The register of some exporters, or of the built-in exporters."""
    found = exporters or load_exporters(PlatformSources(load_settings()))
    document: dict[str, object] = orjson.loads(
        orjson.dumps(dataset_register.document(found, load_all_formats(), notice.load()))
    )
    return document


@pytest.mark.requirement("R4", "R31")
def test_the_published_register_is_that_of_the_code() -> None:
    """docs/register.json changes with every dataset, field and text; `make docs` writes it again."""
    assert orjson.loads((ROOT / "docs" / "register.json").read_bytes()) == published()


def test_each_entry_describes_all_of_its_dataset() -> None:
    """Basis, retention and all languages stand in each; what is portable is provided or observed, on a good basis."""
    for entry in dataset_register.entries(load_exporters(PlatformSources(load_settings())), notice.load()):
        assert entry["purposes"], entry["dataset"]
        assert entry["retention"], entry["dataset"]
        for name in ("title", "description"):
            assert entry["translations"][name].keys() == {*languages()} - {SOURCE}, entry["dataset"]  # type: ignore[index, union-attr, call-overload]  # as made
        kinds = {use["kind"] for use in entry["purposes"]}  # type: ignore[index, union-attr, call-overload]  # as made
        assert entry["portable"] is (entry["provenance"] != "derived" and bool(kinds & notice.PORTABLE))


def test_the_version_changes_with_whatever_stands_in_it() -> None:
    """A new word, a withheld column or another key gives another version; the same content gives the same version."""
    one = dataset("things")
    withheld = replace(
        one, withheld=(Withheld("weights", "weights of the model", "it is a trade secret", WithheldKind.TRADE_SECRET),)
    )
    variants = [one, replace(one, title="Others"), replace(one, description="Other things."), withheld]
    versions = [str(published(made=MadeUpExporter([], datasets=(each,)))["version"]) for each in (*variants, one)]
    assert len(set(versions)) == len(variants)
    assert versions[0] == versions[-1]


def test_what_is_withheld_stands_in_it() -> None:
    """With its reason and kind: a company sees before it signs what it will not get."""
    held = Withheld("weights", "weights of the model", "it is a trade secret", WithheldKind.TRADE_SECRET)
    made = MadeUpExporter([], datasets=(replace(dataset("things"), withheld=(held,)),))
    (entry,) = dataset_register.entries({"made": made}, notice.load())
    texts = {"name": "weights", "what": held.what, "reason": held.reason, "translations": {}}
    assert entry["withheld"] == [{**texts, "kind": "trade_secret"}]
    assert entry["portable"] is False


def test_an_entry_has_no_empty_figure() -> None:
    """A retention period without a longest one has no `longest`, not a null."""
    register = notice.load()
    period = register.retention["account"].model_copy(update={"longest": None})
    changed = register.model_copy(update={"retention": {**register.retention, "account": period}})
    known = dataset_register.entries(load_exporters(PlatformSources(load_settings())), changed)
    (entry,) = (each for each in known if (each["exporter"], each["dataset"]) == ("account", "profile"))
    assert isinstance(entry["retention"], dict)
    assert "longest" not in entry["retention"]
    assert None not in entry["retention"].values()
