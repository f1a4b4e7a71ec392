"""SQL maps are refused with the line and column of each fault: what is visible without the database."""

import tomllib
from pathlib import Path

import jsonschema
import pytest

from exporters.maps.kinds import MapKind
from exporters.maps.reading import MapText
from exporters.sql.mapped.form_faults import NAMED_TENANT, form_faults
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api.errors import BadMap

HEAD = """title = "Shop"
role = "controller"
kinds = ["user"]
"""
ORDERS = """[[dataset]]
name = "orders"
title = "Orders"
description = "What you ordered."
provenance = "provided"
table = "orders"
rows = [{ column = "user_id", identities = ["user_id"] }]
[dataset.fields]
id = { text = "Identifier." }
"""
LINES = """[[dataset]]
name = "lines"
title = "Lines"
description = "What was in the orders."
provenance = "provided"
table = "lines"
rows = [{ column = "order_id", dataset = "orders" }]
[dataset.fields]
id = { text = "Identifier." }
"""
PARTS = """
[[dataset]]
name = "calls"
title = "Calls"
description = "Calls with you."
provenance = "observed"
kinds = ["contact"]
table = "calls"
tenant = "org"
rows = [{ address = "number", identity = "phone", unlinked = "who", at = ["at"], gives = "call_key" }]
[dataset.fields]
id = { text = "Identifier." }

[[dataset]]
name = "said"
title = "Said"
description = "What was said."
provenance = "observed"
kinds = ["contact"]
table = "said"
tenant = "org"
rows = [{ column = "call", dataset = "calls", part = true }]
join = { table = "agents", here = "code", key = "agent" }
[dataset.fields]
id = { text = "Identifier." }
call = { text = "The call." }
text = { text = "What was said." }
agent = { joined = "name", text = "Who said it." }

[conversations]
title = "Calls"
description = "Calls as documents."
dataset = "calls"
spoken = "said"
shape = "call"

[people]
table = "calls"
tenant = "org"
name = "who"
addresses.phone = { column = "number", since = "at" }
"""
KIND = MapKind(SqlSourceForm, lambda *_: pytest.fail("not opened"), form_faults)


def _faults(text: str) -> list[str]:
    with pytest.raises(BadMap) as refused:
        KIND.parse(MapText("shop.toml", text))
    return str(refused.value).splitlines()


def test_a_good_map_is_parsed() -> None:
    """The defaults: the key is `id`, the order is that of the key, a field is the column of its name, and a text."""
    found = KIND.parse(MapText("shop.toml", HEAD + ORDERS + LINES)).form.dataset[1]
    assert (found.key, found.order_columns, found.column_of("id")) == (("id",), ["id"], "id")
    assert found.exact_rows[0].key == "id"


@pytest.mark.parametrize("kind", ["user_id", "staff_id"])
def test_an_account_counts_at_a_tenant_that_a_look_up_finds(kind: str) -> None:
    """A look-up that says at which tenants an account is valid makes its id one of these tenants."""
    rows = f'table = "orders"\ntenant = "org"\nrows = [{{ column = "user_id", identities = ["{kind}"] }}]'
    found = f"""[[identity]]
table = "members"
from = "user_id"
column = "user"
value = "user"
gives = "{kind}"
tenant = "org"
verified = true
"""
    of_tenant = ORDERS.partition("table")[0] + rows + ORDERS.partition("}]")[2]
    assert KIND.parse(MapText("shop.toml", HEAD + found + of_tenant)).form.dataset[0].tenant == "org"


FOUND = """[[identity]]
table = "members"
from = "user_id"
column = "user"
value = "id"
gives = "member"
tenant = "org"
verified = true
[[identity]]
table = "links"
from = "member"
column = "member"
value = "file"
gives = "file"
verified = true
"""


def test_what_is_valid_at_a_tenant_leads_to_its_rows_alone() -> None:
    """A look-up or a way that names no tenant finds nothing by an identity of one tenant: it is refused."""
    by_member = ORDERS.replace('identities = ["user_id"]', 'identities = ["member"]')
    assert _faults(HEAD + FOUND + by_member) == [
        f"shop.toml:{fault} ({NAMED_TENANT})"
        for fault in (
            "14:1: a 'member' is valid at one tenant, and no column names the tenant: nothing is found",
            "25:31: no row of 'orders' has a member of the whole platform: it is valid at one tenant",
        )
    ]


def test_the_example_of_the_page_is_a_map() -> None:
    """docs/maps.md shows a map that is only refused for the dataset that it leaves out."""
    page = (Path(__file__).parents[5] / "docs" / "maps.md").read_text()
    example = page.split("## SQL maps")[1].split("```toml\n")[1].split("```")[0]
    assert _faults(example) == [
        "shop.toml:27:28: unknown dataset 'accounts' (datasets of this map: opportunities)",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('name = "lines"', 'name = "orders"', "14:1: two datasets have the name 'orders'"),
        ('name = "lines"', 'name = "Orders"', "14:1: two datasets have the name 'Orders' (the case of its letters"),
        ('title = "Orders"', 'title = " "', "6:1: title: a text has a character other than a blank"),
        ('title = "Orders"', 'title = "O\\u0000"', "6:1: title: a text has a character other than a blank, no NUL"),
        ('name = "lines"', 'name = "CON"', "14:1: the name 'CON' is reserved by Windows"),
        ('dataset = "orders"', 'dataset = "order"', "19:32: unknown dataset 'order'"),
        ('dataset = "orders"', 'dataset = "lines"', "19:32: datasets lead to each other: lines -> lines"),
        ("[dataset.fields]", 'undecided = ["id"]\n[dataset.fields]', "11:1: the column 'id' is named twice"),
        ("[dataset.fields]", 'key = ["number"]\n[dataset.fields]', "11:1: the key names 'number'"),
        (
            "[dataset.fields]",
            'order = ["edited", "id"]\nchanged = "edited"\n[dataset.fields]',
            "11:1: the order contains 'edited', which changes",
        ),
        ('kinds = ["user"]', 'kinds = ["user", "tenant"]', "5:1: a tenant gets no row of 'orders'"),
        ('kinds = ["user"]', 'kinds = ["user", "contact"]', "5:1: a contact gets no row of 'orders'"),
        (
            'rows = [{ column = "user_id", identities = ["user_id"] }]',
            "",
            "5:1: no row of 'orders' belongs to a person (user)",
        ),
        ('dataset = "orders"', 'dataset = "orders", identities = ["x"]', "19:1: rows: write exactly one of"),
        (
            '{ column = "order_id", dataset = "orders" }',
            '{ column = "order_id", dataset = "orders" }, { column = "order_id", dataset = "orders" }',
            "19:56: the same path is named twice",
        ),
        (
            'identities = ["user_id"]',
            'identities = ["user_id"], within = "tenant"',
            "10:57: 'orders' names no tenant",
        ),
        (
            'table = "orders"',
            'table = "orders"\ntenant = "org"',
            "11:31: no row of 'orders' has a user_id of its tenant",
        ),
        ('id = { text = "Identifier." }', 'id = { text = "I.", keys = ["/a"] }', "12:1: only an object has `keys`"),
        ('id = { text = "Identifier." }', 'id = { text = "I.", person = "staff" }', "12:21: only a text or object"),
        (
            "[dataset.fields]",
            'disclosures = { recipient = "to" }\n[dataset.fields]',
            "11:17: 'to' is not a field of texts",
        ),
    ],
)
def test_faults(old: str, new: str, fault: str) -> None:
    """Each fault is reported at its key; the last dataset of the map below begins in line 13."""
    text = HEAD + ORDERS + LINES
    at = text.index(old) if old in ORDERS or old in HEAD else text.rindex(old)
    changed = text[:at] + new + text[at + len(old) :]
    assert any(line.startswith(f"shop.toml:{fault}") for line in _faults(changed)), _faults(changed)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("gives =", "give =", "13:82: unknown key 'give'"),
        (', gives = "call_key"', "", "13:1: the key 'gives' is missing"),
        ('identity = "phone"', 'identity = "post"', "13:31: identity: input should be 'email' or 'phone'"),
        ("at = [", "at = [], when = [", "13:69: at: tuple should have at least 1 item"),
        ('[people]\ntable = "calls"', '[people]\ntable = "folk"', "41:1: the table 'folk' is not that of a dataset"),
        ('address = "number", identity', 'sole_address = "number", identity', "13:74: unknown key 'at'"),
        ("part = true", 'part = true, only_if_null = "x"', "25:47: a `part` names a row of another dataset"),
        ('dataset = "calls", part', 'dataset = "said", part', "25:46: a `part` belongs to a row of another table"),
        ('table = "agents"', 'table = "said"', "26:10: 'said' is the table of the dataset itself"),
        ('table = "agents"', 'table = "calls"', "26:10: 'calls' is the table of the row"),
        ("join = {", "x = {", "26:1: unknown key 'x'"),
        ('dataset = "calls"\nspoken', 'dataset = "call"\nspoken', "36:1: unknown dataset 'call'"),
        ('spoken = "said"', 'spoken = "calls"', "37:1: 'calls' is not a part with a field `text`"),
        ('call = { text = "The call." }', "", "36:1: all parts of 'calls' name it by a field"),
        (
            "part = true",
            'part = true, where = [{ column = "at", null = true }]',
            "25:47: a `part` has no conditions of its own",
        ),
        ('name = "said"', 'name = "vcon"', "36:1: the conversations are the dataset 'vcon'"),
    ],
)
def test_faults_of_addresses_and_parts(old: str, new: str, fault: str) -> None:
    """Each fault is at its key, also within the alternatives of `rows`."""
    text = HEAD.replace('kinds = ["user"]', 'kinds = ["contact"]') + PARTS
    KIND.parse(MapText("shop.toml", text))
    changed = text.replace(old, new, 1)
    assert changed != text
    assert any(line.startswith(f"shop.toml:{fault}") for line in _faults(changed)), _faults(changed)


CHANGES = '[changes]\ndatasets = ["calls", "said"]\noutbox = { table = "outbox", at = "at" }\n'


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('datasets = ["calls", "said"]', 'datasets = ["call"]', "46:1: unknown dataset 'call'"),
        ('datasets = ["calls", "said"]', 'datasets = ["said"]', "46:1: said: its rows are parts of rows of 'calls'"),
        ('datasets = ["calls", "said"]', 'datasets = ["vcon"]', "46:1: unknown dataset 'vcon'"),
        (', at = "at"', "", "47:1: outbox: write `transaction`, or `at`"),
        ('at = "at" }', 'at = "at", names = { x = ["y"] } }', "'x' is not among the datasets of the changes"),
        ('outbox = { table = "outbox", at = "at" }', "", "46:1: calls: without an outbox it needs `changed`"),
        ('call = { text = "The call." }', 'call = { type = "date", text = "When." }', "call"),
    ],
)
def test_changes_are_checked(old: str, new: str, fault: str) -> None:
    """A dataset whose changes cannot be stated is left out by the operator, who learns why."""
    text = HEAD + PARTS + CHANGES
    if fault == "call":
        text, fault = text.replace('table = "said"', 'key = ["call"]\ntable = "said"'), "the field 'call' of its key"
    assert old in text
    assert any(fault in found for found in _faults(text.replace(old, new))), _faults(text.replace(old, new))


@pytest.mark.parametrize(("key", "missing"), [("address", "people"), ("sole_address", "accounts")])
def test_addresses_need_to_be_someones(key: str, missing: str) -> None:
    """A way by an address needs the table of people or of accounts; without it, no address would ever lead to a row."""
    more = ', at = ["at"], gives = "order_key"' if key == "address" else ""
    way = f'{{ {key} = "mail", identity = "email", unlinked = "user_id"{more} }}'
    text = HEAD + ORDERS.replace("rows = [", f"rows = [{way}, ")
    assert f"the map states no {missing} (write [{missing}])" in "".join(_faults(text))


@pytest.mark.parametrize("name", ["statement_timeout", "app.x; drop table users", "role"])
def test_a_setting_of_the_server_is_refused(name: str) -> None:
    """A map may only set settings of an application: others could end the transaction's protection."""
    assert "shop.toml:5:" in _faults(f'{HEAD}[session]\nset = {{ "{name}" = "x" }}\n{ORDERS}')[0]


def test_the_schema_describes_maps() -> None:
    """The JSON Schema accepts what the form accepts, and refuses an unknown key."""
    schema = dict(KIND.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    checker.validate(tomllib.loads(HEAD + ORDERS + LINES))
    assert not checker.is_valid(tomllib.loads(HEAD + ORDERS.replace("table =", "tabel =")))
