"""Look-ups: who the subject is in a source, compared again with the identity that was asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from exporters.http import matching
from exporters.http.answers import check_named
from exporters.http.context import AskedValue, ReadingContext, fitting
from exporters.http.expressions import find
from exporters.http.forms import IdentityForm, RequestForm
from exporters.http.listing import INCOMPLETE_LIST, Listing, ListItem, ListPart, SourcePage
from exporters.http.templates import Names
from exporters.http.truth import says_yes
from portability.api import JSON, Identity
from portability.api.errors import SourceRefused


def find_identities(name: str, tenant: str | None, form: IdentityForm, reading: ReadingContext) -> Iterator[Identity]:
    """Yield what a look-up of the source `name` finds; `tenant`: whose data the source has.

    Raises: SourceUnavailable, SourceRefused.
    """
    what = f"{name}: look-up by {form.asked}"
    for asked in reading.asked(form.asked):
        hits: dict[Identity, None] = {}
        for spelling in matching.spellings(form.asked, asked.value):
            names = {form.asked: spelling, "tenant": asked.tenant}
            for items in _answers(form, names, reading, what):
                with fitting(what):
                    if not form.confirm:
                        check_named("verify", form.verify, items)
                    check_named("tenant", [form.tenant] if form.tenant else [], items)
                    check_named("verified", [form.verified] if isinstance(form.verified, str) else [], items)
                    for item in items:
                        if _is_asked(form, item, asked, reading, what) and (
                            hit := _hit(name, tenant, form, item, asked)
                        ):
                            hits[hit] = None
        if len(hits) > form.most:
            raise SourceRefused(
                f"{what}: {len(hits)} records have this identity; the map allows {form.most}",
                hint="check `verify` of the map, or raise `most`",
            )
        yield from hits


def _answers(form: IdentityForm, names: Names, reading: ReadingContext, what: str) -> Iterator[Sequence[Any]]:
    """Yield the hits of each page of a look-up. Raises SourceUnavailable, SourceRefused."""

    def fetch(part: ListPart, place: JSON) -> SourcePage:
        with fitting(what):
            found = reading.read(what, part, place)
            items = [ListItem(hashlib.sha256(repr(one).encode()).hexdigest(), one) for one in found.items]
            lack = INCOMPLETE_LIST if found.is_cut else ""
            return SourcePage(items, found.following, found.total, (), found.left_out, lack)

    def refuse(_reason: str, _part: ListPart) -> None:
        hint = "the person may be among the others: ask for a person more exactly"
        raise SourceRefused(f"{what}: the source gives only a part of the hits", hint=hint)

    parts = [ListPart(("", 0, ""), form, names)]
    listing = Listing(parts, fetch, what, reading.source.limits.pages_most, refuse)
    return ([item.value for item in page.items] for page in listing.pages())


def _is_asked(form: IdentityForm, item: Any, asked: AskedValue, reading: ReadingContext, what: str) -> bool:  # noqa: ANN401  # any JSON value
    """Return whether a hit, or the record that confirms it, has the asked identity. Raises ValueError."""
    if form.confirm is not None:
        names = {form.asked: asked.value, "value": find(form.value, item)}
        request = RequestForm(get=form.confirm, none_on=form.none_on)
        page = reading.client.json(reading.call(what, request, names))
        item = page.value if page is not None else None
        check_named("verify", form.verify, [item])
    return bool(matching.verified(form.verify, {form.asked: asked.value, "tenant": asked.tenant or ""}, [item]))


def _hit(name: str, tenant: str | None, form: IdentityForm, item: Any, asked: AskedValue) -> Identity | None:  # noqa: ANN401  # as above
    """Return the identity of a hit; None: it is of another tenant. Raises ValueError for a hit without identifier."""
    found_at = tenant or asked.tenant
    if form.tenant is not None:
        stated = find(form.tenant, item)
        found_at = matching.id_text(stated) or None
        if stated not in (None, "") and not found_at:
            raise ValueError(f"{form.tenant}: a tenant is neither text nor integer")
    if asked.tenant not in {None, found_at}:
        return None
    value = matching.id_text(find(form.value, item))
    if not value:
        raise ValueError(f"{form.value}: a hit has no identifier that is text or integer")
    is_verified = form.verified if isinstance(form.verified, bool) else says_yes(find(form.verified, item))
    return Identity(name, form.gives, value, is_verified, found_at)
