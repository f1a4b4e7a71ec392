"""Values of answers in every type and notation that interfaces write: each counts as what it says, or is named."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from http_sources import Asked, StandIn, batches_of, ids_of, open_source, person, records_of, resolved, stand_in

from exporters.maps import times
from portability.api import JSON, Batch, File, RowRemark, Selection
from portability.api.errors import BadMap, SourceRefused

SHOP = """
title = "Shop"
role = "controller"
kinds = ["user", "email"]

[[identity]]
from = "email"
get = "/customers"
items = "customers"
verify = { "mail" = "email" }
verified = "confirmed"
gives = "customer"

[[dataset]]
name = "orders"
title = "Orders"
description = "What you ordered."
provenance = "provided"
for_each = "customer"
get = "/orders"
params = { after = "{after}" }
items = "orders"
verify = { "owner" = "customer" }
page = { kind = "cursor", next = "next", more = "more || `false`" }
deleted = "gone"
[dataset.fields]
id = { text = "Identifier." }
"""
CUSTOMER = {"id": 7, "mail": "ann@example.test", "confirmed": True}


@pytest.fixture
def shop() -> Iterator[StandIn]:
    with stand_in() as server:
        server.on("/customers")(lambda _asked: {"customers": [CUSTOMER]})
        yield server


def sells(shop: StandIn, *orders: dict[str, Any], **more: Any) -> None:
    """One page of orders."""
    shop.on("/orders")(lambda _asked: {"orders": list(orders), **more})


def orders_of(shop: StandIn, text: str = SHOP) -> list[Any]:
    """The ids of the orders that the person gets."""
    exporter = open_source(text, shop.url)
    return [
        record["id"]
        for batch in batches_of(exporter, "orders", resolved(exporter, person()))
        for record in batch.records
    ]


YES = [True, 1, "true", "True", "1", "yes", "2026-10-01T10:00:00Z", 1790848800]
NO = [False, None, 0, 0.0, "", " ", "false", "FALSE", "0", "no", "null", "0000-00-00 00:00:00", "0000-00-00T00:00:00Z"]


@pytest.mark.parametrize(("value", "is_proved"), [*((one, True) for one in YES), *((one, False) for one in NO)])
def test_an_address_is_proved_only_by_a_value_that_says_so(shop: StandIn, value: Any, *, is_proved: bool) -> None:
    """An address that anyone may have entered selects nothing, however the source writes that it is not proved."""
    shop.on("/customers")(lambda _asked: {"customers": [{**CUSTOMER, "confirmed": value}]})
    sells(shop, {"id": "a", "owner": 7})

    assert orders_of(shop) == (["a"] if is_proved else [])


@pytest.mark.parametrize(("value", "is_gone"), [*((one, True) for one in YES), *((one, False) for one in NO)])
def test_a_record_is_deleted_only_by_a_value_that_says_so(shop: StandIn, value: Any, *, is_gone: bool) -> None:
    """The same values say whether the source has marked a record as deleted."""
    sells(shop, {"id": "a", "owner": 7, "gone": value})
    exporter = open_source(SHOP, shop.url)
    (batch,) = batches_of(exporter, "orders", resolved(exporter, person()))

    assert batch.remarks == ({RowRemark.SOFT_DELETED: [0]} if is_gone else {})


@pytest.mark.parametrize(("value", "expected"), [*((one, ["a", "b"]) for one in YES), *((one, ["a"]) for one in NO)])
def test_a_list_goes_on_while_a_value_says_so(shop: StandIn, value: Any, expected: list[str]) -> None:
    """A list ends where `more` says no: the page behind the end may be the first again."""
    pages = {
        "": {"orders": [{"id": "a", "owner": 7}], "next": "2", "more": value},
        "2": {"orders": [{"id": "b", "owner": 7}], "more": False},
    }
    shop.on("/orders")(lambda asked: pages[asked.query.get("after", "")])

    assert orders_of(shop) == (expected)


OWNERS = [7, "7", 7.0, [7], ["x", 7], [None, 7.0]]
OTHERS = [8, "07", "7.0", " 7", 70, -7, None, False, True, [], [8], [None], "", 9007199254740993]


@pytest.mark.parametrize(("owner", "is_own"), [*((one, True) for one in OWNERS), *((one, False) for one in OTHERS)])
def test_an_owner_is_the_same_number_or_text(shop: StandIn, owner: Any, *, is_own: bool) -> None:
    """A number is the same id with and without a point and as text; no other notation and no other type is."""
    sells(shop, {"id": "a", "owner": owner})

    assert orders_of(shop) == (["a"] if is_own else [])


@pytest.mark.parametrize("owner", [{"id": 7}, {}, 7.5, [{"id": 7}], [[7]], 9007199254740992.0 * 4, b"7e99"])
def test_an_owner_that_can_be_no_id_is_a_refusal(shop: StandIn, owner: Any) -> None:
    """A source that nests its owners now, or rounds them, would leave the person with an empty list and no gap."""
    written = owner if isinstance(owner, bytes) else json.dumps(owner).encode()
    shop.on("/orders")(lambda _asked: (200, {}, b'{"orders": [{"id": "a", "owner": ' + written + b"}]}"))

    with pytest.raises(SourceRefused, match=r"orders: .* form than the map says: owner: a value is neither text nor"):
        orders_of(shop)


def test_an_owner_that_no_item_has_is_a_refusal(shop: StandIn) -> None:
    """A source that has renamed the owner would leave out all orders without a word. An owner of null is no one."""
    sells(shop, {"id": "a", "owner_id": 7}, {"id": "b", "owner_id": 7})

    with pytest.raises(SourceRefused, match=r"^orders: an answer .*: no item has what `verify` names: owner"):
        orders_of(shop)
    sells(shop, {"id": "a", "owner": None}, {"id": "b"})
    assert orders_of(shop) == []
    sells(shop)
    assert orders_of(shop) == []
    sells(shop, {"id": "a", "by": 7}, {"id": "b", "owner_id": 7})
    assert orders_of(shop, SHOP.replace('"owner" = "customer"', '"owner || by" = "customer"')) == ["a"]


@pytest.mark.parametrize(("stated", "expected"), [(7, "7"), ("7", "7"), (7.0, "7"), ("A", "A"), (2**63, f"{2**63}")])
def test_a_person_is_found_by_an_id_of_any_notation(shop: StandIn, stated: Any, expected: str) -> None:
    """An identifier that is written with a point is the same identifier."""
    shop.on("/customers")(lambda _asked: {"customers": [{**CUSTOMER, "id": stated}]})

    assert [one.value for one in open_source(SHOP, shop.url).identities(person())] == [expected]


@pytest.mark.parametrize("stated", [None, "", True, 7.5, {"id": 7}, [7], 2.0**60])
def test_a_person_without_an_id_is_a_refusal(shop: StandIn, stated: Any) -> None:
    """The source has the person: an export without a word would say that it has nothing of them."""
    shop.on("/customers")(lambda _asked: {"customers": [{**CUSTOMER, "id": stated}]})

    with pytest.raises(SourceRefused, match=r"look-up by email: .* id: a hit has no identifier that is text"):
        open_source(SHOP, shop.url).identities(person())


LINES = """
[[dataset]]
name = "lines"
title = "Lines"
description = "Lines of your orders."
provenance = "provided"
parent = "orders"
get = "/lines"
items = "lines"
verify = { "buyer" = "orders.buyer" }
[dataset.fields]
id = { text = "Identifier." }
"""


@pytest.mark.parametrize("buyer", [None, ""])
def test_a_parent_without_a_value_verifies_nothing(shop: StandIn, buyer: Any) -> None:
    """What is empty names no one: the lines of all orders without a buyer are not those of this order."""
    text = SHOP + 'buyer = { text = "Who pays." }\n' + LINES
    sells(shop, {"id": "a", "owner": 7, "buyer": buyer})
    shop.on("/lines")(
        lambda _asked: {"lines": [{"id": n, "buyer": one} for n, one in enumerate(["None", "", None, "null", 0])]}
    )
    exporter = open_source(text, shop.url)

    assert batches_of(exporter, "lines", resolved(exporter, person())) == []


@pytest.mark.parametrize(("stated", "tenant"), [("t", "t"), (5, "5"), (5.0, "5"), (None, None), ("", None)])
def test_a_tenant_of_a_hit_is_the_same_number_or_text(shop: StandIn, stated: Any, tenant: str | None) -> None:
    """A hit that names no tenant has none, and none of the name None."""
    shop.on("/customers")(lambda _asked: {"customers": [{**CUSTOMER, "org": stated}]})
    text = SHOP.replace('gives = "customer"', 'gives = "customer"\ntenant = "org"')

    assert [one.tenant for one in open_source(text, shop.url).identities(person())] == [tenant]


@pytest.mark.parametrize("stated", [True, {"id": "t"}, ["t"], 5.5])
def test_a_tenant_that_can_be_no_id_is_a_refusal(shop: StandIn, stated: Any) -> None:
    """A tenant in another form is not the absence of a tenant, which would let the hit count everywhere."""
    shop.on("/customers")(lambda _asked: {"customers": [{**CUSTOMER, "org": stated}]})
    text = SHOP.replace('gives = "customer"', 'gives = "customer"\ntenant = "org"')

    with pytest.raises(SourceRefused, match="org: a tenant is neither text nor integer"):
        open_source(text, shop.url).identities(person())


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("page", ['kind = "cursor", next = "next"', 'kind = "link", next = "next"'])
def test_a_later_page_that_is_not_found_ends_no_list(shop: StandIn, page: str, status: int) -> None:
    """404 means "no orders" of a person. Of a page that the source has named it means that the token has expired."""
    pages = {
        "": {"orders": [{"id": "a", "owner": 7}], "next": "/orders?after=2"},
        "/orders?after=2": {"orders": [{"id": "b", "owner": 7}], "next": None},
    }
    pages["2"] = pages["/orders?after=2"]
    refusals = iter([status])

    def answer(asked: Asked) -> Any:
        place = asked.query.get("after", "")
        refused = next(refusals, None) if place else None
        return pages[place] if refused is None else (refused, {}, {})

    shop.on("/orders")(answer)
    text = SHOP.replace('kind = "cursor", next = "next", more = "more || `false`"', page)
    text = text.replace('items = "orders"', 'items = "orders"\nnone_on = [400, 404, 410]')

    assert orders_of(shop, text) == ["a", "b"]


IMAGE = bytes(range(256)) * 3


def images(shop: StandIn, content: Any) -> File:
    """The only file of the only order, whose content is within JSON."""
    sells(shop, {"id": "a", "owner": 7})
    shop.on("/images/a")(lambda _asked: {"data": content})
    text = SHOP.replace("[dataset.fields]", '[dataset.file]\nget = "/images/{id}"\ncontent = "data"\n[dataset.fields]')
    exporter = open_source(text, shop.url)
    (batch,) = batches_of(exporter, "orders", resolved(exporter, person()))
    return batch.files[0]


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode,
        base64.urlsafe_b64encode,
        base64.encodebytes,
        lambda one: base64.urlsafe_b64encode(one).rstrip(b"="),
    ],
)
@pytest.mark.parametrize("content", [b"", b"a", IMAGE, IMAGE[1:], IMAGE[2:]])
def test_a_file_in_either_base64_has_its_bytes(
    shop: StandIn, written: Callable[[bytes], bytes], content: bytes
) -> None:
    """Gmail writes files in the alphabet for URLs; a decoder that skips its letters gives other bytes."""
    assert b"".join(images(shop, written(content).decode()).open(0)) == content


@pytest.mark.parametrize("content", ["YQ==YQ==", "YW=E", "YW!FhYWE", "YWFhY", "\u00e4YWE", "data:;base64,YWFh"])
def test_other_letters_are_no_base64(shop: StandIn, content: str) -> None:
    """A content that is not base64 is a gap, never a file of other bytes."""
    with pytest.raises(SourceRefused, match=r"^orders/a: the content is not base64$"):
        list(images(shop, content).open(0))


@pytest.mark.parametrize("content", [None, {"text": "YQ=="}, 5, True, ["YQ=="]])
def test_a_file_without_content_is_not_empty(shop: StandIn, content: Any) -> None:
    """A source that has renamed the content gave empty files."""
    with pytest.raises(SourceRefused, match=r"^orders/a: the answer has no content of the file$"):
        list(images(shop, content).open(0))


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("equals = true", [True, 1, 1.0, "true", "True", "1", False, 0, None, ""], [0, 1, 2, 3, 4, 5]),
        ("equals = false", [True, 1, "true", False, 0, 0.0, "false", "FALSE", "0", None], [3, 4, 5, 6, 7, 8]),
        ("equals = 7", [7, "7", 7.0, [7], 8, "07", 7.5, True, None], [0, 1, 2, 3]),
        ('equals = "7"', [7, "7", 7.0, 70, "x"], [0, 1, 2]),
        ("equals = 1", [1, "1", 1.0, True, 0, False], [0, 1, 2, 3]),
        ('among = ["7", "x"]', [7, "7", 7.0, "x", "X", 8, None, {}], [0, 1, 2, 3]),
        ("among = [7, 8]", [7, "7", 7.0, "8", 9, True], [0, 1, 2, 3]),
        ('equals = "parent:id"', ["a", "A", 7, None, "None"], [0]),
        ('equals = "parent:buyer"', ["a", "None", "null", "", None], []),
    ],
)
def test_a_condition_fits_every_notation_of_a_value(
    shop: StandIn, condition: str, values: list[Any], expected: list[int]
) -> None:
    """A record that the map wants comes, whether its source writes a number, a text or a boolean."""
    text = SHOP + 'buyer = { text = "Who pays." }\n' + LINES.replace('verify = { "buyer" = "orders.buyer" }\n', "")
    text = text.replace('items = "lines"', f'items = "lines"\nscoped = true\nkeep = [{{ at = "state", {condition} }}]')
    sells(shop, {"id": "a", "owner": 7, "buyer": None})
    shop.on("/lines")(lambda _asked: {"lines": [{"id": n, "state": one} for n, one in enumerate(values)]})
    exporter = open_source(text, shop.url)
    batches = batches_of(exporter, "lines", resolved(exporter, person()))

    assert [int(str(one["id"])) for batch in batches for one in batch.records] == expected


@pytest.mark.parametrize("value", ["yes", "internal", 2, {"is": True}])
def test_a_condition_on_a_boolean_refuses_other_values(shop: StandIn, value: Any) -> None:
    """A source that has words now, where the map says true: its records are refused, not missing without a word."""
    text = SHOP.replace("[dataset.fields]", 'keep = [{ at = "shown", equals = true }]\n[dataset.fields]')
    sells(shop, {"id": "a", "owner": 7, "shown": value})

    with pytest.raises(SourceRefused, match="shown: a value is neither true nor false"):
        orders_of(shop, text)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland"])
@pytest.mark.parametrize("form", ["pattern:%Y-%m-%d", "pattern:%Y-%m-%d %H:%M", "rfc3339", "epoch_seconds", "epoch_ms"])
@pytest.mark.parametrize("has_last", [False, True])
def test_windows_have_no_space_between_them(shop: StandIn, zone: str, form: str, *, has_last: bool) -> None:
    """Each order of 2026 comes once, by every format and zone, whether `until` is exclusive or inclusive."""
    local = ZoneInfo(zone)
    bought = [datetime(2026, 1, 1, tzinfo=local) + timedelta(hours=5 * n) for n in range(300)]
    items = [{"id": n, "owner": 7, "at": one.astimezone(UTC).isoformat()} for n, one in enumerate(bought)]

    def answer(asked: Asked) -> Any:
        since, until = (times.parse(asked.query[name], form, zone) for name in ("since", "until"))
        found = zip(items, bought, strict=True)
        return {"orders": [item for item, at in found if since <= at < until or (has_last and at == until)]}

    shop.on("/orders")(answer)
    window = f'window = {{ at = "at", start = "2026-01-01", days = 31, format = "{form}" }}'
    text = SHOP.replace('page = { kind = "cursor", next = "next", more = "more || `false`" }', window)
    text = text.replace('{ after = "{after}" }', '{ since = "{since}", until = "{until}" }')
    text = text.replace("[[identity]]", f'[times]\nzone = "{zone}"\n[[identity]]', 1)

    assert orders_of(shop, text) == [str(n) for n in range(300)]


PICTURES = """
[[dataset]]
name = "pictures"
title = "Pictures"
description = "Pictures of your orders."
provenance = "provided"
parent = "orders"
each = "picture_ids"
get = "/pictures"
params = { ids = "{ids}" }
items = "pictures"
none_on = [404]
KEY
[dataset.fields]
id = { text = "Identifier." }
order_id = { at = "parent:id", text = "Its order." }
side = { text = "The side of the product." }
"""


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ('key = ["id"]', ["pictures/4", "pictures/6"]),
        ('key = ["order_id", "id"]', ["pictures/5-4", "pictures/5-6"]),
        ('key = ["id", "side", "order_id"]', ["pictures/4", "pictures/6"]),
    ],
)
@pytest.mark.parametrize("batch", ["scoped = true\n", "batch = 3\n"])
def test_a_missing_record_is_a_gap_whatever_its_key_is(shop: StandIn, batch: str, key: str, names: list[str]) -> None:
    """A record that two orders may share has the order in its key, as docs/maps-http.md advises: it is missed, too."""
    known = {"5": {"id": 5, "side": "left"}}

    def answer(asked: Asked) -> Any:
        found = [known[one] for one in asked.query["ids"].split(",") if one in known]
        return {"pictures": found} if found else (404, {}, {})

    sells(shop, {"id": 5, "owner": 7, "picture_ids": [4, 5, "6"]})
    shop.on("/pictures")(answer)
    exporter = open_source(SHOP + PICTURES.replace("KEY", batch + key), shop.url)
    (batch_read,) = batches_of(exporter, "pictures", resolved(exporter, person()))

    assert [(gap.what, gap.reason) for gap in batch_read.gaps] == [(name, "missing") for name in names]
    assert [(one["order_id"], one["id"]) for one in batch_read.records] == [("5", "5")]


@pytest.mark.parametrize("key", ['key = ["id"]', 'key = ["order_id", "id"]'])
def test_a_batch_gives_only_what_was_asked_for(shop: StandIn, key: str) -> None:
    """A source that ignores a parameter it does not know answers with pictures of all people."""
    sells(shop, {"id": 5, "owner": 7, "picture_ids": [4, 5, "6"]})
    shop.on("/pictures")(lambda _asked: {"pictures": [{"id": number, "side": "left"} for number in (9, 5, 8, 4)]})
    exporter = open_source(SHOP + PICTURES.replace("KEY", "batch = 3\n" + key), shop.url)
    (batch_read,) = batches_of(exporter, "pictures", resolved(exporter, person()))

    assert [one["id"] for one in batch_read.records] == ["5", "4"]
    assert [gap.reason for gap in batch_read.gaps] == ["missing"]


def test_a_batch_that_is_compared_with_nothing_is_refused(shop: StandIn) -> None:
    """A key of the parent's fields alone has no id that was asked for: a source may answer with those of all people."""
    written = SHOP + PICTURES.replace("KEY", 'batch = 3\nkey = ["order_id"]')
    with pytest.raises(BadMap, match="nothing ties the items of pictures to orders"):
        open_source(written, shop.url)


@pytest.mark.parametrize("tie", ["scoped = true", 'verify = { "order" = "orders.id" }'])
def test_the_only_record_of_a_parent_is_missed(shop: StandIn, tie: str) -> None:
    """Its key has the parent's fields alone: an answer without it is a gap, and an answer with it has no gap."""
    sells(shop, {"id": 5, "owner": 7, "picture_ids": [4]}, {"id": 6, "owner": 7, "picture_ids": [8]})
    shop.on("/pictures")(lambda asked: {"pictures": [{"id": 4, "order": 5}] if asked.query["ids"] == "4" else []})
    written = SHOP + PICTURES.replace("KEY", f'batch = 3\nkey = ["order_id"]\n{tie}')
    exporter = open_source(written, shop.url)
    found = batches_of(exporter, "pictures", resolved(exporter, person()))

    assert [(gap.what, gap.reason) for batch in found for gap in batch.gaps] == [("pictures/6", "missing")]
    assert [one["order_id"] for batch in found for one in batch.records] == ["5"]


def test_a_batch_whose_items_are_verified_may_have_other_ids(shop: StandIn) -> None:
    """A record that was merged into another comes with the id of the other: `verify` says whose it is."""
    sells(shop, {"id": 5, "owner": 7, "picture_ids": [4]})
    shop.on("/pictures")(lambda _asked: {"pictures": [{"id": 8, "order": 5}, {"id": 9, "order": 6}]})
    verify = 'batch = 3\nverify = { "order" = "orders.id" }'
    exporter = open_source(SHOP + PICTURES.replace("KEY", verify), shop.url)

    assert ids_of(records_of(exporter, "pictures")) == ["8"]


AS_WRITTEN: dict[str, dict[str, JSON]] = {
    "integer": {"7": 7, '"7"': 7, '" -7 "': -7, "7.0": 7, "1e2": 100, str(2**64): 2**64, '""': None, "null": None},
    "number": {"7": 7, '"7.5"': 7.5, "1e2": 100.0, '"1e2"': 100.0, "-0.0": -0.0},
    "decimal": {"7.10": "7.10", '"7.10"': "7.10", "1e2": "100", '".5"': "0.5", "7": "7"},
    "boolean": {"true": True, '"False"': False, "1": True, "0.0": False},
    "date": {
        '"2026-10-01"': "2026-10-01",
        '"2026-10-01T23:59:59.123-05:00"': "2026-10-01",
        '"2026-10-01 10:00:00 +0200"': "2026-10-01",
        '"2026-10-01 10:00 UTC"': "2026-10-01",
    },
    "object": {"[" * 201 + "]" * 201: json.loads("[" * 201 + "]" * 201), '{"a": 0.5}': {"a": 0.5}},
}
OTHER_TYPES = {
    "string": ["true", "[]", "{}", r'"\ud800"'],
    "integer": ["true", "7.5", '"7.5"', '"1_000"', '"\u0661\u0662"', '"x"', "[]", '"Infinity"'],
    "number": ["true", '"1_000"', '"\u0661"', '"NaN"', "[0, [1, 2], -1]", "{}", str(2**53 + 1), "1e400"],
    "decimal": ["true", '"1_000"', '"\u0661"', '"NaN"', "[0, [1, 2], -1]", '"1,5"', "1e999999"],
    "boolean": ["2", '"yes"', "[]", "{}"],
    "date": [
        "1790848800",
        "true",
        '"2026-10-01/2026-10-05"',
        '"2026-10-011"',
        '"2026-10-01 to 2026-10-05"',
        '"1.10.2026"',
        "[]",
    ],
    "object": ["[" * depth + "]" * depth for depth in (202, 260, 500, 900)],
}
OTHER_TIMES = {
    "rfc3339": ["1790848800", "true", '"yesterday"', "[]", "{}"],
    "rfc2822": ["1790848800", "true", "7.5", '"yesterday"', "[]", "{}"],
    "pattern:%Y": ["2026", "true", '"2026-10"', "[]", "{}"],
    "epoch_seconds": ["true", '"1_0"', '"nan"', "1e400", "1e999999", "1790848800000", '"2026-10-01"', "[]", "{}"],
    "epoch_ms": ["true", '"1_0"', '"nan"', "1e400", '"2026-10-01"', "[]", "{}"],
}


def order_with(shop: StandIn, written: str, field: str) -> Batch:
    """The batch with an order whose field `value` has a JSON text."""
    shop.on("/orders")(lambda _asked: (200, {}, b'{"orders": [{"id": 1, "owner": 7, "value": %s}]}' % written.encode()))
    exporter = open_source(SHOP + f'value = {{ text = "A value.", {field} }}\n', shop.url)
    (batch,) = batches_of(exporter, "orders", resolved(exporter, person()))
    return batch


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [(kind, written, value) for kind, values in AS_WRITTEN.items() for written, value in values.items()],
)
def test_a_value_that_fits_is_delivered(shop: StandIn, kind: str, written: str, expected: JSON) -> None:
    """Numbers in texts, whole numbers with a point, days of times: they fit the declared type."""
    batch = order_with(shop, written, f'type = "{kind}"')

    assert (batch.records[0]["value"], batch.gaps) == (expected, ())


@pytest.mark.parametrize(
    ("field", "written"),
    [
        *((f'type = "{kind}"', written) for kind, values in OTHER_TYPES.items() for written in values),
        *((f'type = "datetime", time = "{form}"', one) for form, values in OTHER_TIMES.items() for one in values),
    ],
)
def test_a_value_that_does_not_fit_is_a_gap(shop: StandIn, field: str, written: str) -> None:
    """A value of any other type and form is a gap that names it: nothing is guessed, and nothing ends the reading."""
    batch = order_with(shop, written, field)

    assert batch.records == [{"id": "1", "value": None}]
    assert [(gap.what, gap.reason) for gap in batch.gaps] == [("orders/1/value", "not_json")]


@pytest.mark.parametrize(
    ("form", "written", "expected"),
    [
        ("epoch_seconds", "1790848800.9999999", "2026-10-01T10:00:00.999999Z"),
        ("epoch_seconds", '"1790848800.25"', "2026-10-01T10:00:00.250000Z"),
        ("epoch_seconds", "-0.5", "1969-12-31T23:59:59.500000Z"),
        ("epoch_ms", "1790848800123.4567", "2026-10-01T10:00:00.123456Z"),
        ("epoch_ms", "253402300799999", "9999-12-31T23:59:59.999000Z"),
    ],
)
def test_digits_of_a_time_are_cut_behind_six(shop: StandIn, form: str, written: str, expected: str) -> None:
    """A time is not rounded to a second in which it was not."""
    assert order_with(shop, written, f'type = "datetime", time = "{form}"').records[0]["value"] == expected


@pytest.mark.parametrize(
    ("form", "written", "expected"),
    [
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00 +0100", "2026-11-24T07:30:00.000000Z"),
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00 EST", "2026-11-24T13:30:00.000000Z"),
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00 -0000", "2026-11-24T08:30:00.000000Z"),
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00", "2026-11-24T01:30:00.000000Z"),
        ("rfc2822", "Tue, 24 Nov 2026 08:30", "2026-11-24T01:30:00.000000Z"),
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00 CET", None),
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00 +01:00", None),
        ("rfc2822", "Tue, 24 Nov 2026 08:30:00 UTC+1", None),
        ("rfc2822", "Tue, 24 Nov 2026 08:30 PM +0000", None),
        ("pattern:%Y-%m-%d %H:%M %Z", "2026-11-24 08:30 UTC", "2026-11-24T08:30:00.000000Z"),
        ("pattern:%Y-%m-%d %H:%M %Z", "2026-11-24 08:30 gmt", "2026-11-24T08:30:00.000000Z"),
        ("pattern:%Y-%m-%d %H:%M %Z", "2026-11-24 08:30 CET", None),
        ("pattern:%Y-%m-%d %H:%M %z", "2026-11-24 08:30 +0100", "2026-11-24T07:30:00.000000Z"),
    ],
)
def test_a_zone_that_a_time_states_is_read_or_the_time_is_a_gap(
    shop: StandIn, form: str, written: str, expected: str | None
) -> None:
    """The zone of the source, here 7 hours ahead of UTC, is for times that state none: no time is hours away."""
    sells(shop, {"id": "a", "owner": 7, "at": written})
    text = SHOP.replace("[[identity]]", f'[times]\nformat = "{form}"\nzone = "Asia/Jakarta"\n\n[[identity]]')
    exporter = open_source(f'{text}at = {{ type = "datetime", text = "When." }}\n', shop.url)
    (batch,) = batches_of(exporter, "orders", resolved(exporter, person()))

    assert batch.records[0]["at"] == expected
    assert [one.fields for one in batch.gaps] == ([] if expected else [("at",)])


@pytest.mark.parametrize(
    ("expression", "written", "expected"),
    [
        ("to_number(amount)", "7.5", "7.5"),
        ("to_number(amount)", '"7.10"', "7.10"),
        ("to_number(amount)", '"12345678901234567.89"', "12345678901234567.89"),
        ("to_number(amount)", '"007"', "7"),
        ("to_number(amount)", '"1_000"', None),
        ("to_number(amount)", "true", None),
        ("to_string(amount)", "7.50", "7.50"),
        ("to_string(amount)", '{"a": 7.5}', '{"a":7.5}'),
        ("to_string(amount)", "true", "true"),
        ("type(amount)", "7.5", "number"),
        ("type(amount)", "[7.5]", "array"),
        ("sum(amount)", "[0.1, 0.2, 1]", "1.3"),
        ("max(amount)", "[0.5, 7.25, 1]", "7.25"),
        ("sort(amount)[0]", "[2, 1.5]", "1.5"),
        ("digits(amount)", "7.5", "75"),
        ("epoch(amount)", "1790848800.0", "2026-10-01T10:00:00Z"),
    ],
)
def test_functions_take_numbers_with_a_point(
    shop: StandIn, expression: str, written: str, expected: str | None
) -> None:
    """A number keeps its digits in every function: `to_number` gave 7 for 7.5, and `to_string` a text with quotes."""
    shop.on("/orders")(
        lambda _asked: (200, {}, b'{"orders": [{"id": 1, "owner": 7, "amount": %s}]}' % written.encode())
    )
    exporter = open_source(SHOP + f'value = {{ at = "{expression}", text = "A value." }}\n', shop.url)
    (batch,) = batches_of(exporter, "orders", resolved(exporter, person()))

    assert (batch.records, batch.gaps) == ([{"id": "1", "value": expected}], ())


NUMBERED = SHOP.replace(
    'kind = "cursor", next = "next", more = "more || `false`"', 'kind = "number", until_empty = true, total = "total"'
)


@pytest.mark.parametrize("form", [int, str, float])
def test_a_size_of_any_notation_shows_that_a_list_shrinks(shop: StandIn, form: Callable[[int], Any]) -> None:
    """Orders are deleted between two pages, so that the others move to the first: none is lost."""
    orders = [{"id": n, "owner": 7} for n in range(9)]

    def answer(asked: Asked) -> Any:
        begin = 3 * (int(asked.query["after"]) - 1)
        found = {"orders": orders[begin : begin + 3], "total": form(len(orders))}
        if begin == 0 and len(orders) == 9:
            del orders[0:2]
        return found

    shop.on("/orders")(answer)

    assert orders_of(shop, NUMBERED) == [str(n) for n in range(9)]


@pytest.mark.parametrize("total", ["many", {"value": 3}, True, [3], 2.5])
def test_a_size_that_is_no_number_is_a_refusal(shop: StandIn, total: Any) -> None:
    """A source that nests its total now: without a size nothing shows that a list shrinks."""
    sells(shop, {"id": "a", "owner": 7}, total=total)

    with pytest.raises(SourceRefused, match="the `total` of `page` is not a number"):
        orders_of(shop, NUMBERED)


@pytest.mark.parametrize("page", ['kind = "cursor", next = "next"', 'kind = "link", next = "next"'])
def test_a_list_that_leads_in_a_circle_is_refused_at_once(shop: StandIn, page: str) -> None:
    """Tokens that lead back to a page gave its records thousands of times before the largest number of pages."""
    pages = {"": ("a", "2"), "2": ("b", "3"), "3": ("c", "2")}

    def answer(asked: Asked) -> Any:
        order, following = pages[asked.query.get("after", "")]
        link = following if "cursor" in page else f"/orders?after={following}"
        return {"orders": [{"id": order, "owner": 7}], "next": link}

    shop.on("/orders")(answer)
    exporter = open_source(SHOP.replace('kind = "cursor", next = "next", more = "more || `false`"', page), shop.url)
    batches = exporter.export(resolved(exporter, person()), exporter.datasets[0], Selection())

    assert [record["id"] for record in next(batches).records] == ["a", "b"]
    with pytest.raises(SourceRefused, match="orders: the next page is a page that was read already"):
        next(batches)
    assert shop.paths().count("/orders") == 3
