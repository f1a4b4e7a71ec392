"""Tables of orders that are altered while they are read: 130 rows, of which the first page has 64."""

from __future__ import annotations

from source_accounts import ROWS

from portability.api import Gap, SubjectKind
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
MAP = ROWS.replace('type = "integer"', 'type = "string"') + 'fields.note = { text = "Note." }'
COLUMNS = "(id integer not null primary key, who varchar(9), note varchar(40))"
TABLE = f"create table orders {COLUMNS}"
VALUES = ", ".join(f"({number}, 'ann', 'a')" for number in range(1, 131))
INSERT = f"insert into orders values {VALUES}"  # noqa: S608  # of this module
OF_POSTGRESQL = [
    f"{TABLE} partition by range (id)",
    "create table part_1 partition of orders for values from (0) to (70)",
    "create table part_2 partition of orders for values from (70) to (120)",
    "create table part_3 partition of orders for values from (120) to (200)",
    INSERT,
]
VIEW = [f"create table stored {COLUMNS}", INSERT.replace("orders", "stored")]
VIEW += ["create view orders as select id, who, note from stored"]
GRANT = "grant select on orders to public"
GAP = Gap("orders: tables or views of the map were altered while it was read", "changed")
