"""People whose every value is a mark, the sources that have them, and the faults that quote the mark in an answer."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from http_sources import Asked, StandIn
from servers.databases import Postgres
from sqlalchemy import create_engine

MARK = "kanarienvogel"
READY, DENIED, FAILED = ADDRESSES = tuple(f"{MARK}.{who}@marked.example" for who in ("ready", "denied", "failed"))
BLOCKED = f"portability-canary-{MARK}"
"""A value that fails the export of which it is a part (docs/scan.md)."""
TABLES = """
create table profiles (id text primary key, address text, note text, file_key text);
create function refuse(value text) returns text language plpgsql as $$ begin
  raise unique_violation using message = 'duplicate key value violates unique constraint "profiles_email_key"',
    detail = format('Key (email)=(%s) already exists.', value);
end $$;
create view clashes as select id, address, refuse(address) as note, file_key from profiles;
create view misread as select id, address, note::integer as note, file_key from profiles;
create view untimed as select id, address, note::timestamptz as note, file_key from profiles
"""
SQL_DATASET = """
[[dataset]]
name = "{table}"
title = "Profiles"
description = "What we know of you."
provenance = "provided"
table = "{table}"
rows = [{{ column = "address", identities = ["email"] }}]
{file}
[dataset.fields]
id = {{ text = "Identifier." }}
note = {{ type = "{type}", text = "Note." }}
"""
HTTP_DATASET = """
[[dataset]]
name = "{name}"
title = "Notes"
description = "What you wrote."
provenance = "provided"
for_each = "email"
scoped = true
get = "/{name}/{{email}}"
items = "items"
{more}
[dataset.fields]
id = {{ text = "Identifier." }}
note = {{ type = "{type}", text = "Note." }}
"""
HEAD = 'title = "Marked"\nrole = "controller"\nkinds = ["email"]\n'
JSON, HTML = {"Content-Type": "application/json"}, {"Content-Type": "text/html"}
ITEM = {"id": f"{MARK}-1", "note": f"{MARK} note"}
ANSWERS = {
    "notes": (200, JSON, {"items": [ITEM]}),
    "broken": (500, JSON, {"error": f"no row for {MARK}"}),
    "invalid": (422, JSON, {"detail": [{"loc": ["email"], "input": MARK}]}),
    "forbidden": (403, JSON, {"error": f"{MARK} may not"}),
    "gone": (404, JSON, {"error": f"{MARK} is unknown"}),
    "page": (200, HTML, f"<title>{MARK}</title>".encode()),
    "cut": (200, JSON, f'{{"items": [{{"id": "{MARK}", "note": '.encode()),
    "twice": (200, JSON, f'{{"items": [], "{MARK}": 1, "{MARK}": 2}}'.encode()),
    "moved": (302, {"Location": f"https://{MARK}.invalid/{MARK}"}, b""),
    "text": (200, JSON, {"items": MARK}),
    "nested": (200, JSON, {"items": [MARK, [MARK]]}),
    "untimed": (200, JSON, {"items": [ITEM]}),
    "leads": (200, JSON, {"items": [ITEM], "next": f"https://{MARK}.invalid/{MARK}"}),
    "files": (200, JSON, {"items": [{**ITEM, "url": f"https://{MARK}.invalid/{MARK}"}]}),
    "links": (200, JSON, {"items": [{**ITEM, "url": f"http://[{MARK}"}]}),
}
"""By dataset: status, headers and body."""
MORE = {
    "leads": 'page = { kind = "link", next = "next" }',
    "files": '[dataset.file]\nurl = "url"',
    "links": '[dataset.file]\nurl = "url"',
}
SOURCES = """
[book]
kind = "sql"
url = "env:MARKED_URL"
map = "book.toml"
files = "env:MARKED_FILES"
[desk]
kind = "http"
map = "desk.toml"
base_url = "{url}"
auth = {{ kind = "bearer", token = "env:MARKED_TOKEN" }}
[vault]
kind = "http"
map = "vault.toml"
base_url = "{url}"
[vault.auth]
kind = "oauth2"
token_url = "{url}/token"
client_id = "env:MARKED_TOKEN"
client_secret = "env:MARKED_TOKEN"
"""


def fill_book(server: Postgres) -> str:
    """A database of the people; returns the URL of its reader, whose password is a mark, too."""
    name = server.create_database()
    engine = create_engine(server.url(name))
    people = [(f"{MARK}-{place}", address, f"{MARK} note") for place, address in enumerate(ADDRESSES)]
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLES.replace("%", "%%"))
        for person in people:
            connection.exec_driver_sql("insert into profiles values (%s, %s, %s, 'no/kanarienvogel.txt')", person)
        connection.exec_driver_sql("update profiles set note = %s where address = %s", (BLOCKED, FAILED))
        connection.exec_driver_sql(f"create role reader_{name} login password '{MARK}'")
        connection.exec_driver_sql(f"grant select on all tables in schema public to reader_{name}")
    engine.dispose()
    return server.url(name).replace("postgres@", f"reader_{name}:{MARK}@")


def write_sources(folder: Path, desk: StandIn) -> Path:
    """Write the maps and the file of sources, and let the desk answer; returns the file."""
    files = 'file = { key = "file_key" }'
    kinds = {"profiles": "string", "clashes": "string", "misread": "integer", "untimed": "datetime"}
    texts = [SQL_DATASET.format(table=t, type=kind, file=files if t == "profiles" else "") for t, kind in kinds.items()]
    (folder / "book.toml").write_text(HEAD + "".join(texts))
    (folder / "desk.toml").write_text(HEAD + "".join(map(_http_dataset, ANSWERS)))
    (folder / "vault.toml").write_text(HEAD + _http_dataset("notes"))
    path = folder / "sources.toml"
    path.write_text(SOURCES.format(url=desk.url))

    refusal = (401, JSON, {"error": "invalid_client", "error_description": MARK, MARK: MARK})
    desk.on("/token")(partial(_answered, refusal))
    for name, answer in ANSWERS.items():
        desk.on(f"/{name}/*")(partial(_answered, answer))
    return path


def _answered(answer: object, _asked: Asked) -> object:
    return answer


def _http_dataset(name: str) -> str:
    kind = "datetime" if name == "untimed" else "string"
    return HTTP_DATASET.format(name=name, type=kind, more=MORE.get(name, ""))


def forms() -> list[bytes]:
    """How a mark may be written: as it is, in base64 at each place, in hexadecimal, and as a digest without a salt."""
    mark = MARK.encode()
    shifted = [base64.b64encode(b"x" * shift + mark)[4 if shift else 0 : -4] for shift in range(3)]
    digests = [hashlib.new(kind, address.encode()) for kind in ("md5", "sha1", "sha256") for address in ADDRESSES]
    return [mark, mark.hex().encode(), *shifted, *(digest.hexdigest().encode() for digest in digests)]


def found_in(content: bytes) -> list[bytes]:
    """The surroundings of each mark, for the message of a failing test."""
    lower = content.lower()
    places = [(lower if form.islower() else content).find(form) for form in forms()]
    return [content[max(0, place - 120) : place + 60] for place in places if place >= 0]


def joined(parts: Iterable[object]) -> bytes:
    """All parts as text, or as they are."""
    return b"\n".join(part if isinstance(part, bytes) else json.dumps(part, default=str).encode() for part in parts)
