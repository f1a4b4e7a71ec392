"""A file of sources with which no process starts is refused by `source check`, too: by the same judgement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from portability.api.errors import PortabilityError
from portability.settings import load_settings
from portability.source_file import read_sections
from portability.sources import PlatformSources, open_each, open_exporters

FINDS = """
title = "{name}"
role = "controller"
kinds = ["user"]
[[identity]]
table = "people"
from = "user_id"
column = "id"
value = "no"
gives = "customer_no"
verified = true
[[dataset]]
name = "people"
title = "People"
description = "People."
provenance = "provided"
table = "people"
rows = [{{ column = "no", identities = ["customer_no"] }}]
fields.id = {{ type = "integer", text = "Id." }}
"""
HTTP = """
title = "Desk"
role = "controller"
kinds = ["user"]
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Your tickets."
provenance = "provided"
for_each = "email"
get = "/tickets"
query = { email = "{email}" }
records = "."
fields.id = { text = "Id." }
key = ["id"]
"""
SHOP = '[shop]\nkind = "sql"\nurl = "file:{folder}/url"\nmap = "shop.toml"\n'
CRM = SHOP.replace("shop", "crm")
TRUSTS = "trusts = []\n"
SOUND = {
    "one": SHOP,
    "two that say whom they trust": f"{SHOP}{TRUSTS}{CRM}{TRUSTS}",
    "each other": f'{SHOP}trusts = ["crm"]\n{CRM}trusts = ["shop"]\n',
    "own records": f'{SHOP}trusts = ["portability"]\n',
}
FAULTY = {
    "two that do not say whom they trust": f"{SHOP}{CRM}",
    "one that does not say it": f"{SHOP}{TRUSTS}{CRM}",
    "an unknown name": f'{SHOP}trusts = ["erp"]\n{CRM}{TRUSTS}',
    "a name in other letters": f'{SHOP}trusts = ["CRM"]\n{CRM}{TRUSTS}',
    "no list": f'{SHOP}trusts = "crm"\n{CRM}{TRUSTS}',
    "numbers": f"{SHOP}trusts = [1]\n",
    "a table": f"{SHOP}trusts = {{ crm = true }}\n",
    "no kind": "[shop]\n",
    "an unknown kind": SHOP.replace('"sql"', '"sqlite"'),
    "a kind in capitals": SHOP.replace('"sql"', '"SQL"'),
    "no url": '[shop]\nkind = "sql"\nmap = "shop.toml"\n',
    "no map": '[shop]\nkind = "sql"\nurl = "file:{folder}/url"\n',
    "a map that is missing": SHOP.replace('"shop.toml"', '"shops.toml"'),
    "a map that is no text": SHOP.replace('"shop.toml"', "1"),
    "a map with a fault": SHOP.replace('"shop.toml"', '"faulty.toml"'),
    "a map of another kind": SHOP.replace('"shop.toml"', '"desk.toml"'),
    "an unknown key": f'{SHOP}uri = "x"\n',
    "no url of a database": SHOP.replace("/url", "/web"),
    "a variable that is not set": SHOP.replace("file:{folder}/url", "env:NO_SUCH_VARIABLE"),
    "a file that is missing": SHOP.replace("{folder}/url", "/no/such/file"),
    "a value of a secret": SHOP.replace("file:{folder}/url", "sqlite:///shop.db"),
    "a lag below 0": f"{SHOP}lag_seconds = -1\n",
    "a lag in words": f'{SHOP}lag_seconds = "a minute"\n',
    "files of an unknown storage": f'{SHOP}files = "ftp://files"\n',
    "a section below": f'{SHOP}[shop.auth]\nkind = "none"\n',
    "an http source without url": '[desk]\nkind = "http"\nmap = "desk.toml"\n',
    "an http source with an unknown key": '[desk]\nkind = "http"\nmap = "desk.toml"\nurls = "https://x.test"\n',
    "an unknown login": '[desk]\nkind = "http"\nmap = "desk.toml"\nurl = "https://x.test"\nauth = { kind = "x" }\n',
    "a rate in words": '[desk]\nkind = "http"\nmap = "desk.toml"\nurl = "https://x.test"\nrate = "fast"\n',
    "a package that is not installed": '[notes]\nkind = "python"\npackage = "acme-exports"\n',
    "a second name": f"{SHOP}{TRUSTS}{SHOP.replace('[shop]', '[Shop]')}{TRUSTS}",
    "a name with a blank": SHOP.replace("[shop]", '["my shop"]'),
    "the reserved name": SHOP.replace("[shop]", "[portability]"),
    "no section": 'kind = "sql"\n',
    "nothing": "",
    "no TOML": "[shop\n",
}


def file_of_sources(folder: Path, number: int, text: str) -> Path:
    """Write a file of sources into a folder with the maps."""
    path = folder / f"sources-{number}.toml"
    path.write_text(text.replace("{folder}", str(folder)))
    return path


def judgements(path: Path, folder: Path) -> tuple[str, list[str]]:
    """What a process says that starts with the file, empty if it starts, and what the check says of its sections."""
    settings = load_settings(sources=path, dir=folder)
    connections = PlatformSources(settings)
    refused, found = "", []
    try:
        open_exporters(settings, connections)
    except PortabilityError as error:
        refused = str(error)
    try:
        found = [str(one) for one in open_each(settings, connections).values() if isinstance(one, PortabilityError)]
    except PortabilityError as error:
        found = [str(error)]
    connections.close()
    read_sections.cache_clear()
    return refused, found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shop", "crm"):
        (tmp_path / f"{name}.toml").write_text(FINDS.format(name=name))
    (tmp_path / "faulty.toml").write_text(FINDS.format(name="x").replace("table =", "tabel ="))
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path / 'shop.db'}")
    (tmp_path / "web").write_text("https://shop.example.test")
    (tmp_path / "desk.toml").write_text(HTTP)
    return tmp_path


def test_the_check_refuses_what_a_process_refuses_at_its_start(folder: Path) -> None:
    """And nothing else; each section has its own error, with the same words."""
    for number, (name, text) in enumerate([*SOUND.items(), *FAULTY.items()]):
        refused, found = judgements(file_of_sources(folder, number, text), folder)
        assert bool(refused) is bool(found) is (name in FAULTY), (name, refused, found)
        assert not found or refused in {found[0], "; ".join(sorted(found))}, name


def test_the_command_says_that_a_source_does_not_say_whom_it_trusts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended with 0, and the next worker did not start."""
    monkeypatch.setenv("PORTABILITY_DIR", str(folder))
    monkeypatch.setenv("PORTABILITY_SOURCES", str(file_of_sources(folder, 0, f"{SHOP}{TRUSTS}{CRM}")))
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    result = CliRunner().invoke(main, ["source", "check", "crm", "--json"])
    (source,) = json.loads(result.stdout)["sources"]
    assert (result.exit_code, source["source"], source["error"]["code"]) == (1, "crm", "bad_setting")
    assert "[crm] may select by identities that shop finds" in source["error"]["message"]
