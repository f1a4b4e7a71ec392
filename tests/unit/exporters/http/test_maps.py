"""Maps of HTTP sources: every fault has its line and column, and a map with a fault is not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporters.http.source import HttpSection, exporter_of, make, open_http
from exporters.maps.reading import MapText
from portability.api import SourceDeclaration, SubjectKind
from portability.api.errors import BadMap, BadSetting
from portability.testing import MemoryFiles, SampleSources

GOOD = """title = "Desk"
role = "controller"
kinds = ["email"]
base_url = "https://desk.example.test"
values = ["account"]
[limits]
buckets = { search = "4/s" }
[[identity]]
from = "email"
get = "/users"
params = { email = "{email}" }
verify = { "email" = "email" }
gives = "desk_user"
[[links]]
name = "ids"
for_each = "desk_user"
get = "/users/{desk_user}/ids"
scoped = true
gives = "id"
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Tickets."
provenance = "provided"
for_each = "desk_user"
get = "/accounts/{account}/tickets"
params = { user = "{desk_user}", after = "{after}" }
verify = { "user" = "desk_user" }
page = { kind = "cursor", next = "next" }
[dataset.fields]
id = { text = "Identifier." }
at = { type = "datetime", text = "When." }
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "provided"
parent = "ids"
batch = 10
post = "/notes"
body = { ids = "{ids|objects:id}" }
[dataset.fields]
id = { text = "Identifier." }
"""
FAULTS = {
    "syntax": ('title = "Desk"', 'title = "Desk', "test.toml is not TOML"),
    "unknown key": ('gives = "desk_user"', 'gives = "desk_user"\ngive = 1', "test.toml:14:1: unknown key 'give'"),
    "wrong type": ("batch = 10", 'batch = "10"', "test.toml:39:1: batch: input should be a valid integer"),
    "expression": ('next = "next"', 'next = "next["', "test.toml:29:27: next: it is not JMESPath"),
    "path": ('get = "/users"\n', 'get = "users"\n', "test.toml:10:1: get: string should match pattern"),
    "two of one name": ('name = "notes"', 'name = "tickets"', "the name 'tickets' is used twice"),
    "same but for case": ('name = "notes"', 'name = "Tickets"', "the name 'Tickets' is used twice (the case of its"),
    "a name of Windows": ('name = "notes"', 'name = "com1"', "the name 'com1' is reserved by Windows"),
    "same as links": ('name = "notes"', 'name = "ids"', "test.toml:34:1: the name 'ids' is used twice"),
    "no verify": ('verify = { "user" = "desk_user" }\n', "", "tickets does not verify whose its items are"),
    "verifies nothing": ('{ "email" = "email" }', '{ "email" = "tenant" }', "12:1: no value is compared with email"),
    "unknown name": ("{desk_user}/ids", "{user}/ids", "17:1: unknown placeholder {user}; known: account, desk_user"),
    "unknown name of a file": (
        'body = { ids = "{ids|objects:id}" }\n',
        'body = { ids = "{ids|objects:id}" }\nfile = { get = "/files/{notes.id}" }\n',
        "test.toml:42:10: unknown placeholder {notes.id}; known: account, desk_user, id, tenant",
    ),
    "unknown name of a signed URL": (
        'body = { ids = "{ids|objects:id}" }\n',
        'body = { ids = "{ids|objects:id}" }\nfile = { url_from = { get = "/files/{key}", at = "url" } }\n',
        "unknown placeholder {key}; known: account, desk_user, id, tenant",
    ),
    "unknown filter": ('{ user = "{desk_user}"', '{ user = "{desk_user|raw}"', "test.toml:27:1: unknown filter 'raw'"),
    "in a grammar": ('email = "{email}"', 'email = "is:{email}"', "test.toml:11:1: {email} stands within a text"),
    "fold quotes nothing": ('email = "{email}"', 'email = "is:{email|fold}"', "{email} stands within a text"),
    "look-up in windows": (
        'gives = "desk_user"',
        'window = { at = "at", start = "2020-01-01", days = 31 }\ngives = "desk_user"',
        "test.toml:13:1: a look-up has no `window` (hits have no time: read them in pages (`page`))",
    ),
    "batch in pages": (
        'post = "/notes"\nbody = { ids = "{ids|objects:id}" }',
        'union = [{ get = "/notes", params = { ids = "{ids}" }, page = { kind = "link", next = "next" } }]',
        "a batch is one answer: it has no pages",
    ),
    "beside a union": (
        'get = "/accounts/{account}/tickets"',
        'get = "/accounts/{account}/tickets"\nunion = [{ get = "/from" }, { get = "/to" }]',
        "test.toml:26:1: `get` is not read beside `union` (each request of `union` has its own)",
    ),
    "beside values within": (
        'parent = "ids"\nbatch = 10\n',
        'parent = "tickets"\nwithin = "notes"\n',
        "test.toml:40:1: `post` is not read beside `within` (nothing is requested: remove one)",
    ),
    "a look-up with a gap": (
        'gives = "desk_user"',
        'gap_on = [404]\ngives = "desk_user"',
        "test.toml:13:1: a look-up is about one person: use `none_on`, or let it fail",
    ),
    "never the next page": (', after = "{after}"', "", "test.toml:29:1: no parameter or body contains {after}"),
    "no end": ('kind = "cursor", next = "next"', 'kind = "number"', "a page of the kind number needs an end"),
    "no next": (', next = "next"', "", "a page of the kind cursor needs `next`"),
    "key": (
        'provenance = "provided"\nfor',
        'key = ["no"]\nprovenance = "provided"\nfor',
        "the key 'no' is not a field",
    ),
    "created": (
        'provenance = "provided"\nfor',
        'created = "id"\nprovenance = "provided"\nfor',
        "is not a field of the type datetime",
    ),
    "parent": ('parent = "ids"', 'parent = "no"', "'no' is not a dataset or links of this map"),
    "circle": ('parent = "ids"', 'parent = "notes"', "or leads in a circle"),
    "two ways": (
        'parent = "ids"',
        'parent = "ids"\nfor_each = "desk_user"',
        "notes needs one of `for_each` and `parent`",
    ),
    "batch of nothing": ('parent = "ids"', 'parent = "tickets"', "a batch needs ids: links as `parent`, or `each`"),
    "a parent in a parameter": (
        'batch = 10\npost = "/notes"\nbody = { ids = "{ids|objects:id}" }',
        'get = "/notes?of={ids}"\nparams = { of = "{ids}" }',
        "test.toml:33:1: nothing ties the items of notes to ids (a source may ignore a parameter",
    ),
    "a parent in the path of one request": (
        'batch = 10\npost = "/notes"\nbody = { ids = "{ids|objects:id}" }',
        'union = [{ get = "/ids/{ids}/notes" }, { get = "/notes", params = { of = "{ids}" } }]',
        "nothing ties the items of notes to ids",
    ),
    "bucket": (
        'get = "/users"\n',
        'get = "/users"\nbucket = "x"\n',
        "test.toml:11:1: unknown bucket 'x'; known: search",
    ),
    "rate": ('"4/s"', '"4 a second"', "test.toml:7:13: a rate is written as 8/s"),
    "parent's field": (
        'title = "Notes"',
        'title = "Notes"\nkeep = [{ at = "x", equals = "parent:y" }]',
        "'parent:y' is not a field",
    ),
    "two requests": ('post = "/notes"', 'post = "/notes"\nget = "/notes"', "a request needs one of `get` and `post`"),
    "shape alone": (
        'title = "Notes"',
        'title = "Notes"\nhooks = { shape = "x" }',
        "the hook `shape` and `parts` need each other",
    ),
    "no dataset": (GOOD[GOOD.index("[[dataset]]") :], "", "the map declares no dataset"),
}


def test_the_good_map_is_good() -> None:
    """What the faults below are made of has none."""
    assert len(open_http.parse(MapText("test.toml", GOOD)).form.dataset) == 2


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_has_its_place(case: str) -> None:
    """File, line and column, what is wrong, and what is known instead."""
    old, new, message = FAULTS[case]
    assert old in GOOD

    with pytest.raises(BadMap) as caught:
        open_http.parse(MapText("test.toml", GOOD.replace(old, new, 1)))
    assert message in str(caught.value)


def open_section(tmp_path: Path, **keys: object) -> None:
    (tmp_path / "desk.toml").write_text(GOOD)
    section = {"map": "desk.toml", "values": {"account": "7"}, **keys}
    connections = SampleSources(None, MemoryFiles())  # type: ignore[arg-type]  # no database is asked
    open_http(SourceDeclaration("desk", "http", section, tmp_path), connections)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"map": 5}, "`map` is missing"),
        ({"map": "no.toml"}, "cannot read the map"),
        ({"map": "vendor:acme"}, "unknown vendor 'acme'; there are hubspot, twilio, zendesk"),
        ({"rate": "fast"}, "rate: a rate is written as"),
        ({"base_url": "http://desk.example.test"}, "base_url: it does not begin with https://"),
        ({"base_url": "env:NOT_SET"}, "base_url: env:NOT_SET is empty or not set"),
        ({"auth": {"kind": "basic", "username": "us", "password": "plain"}}, "auth.password must be a reference"),
        ({"auth": {"kind": "magic"}}, "auth"),
        ({"auth": {"kind": "bearer"}}, "auth.bearer.token: Field required"),
        ({"values": {}}, "values: the map needs account"),
        ({"values": {"account": "7", "more": "8"}}, "values: the map does not use more"),
        ({"pasword": "x"}, "pasword: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_section_starts_nothing(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    """Keys, references and rates of the file of sources are checked at the start; no value is repeated."""
    with pytest.raises((BadSetting, BadMap), match=message.replace("[", r"\[")) as caught:
        open_section(tmp_path, **keys)
    assert "plain" not in str(caught.value)
    open_section(tmp_path)


def test_a_source_without_a_tenant_has_nothing_for_contacts() -> None:
    """An identity of a tenant counts at its own source: so such a map says that it does not apply to contacts."""
    form = open_http.parse(MapText("test.toml", GOOD.replace('["email"]', '["contact", "email"]'))).form
    connections = SampleSources(None, MemoryFiles())  # type: ignore[arg-type]  # no database is asked
    for tenant, kinds in ((None, {"email"}), ("ten_1", {"contact", "email"})):
        section = HttpSection(map="x", values={"account": "7"}, tenant=tenant)
        assert exporter_of("desk", section, form, connections).subject_kinds == kinds
    only = form.model_copy(update={"kinds": frozenset({SubjectKind.CONTACT})})
    with pytest.raises(BadSetting, match="tenant is missing: the map is about contacts or tenants"):
        exporter_of("desk", HttpSection(map="x", values={"account": "7"}), only, connections)


def test_the_schema_describes_every_table() -> None:
    """Editors get the form, with the texts that say what each key means."""
    schema = open_http.schema()

    assert {"identity", "links", "dataset", "limits", "times"} <= schema["properties"].keys()
    assert "PageForm" in schema["$defs"]
    assert make is open_http.make
