"""Coverage: what a source stores, compared with what the exporter's declaration decides on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum

COVERAGE_UNDECIDED = "coverage_undecided"
"""The reason of a gap: no one has decided whether something that the source stores is delivered."""
COVERAGE_UNKNOWN = "coverage_unknown"
"""The reason of a gap: it could not be checked whether the source stores more than is declared."""


class CoverageKind(StrEnum):
    """What a check found."""

    UNDECIDED_TABLE = "undecided_table"
    """The source has a table on which no declaration decides, or that is declared as undecided."""
    UNDECIDED_COLUMN = "undecided_column"
    """The same with a column of a declared table."""
    TENANTLESS = "tenantless"
    """Rows name no tenant where the declaration compares tenants, and no one has decided that they are of no one."""
    MISSING_TABLE = "missing_table"
    """A declared table does not exist, or its account may not see it."""
    MISSING_COLUMN = "missing_column"
    WRONG_TYPE = "wrong_type"
    """The column's values cannot have the type that is declared."""
    UNFIT = "unfit"
    """Something else of the declaration does not fit, such as an order that is not unique."""
    QUERY_REFUSED = "query_refused"
    """The source refuses the query of a dataset."""
    NOT_COMPARED = "not_compared"
    """There was no record to compare with what is declared."""
    NO_INDEX = "no_index"
    """No index has the order of reading, so each batch sorts the table; or none finds the new entries of an outbox."""
    NAMES_NOTHING = "names_nothing"
    """Entries of an outbox can name no record by this column: each archive of a feed compares everything."""
    REUSED_IDS = "reused_ids"
    """The source gives the id of a deleted row to a later row: it may be another person's then."""
    WRITABLE = "writable"
    """The account may write, and needs to read only: no worker starts with it."""
    UNSIGNED = "unsigned"
    """The declaration decides on the table, and does not say who decided and when."""


UNDECIDED = frozenset({CoverageKind.UNDECIDED_TABLE, CoverageKind.UNDECIDED_COLUMN, CoverageKind.TENANTLESS})
REMARKS = frozenset(
    {
        CoverageKind.NOT_COMPARED,
        CoverageKind.NO_INDEX,
        CoverageKind.NAMES_NOTHING,
        CoverageKind.REUSED_IDS,
        CoverageKind.UNSIGNED,
    }
)
"""What costs speed or evidence, and no data."""
FAULTS = frozenset(CoverageKind) - UNDECIDED - REMARKS
"""What costs data: the declaration does not fit the source, or no worker starts with it."""


@dataclass(frozen=True, slots=True)
class CoverageFinding:
    """One difference between a declaration and its source. It names tables and columns, and never contains a value."""

    kind: CoverageKind
    table: str
    column: str = ""
    dataset: str = ""
    """The dataset that reads the table; empty: no dataset does."""
    columns: int = 1
    """The number of columns: of an undecided table, all that it has."""
    detail: str = ""
    """What was seen, such as a type or the code of an error."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The result of a check."""

    findings: tuple[CoverageFinding, ...] = ()
    is_described: bool = True
    """False: the source cannot list what it stores, so that nothing can be said about the rest of it."""

    @property
    def undecided(self) -> int:
        """Return the number of columns about which no decision has been made."""
        return sum(one.columns for one in self.findings if one.kind in UNDECIDED)

    @property
    def faults(self) -> int:
        """Return the number of findings by which the declaration does not fit the source."""
        return sum(one.kind in FAULTS for one in self.findings)

    def without_tables(self, decided: Collection[str]) -> Coverage:
        """Return the coverage without undecided tables on which another declaration of the same database decides."""
        kept = (
            one for one in self.findings if one.kind is not CoverageKind.UNDECIDED_TABLE or one.table not in decided
        )
        return replace(self, findings=tuple(kept))


@dataclass(frozen=True, slots=True)
class CheckedDeclaration:
    """What an exporter declares, as far as a check needs to know."""

    sha256: str
    """Of the declaration, in hexadecimal: a check counts for this declaration only."""
    database: str = field(default="", repr=False)
    """Names the database, without credentials: declarations of one database decide on its tables together."""
    tables: frozenset[str] = frozenset()
    """The tables of the database on which it decides."""
    lists_all: bool = True
    """Whether a check lists all that the source stores. Where it cannot, a failed check makes no gap in exports."""
