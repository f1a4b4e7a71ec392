"""Real customer-service chats, through the tables and the pipeline, and found again word for word."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from archives import members, records
from factories import world
from sqlalchemy import create_engine, insert

from exporters.reference import schema
from portability.database.engine import writing
from portability.plugins import load_exporters
from portability.requests import instructions
from portability.settings import load_settings
from portability.sources import PlatformSources

CHATS = Path(__file__).parents[3] / "shared" / "data" / "abcd_sample.json"
"""Chats of the Action-Based Conversations Dataset (ASAPP Research, MIT), not part of this repository."""
BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@pytest.mark.skipif(not CHATS.exists(), reason=f"no real chats at {CHATS}: get abcd_sample.json to run this test")
def test_every_utterance_of_real_chats_is_in_jsonl_and_csv(tmp_path: Path) -> None:
    """Text that people typed, in the order in which they typed it, in both formats."""
    chats = json.loads(CHATS.read_text())
    settings = load_settings(dir=tmp_path)
    _load(settings.source, chats)
    made = world(tmp_path, load_exporters(PlatformSources(settings)))
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_abcd", contact_id=None, exporters=None, actor="operator:test")
    for chat in chats:
        identifier = made.request(f"contact:con_{chat['convo_id']}", tenant="ten_abcd")
        made.advance_all()
        paths = made.fetch(identifier)
        said = [(speaker, text) for speaker, text in chat["original"]]
        (table,) = [body.decode() for name, body in members(paths) if name == "data/chats/messages.csv"]
        rows = list(csv.DictReader(io.StringIO(table, newline="")))

        assert made.verify(paths).ok
        assert [(r["sender"], r["text"]) for r in records(paths, "chats", "messages")] == said
        # A cell that a spreadsheet would compute carries a leading apostrophe.
        assert [(row["sender"], row["text"].removeprefix("'")) for row in rows] == said
    assert sum(len(chat["original"]) for chat in chats) == 72


def _load(source_url: str, chats: list[dict[str, object]]) -> None:
    engine = create_engine(source_url)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        organisation = {"id": "ten_abcd", "name": "ABCD", "created_at": BEGAN}
        connection.execute(insert(schema.organisations).values(organisation))
        for chat in chats:
            number, spoken = chat["convo_id"], chat["original"]
            assert isinstance(spoken, list)
            tenant = {"tenant_id": "ten_abcd", "created_at": BEGAN}
            connection.execute(insert(schema.contacts).values(id=f"con_{number}", **tenant))
            conversation = {"id": f"cnv_{number}", "contact_id": f"con_{number}", "channel": "web", **tenant}
            connection.execute(insert(schema.conversations).values(conversation))
            lines = [
                {
                    **tenant,
                    "id": f"msg_{number}_{position:03}",
                    "conversation_id": f"cnv_{number}",
                    "position": position,
                    "sender": speaker,
                    "text": text,
                    "sent_at": BEGAN + timedelta(seconds=position),
                }
                for position, (speaker, text) in enumerate(spoken)
            ]
            connection.execute(insert(schema.messages), lines)
    engine.dispose()
