"""A subject with identities of two people: the export ends, a human checks, and no data was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, things, world

from portability.api import Identity, Subject
from portability.database.engine import reading
from portability.trust import audit


@dataclass
class Confused(MadeUpExporter):
    """Its table knows the subject's address under another id, too."""

    found: dict[str, Identity] = field(default_factory=dict)

    def identities(self, subject: Subject) -> list[Identity]:
        return [self.found[subject.kind]]


@pytest.mark.parametrize(
    ("subject", "asked"),
    [("user:usr_1", {}), ("contact:con_1", {"tenant": "ten_1"}), ("tenant:ten_1", {"profile": "switch"})],
)
@pytest.mark.requirement("R1")
def test_nothing_is_read_and_a_human_looks(
    control_url: str, tmp_path: Path, subject: str, asked: dict[str, Any]
) -> None:
    """It fails at once, with the rule that was broken, no volume and no record; the log has its reason."""
    read: list[int] = []
    found = {
        "user": Identity("crm", "user_id", "usr_2", verified=True),
        "contact": Identity("crm", "contact_id", "con_2", verified=True, tenant="ten_1"),
        "tenant": Identity("crm", "tenant_id", "ten_2", verified=True, tenant="ten_1"),
    }
    exporter = Confused(things(3), on_batch=read.append, found=found)
    made = world(tmp_path, {"made": exporter}, database_url=control_url)
    identifier = made.request(subject, **asked)
    made.advance_all()

    view = made.view(identifier)
    assert (view["state"], view["error"]["code"]) == ("failed", "ambiguous_subject")
    assert (view["datasets"], view["volumes"], read) == ([], [], [])
    assert not [name for name in ("usr_2", "con_2", "ten_2") if name in str(view)]
    with reading(made.engine) as connection:
        assert audit.events(connection, export_id=identifier)[-1]["action"] == "export.failed"
