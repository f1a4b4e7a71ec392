"""A CRM's REST API in the form of BottleCRM, which answers from the tables of tests/newcomer/crm.sql."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import servers
from http_sources import Asked, StandIn, stand_in

TOKEN = "bcrm_pat_of_the_tests"
PAGE_MOST = 2
"""Items of a page, whatever is asked for: so every list has several pages."""

_OF_RECORD = "'org', jsonb_build_object('id', {0}.org_id), 'created_by', {0}.created_by_id"
CONTACT = f"""
select jsonb_build_object(
  'contact_obj', to_jsonb(c) - '{{portal_token,org_id,created_by_id}}'::text[]
                 || jsonb_build_object({_OF_RECORD.format("c")}),
  'comments', '[]'::jsonb)
from contacts c where c.id::text = %(id)s and c.org_id::text = %(org)s
"""  # noqa: S608  # constants
_OPPORTUNITY = f"""
to_jsonb(o) - '{{org_id,created_by_id}}'::text[] || jsonb_build_object({_OF_RECORD.format("o")},
  'amount', o.amount::text,
  'contacts', (select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'email', c.email) order by c.id), '[]'::jsonb)
               from opportunity_contacts l join contacts c on c.id = l.contact_id where l.opportunity_id = o.id))
"""  # noqa: S608  # as above
OPPORTUNITIES = f"""
select jsonb_build_object('opportunities_count', (select count(*) from opportunity where org_id::text = %(org)s),
  'opportunities', coalesce(jsonb_agg(page.one order by page.id desc), '[]'::jsonb))
from (select o.id, {_OPPORTUNITY} as one from opportunity o where o.org_id::text = %(org)s
      order by o.id desc limit %(limit)s offset %(offset)s) page
"""  # noqa: S608  # as above
OPPORTUNITY = f"""
select jsonb_build_object('opportunity_obj', {_OPPORTUNITY}, 'comments',
  (select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'comment', m.text, 'commented_on', m.created_at,
     'object_id', m.opportunity_id, 'content_type', 'opportunity') order by m.id desc), '[]'::jsonb)
   from comment m where m.opportunity_id = o.id))
from opportunity o where o.id::text = %(id)s and o.org_id::text = %(org)s
"""  # noqa: S608  # as above


@contextmanager
def crm_interface(server: servers.Postgres, database: str, org: str) -> Iterator[StandIn]:
    """The API of one organisation, for the bearer of its token."""

    def answer(query: str, **values: object) -> Any:
        with server.connect(database) as connection:
            row: tuple[Any, ...] | None = connection.execute(query, {"org": org, **values}).fetchone()
        return None if row is None else row[0]

    def refused(asked: Asked) -> Any:
        if asked.heard.headers.get("authorization") == f"Bearer {TOKEN}":
            return None
        return 401, {}, {"detail": "Invalid token"}

    with stand_in() as api:
        api.before = refused
        api.on("/api/contacts/*")(lambda asked: answer(CONTACT, id=_id_of(asked)))
        api.on("/api/opportunities/")(lambda asked: answer(OPPORTUNITIES, **_page_of(asked.query)))
        api.on("/api/opportunities/*")(lambda asked: answer(OPPORTUNITY, id=_id_of(asked)))
        yield api


def _id_of(asked: Asked) -> str:
    return asked.path.rstrip("/").rpartition("/")[2]


def _page_of(query: Mapping[str, str]) -> Mapping[str, int]:
    return {"limit": min(int(query.get("limit", "10")), PAGE_MOST), "offset": int(query.get("offset", "0"))}
