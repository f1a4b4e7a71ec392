"""The title of a dataset is a text for people: no database may decide how long it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archives import export_json
from factories import MadeUpExporter, dataset, things, world

from portability.requests import exports

WORDS = "Everything that was ever said "
LONG = WORDS * 40


def test_a_long_title_ends_no_export(control_url: str, tmp_path: Path) -> None:
    """The archive has the whole title; the line that pages show has its first 200 characters."""
    exporter = MadeUpExporter(things(3), datasets=[replace(dataset(), title=LONG)])
    made = world(tmp_path, {"made": exporter}, database_url=control_url).with_all_keys()
    identifier = made.request()
    made.advance_all()
    with made.engine.connect() as connection:
        (line,) = exports.ledger(connection, identifier)
    assert (line["state"], line["records"], len(LONG), line["title"]) == ("complete", 3, 1_200, (WORDS * 7)[:200])
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    (described,) = (one for one in export_json(paths)["datasets"] if one["exporter"] == "made")
    assert described["title"] == LONG
