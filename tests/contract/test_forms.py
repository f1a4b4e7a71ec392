"""The contract of every registered form: the public suite, with records that the form knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from portability.api import Dataset, Field, FieldType, Provenance, Record, Role
from portability.plugins import FORMATS, find, load_forms
from portability.testing import check_form
from portability.testing.formats import SAMPLE, VALUES

TIME = "2026-03-01T08:30:05Z"
KNOWN: dict[str, tuple[Dataset, list[Record]]] = {}


def _known(form: str, **values: str | float) -> None:
    kinds = {str: FieldType.STRING, float: FieldType.NUMBER}
    fields = tuple(Field(name, kinds[type(one)], f"Its {name}.", Provenance.PROVIDED) for name, one in values.items())
    dataset = Dataset("known", "Known", "Known.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("id",))
    KNOWN[form] = (dataset, [values])


_known("vcard", id="1", full_name="Ann", phone="+6281234567890")
_known("icalendar", id="1", kind="meeting", subject="Plans", occurred_at=TIME)
_known("eml", id="1", email="ann@example.test", subject="Help", message="Please.", created_at=TIME)
_known("webvtt", id="1", call_id="call_1", starts_seconds=0.0, text="Hello")


@pytest.mark.parametrize("name", list(load_forms(list(find(FORMATS)))))
def test_keeps_all_promises(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every built-in form passes the public suite, and leaves no temporary file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    form = load_forms([name])[name]

    check_form(form, *KNOWN.get(name, (SAMPLE, [VALUES])))

    assert list(tmp_path.iterdir()) == []
