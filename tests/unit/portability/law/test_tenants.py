"""The file of tenants: names, contacts, and whom a contract obliges us to inform."""

from __future__ import annotations

from pathlib import Path

import pytest

from portability.api.errors import BadInput, BadSetting
from portability.law import tenants
from portability.settings import load_settings

TABLES = """
[ten_1]
name = "Aurora GmbH"
contact = "privacy@aurora.example"
inform = "contract"
[ten_2]
name = "Borealis"
"""


def loaded(folder: Path, text: str) -> tenants.Tenants:
    path = folder / "tenants.toml"
    path.write_text(text)
    tenants.load.cache_clear()
    return tenants.load(path)


def test_what_a_deployment_says_about_a_tenant(tmp_path: Path) -> None:
    """The name and contact are shown; a tenant without a table is named by its id."""
    found = loaded(tmp_path, TABLES)
    assert found.named("ten_1") == "Aurora GmbH (privacy@aurora.example)"
    assert found.named("ten_2") == "Borealis"
    assert found.named("ten_3") == "ten_3"


def test_why_a_tenant_is_informed(tmp_path: Path) -> None:
    """By contract also without the person's agreement; else only with it."""
    found = loaded(tmp_path, TABLES)
    assert [found.ground(name, agreed=False) for name in ("ten_1", "ten_2", "ten_3")] == ["contract", None, None]
    assert [found.ground(name, agreed=True) for name in ("ten_1", "ten_2")] == ["contract", "consent"]
    assert (found.has_contract(None), found.has_contract("ten_2")) == (True, False)
    everyone = loaded(tmp_path, '["*"]\ninform = "contract"\n[ten_1]\nname = "x"\n')
    assert [everyone.ground(name, agreed=False) for name in ("ten_1", "ten_9")] == [None, "contract"]


@pytest.mark.parametrize(
    "text",
    ["[", "x = 1", "[ten_1]\nname = 1", '[ten_1]\nphone = "1"', '[ten_1]\ninform = "always"', '["*"]\nname = "x"'],
)
def test_a_file_with_a_fault_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    """With the name of the file, and as a fault of the setting."""
    with pytest.raises(BadInput, match=r"tenants\.toml"):
        loaded(tmp_path, text)
    with pytest.raises(BadSetting, match="PORTABILITY_TENANTS_FILE"):
        load_settings(dir=tmp_path, tenants_file=tmp_path / "tenants.toml")


def test_a_message_names_the_first_unknown_key(tmp_path: Path) -> None:
    """By the alphabet, so that it is the same each time."""
    with pytest.raises(BadInput, match="unknown key 'alpha'"):
        loaded(tmp_path, '[ten_1]\nzeta = "1"\nalpha = "2"\n')
