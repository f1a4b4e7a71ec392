"""Tenant isolation of an import: whose rows an archive may write, by the belongings that exports use too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporters.reference.relations import RELATIONS

COMPANY = "switch"
"""The profile of an archive of a company; the other archives are of a person."""


@dataclass(slots=True)
class ArchiveOwner:
    """Whose archive is imported: a person's, or that of one company, which its first record names."""

    profile: str
    tenant: str | None = None
    """The company, once a record has named it."""

    def refuses(self, dataset: str, values: Mapping[str, Any], stored: Mapping[str, Any] | None) -> bool:
        """Return whether a row belongs to another tenant than the archive.

        Args:
            dataset: `exporter/dataset`.
            values: of the row in the archive.
            stored: the row with this id here, if it differs.

        The archive of a company has rows of this company alone, and none that belong to no tenant. The archive of a
        person changes no company: where the key of a dataset is the tenant itself, a stored row stays as it is.
        """
        column = tenant_column(dataset)
        if stored is not None and column is not None and stored.get(column) != values.get(column):
            return True
        if self.profile == COMPANY:
            return not self._is_own(values.get(column) if column else None)
        return stored is not None and is_company(dataset)

    def _is_own(self, tenant: object) -> bool:
        """Return whether this is the tenant of the archive: that of its first record."""
        if isinstance(tenant, str):
            self.tenant = self.tenant or tenant
            return tenant == self.tenant
        return False

    def may_replace(self, dataset: str) -> bool:
        """Return whether a row that another process inserts meanwhile may be replaced."""
        return self.profile == COMPANY or not is_company(dataset)


def tenant_column(dataset: str) -> str | None:
    """Return the column that names the tenant of a dataset's rows; None: they belong to no tenant."""
    return RELATIONS.belongings[dataset].tenant


def is_company(dataset: str) -> bool:
    """Return whether each row of a dataset is a tenant: its key is the tenant's."""
    return tenant_column(dataset) == RELATIONS.belongings[dataset].key
