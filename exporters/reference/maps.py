"""The maps of the reference platform, on the tables of its schema: what they declare, and which rows belong to whom."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from exporters.maps.reading import MapText, parse_map
from exporters.reference import schema
from exporters.sql.belonging import Relations
from exporters.sql.mapped.belongings import accounts_of, belonging_of, book_of
from exporters.sql.mapped.forms import SqlSourceForm
from exporters.sql.sole_addresses import AddressUsers

NAMES: Sequence[str] = (
    *("account", "billing", "calls", "chats", "configuration", "cookies", "crm", "devices", "inquiries"),
    *("interactions", "marketing", "performance", "trail", "usage"),
)
"""The exporters, `<name>.toml` beside this module."""
TABLES = schema.metadata.tables


@cache
def form_of(name: str) -> SqlSourceForm:
    """Read the map of an exporter. Raises BadMap."""
    text = files("exporters.reference").joinpath(f"{name}.toml").read_text("utf-8")
    return parse_map(MapText(f"{name}.toml", text), SqlSourceForm).form


@cache
def relations() -> Relations:
    """Return which rows of each dataset, `exporter/dataset`, belong to whom, and who has which address at a tenant."""
    found = {
        f"{name}/{stated.name}": belonging_of(stated, TABLES, name, name)
        for name in NAMES
        for stated in form_of(name).dataset
    }
    books = filter(None, (book_of(form_of(name), TABLES) for name in NAMES))
    return Relations(found, next(books, None))


@cache
def address_users() -> AddressUsers:
    """Return who uses addresses: the accounts, and the rows that may have no account."""
    accounts = filter(None, (accounts_of(form_of(name), TABLES) for name in NAMES))
    return AddressUsers(next(accounts, None), list(relations().belongings.values()))
