"""Records below a parent of an HTTP source: a source may ignore the parameter that names the parent."""

from __future__ import annotations

import pytest
from http_sources import StandIn, ids_of, open_source, person, records_of, stand_in

from portability.api.errors import BadMap

ORDERS = """
title = "Orders"
role = "controller"
kinds = ["email"]

[[dataset]]
name = "orders"
title = "Orders"
description = "Orders."
provenance = "provided"
for_each = "email"
get = "/orders"
params = { email = "{email}" }
verify = { "email" = "email" }
[dataset.fields]
id = { text = "Id." }

[[dataset]]
name = "parcels"
title = "Parcels"
description = "Parcels of orders."
provenance = "provided"
parent = "orders"
get = "/parcels"
params = { order = "{orders.id}" }
TIED
[dataset.fields]
id = { text = "Id." }
"""


def _answering_all(server: StandIn) -> str:
    """Answer with the parcels of all people, whatever is asked for; returns the URL."""
    server.on("/orders")(lambda _asked: [{"id": 5, "email": "ann@example.test"}])
    parcels = [{"id": 51, "order_id": 5}, {"id": 61, "order_id": 6}]
    server.on("/parcels")(lambda _asked: parcels)
    server.on("/orders/5/parcels")(lambda _asked: parcels[:1])
    return server.url


@pytest.mark.parametrize("tied", ["", 'keep = [{ at = "order_id", among = [5, 6] }]'])
def test_a_map_that_does_not_tie_records_to_their_parent_is_refused(tied: str) -> None:
    """The parcel of another person's order would be delivered: the source ignores the parameter."""
    with stand_in() as server, pytest.raises(BadMap, match="nothing ties the items of parcels to orders"):
        open_source(ORDERS.replace("TIED", tied), _answering_all(server))


@pytest.mark.parametrize(
    ("request_keys", "expected"),
    [
        ('get = "/parcels"\nverify = { "order_id" = "orders.id" }', ["51"]),
        ('get = "/parcels"\nkeep = [{ at = "order_id", equals = "parent:id" }]', ["51"]),
        ('get = "/orders/{orders.id}/parcels"', ["51"]),
        # The word of the operator.
        ('get = "/parcels"\nscoped = true', ["51", "61"]),
    ],
)
def test_a_map_ties_records_to_their_parent(request_keys: str, expected: list[str]) -> None:
    """By a value of each record, or by the path; `scoped` says that the source does it."""
    text = ORDERS.replace('get = "/parcels"', request_keys).replace("TIED", "")
    with stand_in() as server:
        assert ids_of(records_of(open_source(text, _answering_all(server)), "parcels", person())) == expected
