"""Which sources accept the identities of which others: a verified identity selects only where its source is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from portability.api import DeclaringExporter, Exporter, IdentityUse, ResolvingExporter, Subject


@dataclass(frozen=True, slots=True)
class SourceTrust:
    """Whose identities each source accepts, beside its own and the one that the request names (ADR 62)."""

    accepted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of other sources by the name of the source; a source that is missing here accepts all sources."""

    def accepts(self, name: str, other: str) -> bool:
        """Return whether the source `name` accepts identities that the source `other` has found."""
        accepted = self.accepted.get(name)
        return accepted is None or other == name or other in accepted

    def subject_for(self, name: str, subject: Subject) -> Subject:
        """Return the subject with the identities by which a source may select; the first is the request's."""
        if name not in self.accepted:
            return subject
        requested = subject.identities[:1]
        found = tuple(i for i in subject.identities[1:] if self.accepts(name, i.source))
        return replace(subject, identities=requested + found)


EVERY_SOURCE = SourceTrust()
"""Each source accepts the identities of all sources."""


def use_of(exporter: Exporter) -> IdentityUse:
    """Return what an exporter declares about identities."""
    return exporter.identity_use if isinstance(exporter, DeclaringExporter) else IdentityUse()


def may_find(exporter: Exporter) -> bool:
    """Return whether an exporter may find identities."""
    return isinstance(exporter, ResolvingExporter) and use_of(exporter).finds != frozenset()


def undecided(
    trust: SourceTrust, exporters: Mapping[str, Exporter], stated: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield each source that may select by what another source finds, and does not say if it accepts it: a sentence.

    Data would be missing without a sign. `stated` are the sources that say whose identities they accept.
    """
    for name in sorted(trust.accepted.keys() - stated):
        others = [one for one in exporters if not trust.accepts(name, one)]
        leading = sorted(one for one in others if leads(exporters[one], exporters[name]))
        if leading:
            finders = ", ".join(leading)
            yield name, f"[{name}] may select by identities that {finders} finds, and does not say whom it trusts"


def leads(finder: Exporter, reader: Exporter, *, assume: bool = True) -> bool:
    """Return whether identities that one exporter finds may select data of the other.

    With `assume`, an exporter without a declaration may use and find everything; without it, nothing.
    """
    finds, selects_by = use_of(finder).finds, use_of(reader).selects_by
    if not may_find(finder) or selects_by == frozenset():
        return False
    return assume if finds is None or selects_by is None else bool(finds & selects_by)
