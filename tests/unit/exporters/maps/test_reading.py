"""Maps are read strictly: every fault is reported, each with its place, and secrets are never in the text."""

import hashlib
from pathlib import Path

import pytest

from exporters.maps.forms import DatasetForm, FieldForm, SourceForm
from exporters.maps.reading import MapText, open_map, parse_map
from portability.api.errors import BadMap, BadSetting
from portability.api.references import resolve

GOOD = """title = "Shop"
role = "processor"
kinds = ["contact"]
[[dataset]]
name = "orders"
title = "Orders"
description = "What you ordered."
provenance = "provided"
[dataset.fields]
id = { text = "Identifier.", type = "string" }
"""


class OrdersForm(DatasetForm):
    fields: dict[str, FieldForm]


class ShopForm(SourceForm):
    dataset: tuple[OrdersForm, ...]


def test_every_fault_has_its_place() -> None:
    """All faults are reported together, in the order of the file, each with line and column."""
    text = GOOD.replace('"contact"', '"customer"').replace('title = "Orders"\n', 'titel = "Orders"\n')
    text = text.replace('type = "string"', 'type = "uuid"')
    with pytest.raises(BadMap) as refused:
        parse_map(MapText("shop.toml", text), ShopForm)
    lines = str(refused.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "shop.toml:3:1",
        "shop.toml:4:1",
        "shop.toml:6:1",
        "shop.toml:10:30",
    ]
    assert "the key 'title' is missing" in lines[1]
    assert "unknown key 'titel'" in lines[2]


def test_not_toml() -> None:
    """A file that is not TOML is refused with the parser's own place."""
    with pytest.raises(BadMap, match=r"shop.toml is not TOML: .*line 2"):
        parse_map(MapText("shop.toml", "a = 1\nb =\n"), ShopForm)


def test_a_map_of_windows_is_read(tmp_path: Path) -> None:
    """An editor there begins a file with a byte order mark and ends lines by CR LF; the hash is that of the file."""
    path = tmp_path / "shop.toml"
    path.write_text(GOOD, "utf-8-sig", newline="\r\n")
    found = open_map(path, ShopForm)
    assert found.form.title == "Shop"
    assert found.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_map_has_the_hash_of_its_text(tmp_path: Path) -> None:
    """An export names its map by the SHA-256 of the file."""
    (tmp_path / "empty.toml").write_bytes(GOOD.encode())
    found = open_map(tmp_path / "empty.toml", ShopForm)
    assert found.form.dataset[0].name == "orders"
    assert found.form.dataset[0].fields["id"].text == "Identifier."
    assert len(found.source.sha256) == 64


@pytest.mark.parametrize("value", ["hunter2", "env:", "env:NOT A NAME", "file:relative", ""])
def test_a_value_is_no_reference(value: str) -> None:
    """A secret in plain text is refused, and the error does not repeat it."""
    with pytest.raises(BadSetting) as refused:
        resolve(value, "password")
    assert "password" in str(refused.value)
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference names a variable of the environment, or a file, whose last line end is dropped."""
    monkeypatch.setenv("SHOP_PASSWORD", "a value")
    (tmp_path / "secret").write_text("another\n")
    assert resolve("env:SHOP_PASSWORD", "password") == "a value"
    assert resolve(f"file:{tmp_path}/secret", "password") == "another"
    with pytest.raises(BadSetting, match="env:SHOP_ABSENT is empty or not set"):
        resolve("env:SHOP_ABSENT", "password")
