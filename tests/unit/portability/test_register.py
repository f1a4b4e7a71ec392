"""The dataset register: whole, versioned, published, and never behind the code."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from factories import MadeUpExporter, dataset
from repository import ROOT

from portability import notice, register
from portability.api import Exporter, Withheld, WithheldKind
from portability.plugins import load_all_formats, load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources


def published(**exporters: Exporter) -> dict[str, object]:
    """The register of some exporters, or of the built-in ones."""
    found = exporters or load_exporters(PlatformSources(load_settings()))
    document: dict[str, object] = orjson.loads(
        orjson.dumps(register.document(found, load_all_formats(), notice.load()))
    )
    return document


@pytest.mark.requirement("R4", "R31")
def test_the_published_register_is_that_of_the_code() -> None:
    """docs/register.json changes with every dataset, field and text; `make docs` writes it anew."""
    assert orjson.loads((ROOT / "docs" / "register.json").read_bytes()) == published()


def test_each_entry_tells_all_of_its_dataset() -> None:
    """Basis, retention and both languages stand in each; what is portable is provided or observed, on a good basis."""
    for entry in register.entries(load_exporters(PlatformSources(load_settings())), notice.load()):
        assert entry["purposes"], entry["dataset"]
        assert entry["retention"], entry["dataset"]
        assert entry["title_id"], entry["dataset"]
        assert entry["description_id"], entry["dataset"]
        kinds = {use["kind"] for use in entry["purposes"]}  # type: ignore[index, union-attr, call-overload]  # as made
        assert entry["portable"] is (entry["provenance"] != "derived" and bool(kinds & notice.PORTABLE))


def test_the_version_changes_with_whatever_stands_in_it() -> None:
    """A new word, a withheld column or another key is another version; the same content has the same one."""
    one = dataset("things")
    withheld = replace(
        one, withheld=(Withheld("weights of the model", "it is a trade secret", WithheldKind.TRADE_SECRET),)
    )
    variants = [one, replace(one, title="Others"), replace(one, description_id="Benda."), withheld]
    versions = [str(published(made=MadeUpExporter([], datasets=(each,)))["version"]) for each in (*variants, one)]
    assert len(set(versions)) == len(variants)
    assert versions[0] == versions[-1]


def test_what_is_withheld_stands_in_it() -> None:
    """With its reason and kind: a company sees before it signs what it will not get."""
    held = Withheld("weights of the model", "it is a trade secret", WithheldKind.TRADE_SECRET)
    made = MadeUpExporter([], datasets=(replace(dataset("things"), withheld=(held,)),))
    (entry,) = register.entries({"made": made}, notice.load())
    told = {"what": held.what, "what_id": None, "reason": held.reason, "reason_id": None}
    assert entry["withheld"] == [{**told, "kind": "trade_secret"}]
    assert entry["portable"] is False
