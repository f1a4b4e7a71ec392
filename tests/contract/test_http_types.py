"""Values of answers in every type and notation that interfaces write: each counts as what it says, or is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_sources import StandIn, batches_of, open_source, person, resolved, stand_in

from portability.api import RowRemark

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
page = { kind = "cursor", next = "next", more = "more" }
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
