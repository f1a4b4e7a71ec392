"""Lists of vendors' interfaces as data: the lines of a map for each, and a stand-in that keeps the vendor's rules.

They were written from the vendors' public documentation. A list has the records of person 7, ten a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from http_sources import Asked, StandIn

ROWS = 25
SIZE = 10
CAP = 20
"""What a stand-in gives at most of a list, in place of 1,000, 9,000 or 10,000."""
PERSON = "7"
ADDRESS = "ann@example.test"
PEOPLE = [{"id": 7, "email": ADDRESS}]
MAP = """
title = "Vendor"
role = "controller"
kinds = ["user", "email"]
TOP
[[identity]]
from = "email"
get = "/person"
params = { email = "{email}" }
items = "people"
verify = { "email" = "email" }
gives = "person"
[[dataset]]
name = "tickets"
title = "Tickets"
description = "What you sent."
provenance = "provided"
for_each = "person"
LIST
verify = { "owner" = "person" }
fields.id = { text = "Identifier." }
"""
_AFTER = re.compile(r'(, )?[^\s,{]+ = "\{after\}",?')
"""The parameter of the next page."""
Rows = Sequence[Mapping[str, Any]]


def vendor_row(number: int, **more: Any) -> dict[str, Any]:
    """A record of person 7."""
    return {"id": number, "owner": int(PERSON), **more}


@dataclass(frozen=True)
class VendorList:
    """One list of one vendor: lines of the dataset in a map, and the answers to a path."""

    request: str
    page: str
    path: str
    answer: Callable[[Asked, Rows], Any]
    top: str = ""

    def map(self, page: str | None = None) -> str:
        """The text of the map; `page`: other lines for the pages, empty for a map that forgets them."""
        lines = f"{self.request}\n{self.page if page is None else page}"
        if page == "":
            lines = _AFTER.sub("", lines)
        return MAP.replace("TOP", self.top).replace("LIST", lines)

    def serve(self, server: StandIn, count: int = ROWS) -> None:
        """Answer as the vendor does, with this number of records."""
        rows = [vendor_row(number) for number in range(1, count + 1)]
        server.on("/person")(lambda asked: {"people": PEOPLE if asked.query["email"] == ADDRESS else []})
        server.on(self.path)(lambda asked: self.answer(asked, rows))


def _part(rows: Rows, begin: int) -> tuple[Rows, int | None]:
    """The page from a position on, and the position behind it."""
    end = begin + SIZE
    return rows[begin:end], end if end < len(rows) else None


def _cursor(asked: Asked, rows: Rows, name: str) -> tuple[Rows, str | None]:
    """The page of a token in a parameter, and the next token."""
    page, end = _part(rows, int(asked.query.get(name, 0)))
    return page, str(end) if end else None


def _number(asked: Asked, rows: Rows) -> tuple[Rows, int, int]:
    """The page of a number, its number, and the number of pages."""
    number = int(asked.query.get("page", 1))
    return rows[(number - 1) * SIZE :][:SIZE], number, -(-len(rows) // SIZE)


def _url(asked: Asked, rest: str) -> str:
    return f"http://{asked.heard.headers['host']}{rest}"


def _linked(asked: Asked, page: Rows, place: object | None, name: str) -> Any:
    """A list alone, with the URL of the next page in the header `Link`."""
    link = {"Link": f'<{_url(asked, f"{asked.path}?{name}={place}")}>; rel="next"'} if place else {}
    return 200, {"Content-Type": "application/json", **link}, list(page)


def _zendesk(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "page[after]")
    return {"tickets": page, "meta": {"has_more": bool(after), "after_cursor": after}}


def _zendesk_incremental(asked: Asked, rows: Rows) -> Any:
    """The last page has a cursor, too: the next changes come there."""
    page, after = _cursor(asked, rows, "cursor")
    return {"tickets": page, "end_of_stream": not after, "after_cursor": after or str(len(rows))}


def _zendesk_search(asked: Asked, rows: Rows) -> Any:
    """A page behind the thousandth result is refused."""
    page, number, last = _number(asked, rows)
    if number * SIZE > CAP:
        return 422, {}, {"error": "invalid"}
    following = _url(asked, f"/find?page={number + 1}") if number < last else None
    return {"results": page, "count": len(rows), "next_page": following}


def _intercom(asked: Asked, rows: Rows) -> Any:
    page, end = _part(rows, int(asked.body["pagination"].get("starting_after", 0)))
    following = {"page": 2, "starting_after": str(end)} if end else None
    return {"type": "conversation.list", "conversations": page, "total_count": len(rows), "pages": {"next": following}}


def _hubspot(asked: Asked, rows: Rows) -> Any:
    """Results behind the 10,000th are refused with 400, as a token that has expired is elsewhere."""
    begin = int(asked.body.get("after", 0))
    if begin >= CAP:
        return 400, {}, {"status": "error"}
    page, end = _part(rows, begin)
    return {"total": len(rows), "results": page, **({"paging": {"next": {"after": str(end)}}} if end else {})}


def _salesforce(asked: Asked, rows: Rows) -> Any:
    place = asked.path.rpartition("-")[2]
    page, end = _part(rows, int(place) if place.isdigit() else 0)
    following = {"nextRecordsUrl": f"/services/data/v60.0/query/01g-{end}"} if end else {}
    return {"totalSize": len(rows), "done": not end, "records": page, **following}


def _freshdesk(asked: Asked, rows: Rows) -> Any:
    """The header names no page behind the 300th."""
    page, number, last = _number(asked, rows)
    return _linked(asked, page, number + 1 if number < last and number * SIZE < CAP else None, "page")


def _front(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "page_token")
    return {"_pagination": {"next": after and _url(asked, f"/list?page_token={after}")}, "_results": page}


def _help_scout(asked: Asked, rows: Rows) -> Any:
    """HAL: an empty list is left out."""
    page, number, last = _number(asked, rows)
    state = {"size": SIZE, "totalElements": len(rows), "totalPages": last, "number": number}
    return {**({"_embedded": {"conversations": page}} if page else {}), "page": state}


def _stripe(asked: Asked, rows: Rows) -> Any:
    """An empty `starting_after` is refused, and the place is the last id."""
    place = asked.query.get("starting_after", "0")
    if not place:
        return 400, {}, {"error": {}}
    page, end = _part(rows, int(place))
    return {"object": "list", "data": page, "has_more": bool(end)}


def _shopify(asked: Asked, rows: Rows) -> Any:
    """A later page takes no other parameter."""
    if "page_info" in asked.query and len(asked.query) > 1:
        return 400, {}, {"errors": {}}
    page, after = _cursor(asked, rows, "page_info")
    status, headers, found = _linked(asked, page, after, "page_info")
    return status, headers, {"orders": found}


def _mailchimp(asked: Asked, rows: Rows) -> Any:
    page, _ = _part(rows, int(asked.query.get("offset", 0)))
    return {"members": page, "total_items": len(rows)}


def _twilio(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "PageToken")
    return {"calls": page, "next_page_uri": after and f"/2010-04-01/Calls.json?PageToken={after}"}


def _slack(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "cursor")
    return {"ok": True, "messages": page, "has_more": bool(after), "response_metadata": {"next_cursor": after or ""}}


def _github(asked: Asked, rows: Rows) -> Any:
    page, number, last = _number(asked, rows)
    return _linked(asked, page, number + 1 if number < last else None, "page")


def _jira(asked: Asked, rows: Rows) -> Any:
    """`maxResults` is cut without a word."""
    page, _ = _part(rows, int(asked.query.get("startAt", 0)))
    return {"startAt": 0, "maxResults": SIZE, "total": len(rows), "issues": page}


def _jira_cloud(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "nextPageToken")
    return {"issues": page, "isLast": not after, **({"nextPageToken": after} if after else {})}


def _graph(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "$skiptoken")
    return {"value": page, **({"@odata.nextLink": _url(asked, f"/v1.0/list?$skiptoken={after}")} if after else {})}


def _google(asked: Asked, rows: Rows) -> Any:
    """An empty list is left out."""
    page, after = _cursor(asked, rows, "pageToken")
    return {**({"messages": page} if page else {}), **({"nextPageToken": after} if after else {})}


def _notion(asked: Asked, rows: Rows) -> Any:
    page, end = _part(rows, int(asked.body.get("start_cursor", 0)))
    return {"object": "list", "results": page, "has_more": bool(end), "next_cursor": str(end) if end else None}


def _pipedrive(asked: Asked, rows: Rows) -> Any:
    """An empty list is null."""
    page, end = _part(rows, int(asked.query.get("start", 0)))
    state = {"more_items_in_collection": bool(end), **({"next_start": end} if end else {})}
    return {"success": True, "data": page or None, "additional_data": {"pagination": state}}


def _zoho(asked: Asked, rows: Rows) -> Any:
    """Nothing is 204 without a body."""
    page, number, last = _number(asked, rows)
    return {"data": page, "info": {"more_records": number < last, "page": number}} if page else (204, {}, b"")


def _chatwoot(asked: Asked, rows: Rows) -> Any:
    page, number, _ = _number(asked, rows)
    return {"meta": {"count": len(rows), "current_page": str(number)}, "payload": page}


def _gorgias(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "cursor")
    return {"data": page, "object": "list", "meta": {"next_cursor": after, "prev_cursor": None}}


def _dixa(asked: Asked, rows: Rows) -> Any:
    page, after = _cursor(asked, rows, "pageKey")
    return {"data": page, "meta": {"previous": None, "next": after and f"/v1/list?pageKey={after}"}}


def _aircall(asked: Asked, rows: Rows) -> Any:
    """No page behind the 10,000th call is named."""
    page, number, last = _number(asked, rows)
    goes_on = number < last and number * SIZE < CAP
    following = _url(asked, f"/v1/calls?page={number + 1}") if goes_on else None
    return {"meta": {"count": len(page), "total": len(rows), "next_page_link": following}, "calls": page}


_SEARCH = 'reads = true\nbody = { query = { field = "contact_ids", operator = "=", value = "{person}" }, pagination = '
_HUBSPOT = (
    'body = { after = "{after}", filterGroups = [{ filters = [{ propertyName = "owner", value = "{person}" }] }] }'
)
_SOQL = 'q = "SELECT Id FROM Case WHERE ContactId = {person|soql}"'
VENDORS: Mapping[str, VendorList] = {
    "zendesk": VendorList(
        'get = "/users/{person}/tickets"\nparams = { "page[size]" = "100", "page[after]" = "{after}" }\n'
        'items = "tickets"',
        'page = { kind = "cursor", next = "meta.after_cursor", more = "meta.has_more" }',
        "/users/7/tickets",
        _zendesk,
    ),
    "zendesk_incremental": VendorList(
        'get = "/tickets/cursor"\nparams = { start_time = "0", cursor = "{after}" }\nitems = "tickets"',
        'page = { kind = "cursor", next = "after_cursor", more = "!end_of_stream" }',
        "/tickets/cursor",
        _zendesk_incremental,
    ),
    "intercom": VendorList(
        f'post = "/conversations/search"\n{_SEARCH}{{ per_page = 150, starting_after = "{{after}}" }} }}\n'
        'items = "conversations"',
        'page = { kind = "cursor", next = "pages.next.starting_after", total = "total_count" }',
        "/conversations/search",
        _intercom,
    ),
    "salesforce": VendorList(
        f'get = "/services/data/v60.0/query"\nparams = {{ {_SOQL} }}\nitems = "records"',
        'page = { kind = "link", next = "nextRecordsUrl", more = "!done", total = "totalSize" }',
        "/services/data/v60.0/query*",
        _salesforce,
    ),
    "front": VendorList(
        'get = "/list"\nitems = "_results"', 'page = { kind = "link", next = "_pagination.next" }', "/list", _front
    ),
    "help_scout": VendorList(
        'get = "/v2/conversations"\nparams = { page = "{after}", status = "all" }\n'
        'items = "_embedded.conversations || `[]`"',
        'page = { kind = "number", more = "page.number < page.totalPages", total = "page.totalElements" }',
        "/v2/conversations",
        _help_scout,
    ),
    "stripe": VendorList(
        'get = "/v1/charges"\nparams = { customer = "{person}", starting_after = "{after}" }\nitems = "data"',
        'page = { kind = "cursor", next = "data[-1].id", more = "has_more" }',
        "/v1/charges",
        _stripe,
    ),
    "shopify": VendorList(
        'get = "/orders.json"\nparams = { customer_id = "{person}", status = "any" }\nitems = "orders"',
        'page = { kind = "link", header = true }',
        "/orders.json",
        _shopify,
    ),
    "mailchimp": VendorList(
        'get = "/3.0/members"\nparams = { count = "1000", offset = "{after}" }\nitems = "members"',
        'page = { kind = "offset", until_empty = true, total = "total_items" }',
        "/3.0/members",
        _mailchimp,
    ),
    "twilio": VendorList(
        'get = "/2010-04-01/Calls.json"\nitems = "calls"',
        'page = { kind = "link", next = "next_page_uri" }',
        "/2010-04-01/Calls.json",
        _twilio,
    ),
    "slack": VendorList(
        'get = "/api/conversations.history"\nparams = { cursor = "{after}" }\nitems = "messages"',
        'page = { kind = "cursor", next = "response_metadata.next_cursor" }',
        "/api/conversations.history",
        _slack,
        'error = { at = "error", unavailable = ["ratelimited"] }',
    ),
    "github": VendorList('get = "/issues"', 'page = { kind = "link", header = true }', "/issues", _github),
    "jira": VendorList(
        'get = "/rest/api/2/search"\nparams = { startAt = "{after}", maxResults = "500" }\nitems = "issues"',
        'page = { kind = "offset", until_empty = true, total = "total" }',
        "/rest/api/2/search",
        _jira,
    ),
    "jira_cloud": VendorList(
        'get = "/rest/api/3/search/jql"\nparams = { nextPageToken = "{after}" }\nitems = "issues"',
        'page = { kind = "cursor", next = "nextPageToken", more = "!isLast" }',
        "/rest/api/3/search/jql",
        _jira_cloud,
    ),
    "microsoft_graph": VendorList(
        'get = "/v1.0/list"\nitems = "value"',
        'page = { kind = "link", next = \'"@odata.nextLink"\' }',
        "/v1.0/list",
        _graph,
    ),
    "google": VendorList(
        'get = "/gmail/v1/messages"\nparams = { pageToken = "{after}" }\nitems = "messages || `[]`"',
        'page = { kind = "cursor", next = "nextPageToken" }',
        "/gmail/v1/messages",
        _google,
    ),
    "notion": VendorList(
        'post = "/v1/query"\nreads = true\nbody = { start_cursor = "{after}" }\nitems = "results"',
        'page = { kind = "cursor", next = "next_cursor", more = "has_more" }',
        "/v1/query",
        _notion,
    ),
    "pipedrive": VendorList(
        'get = "/v1/deals"\nparams = { start = "{after}" }\nitems = "data"',
        'page = { kind = "cursor", next = "additional_data.pagination.next_start", '
        'more = "additional_data.pagination.more_items_in_collection" }',
        "/v1/deals",
        _pipedrive,
    ),
    "zoho": VendorList(
        'get = "/crm/v6/Deals"\nparams = { page = "{after}" }\nnone_on = [204]\nitems = "data"',
        'page = { kind = "number", more = "info.more_records" }',
        "/crm/v6/Deals",
        _zoho,
    ),
    "chatwoot": VendorList(
        'get = "/contacts/7/conversations"\nparams = { page = "{after}" }\nitems = "payload"',
        'page = { kind = "number", until_empty = true, total = "meta.count" }',
        "/contacts/7/conversations",
        _chatwoot,
    ),
    "gorgias": VendorList(
        'get = "/api/tickets"\nparams = { cursor = "{after}", limit = "100" }\nitems = "data"',
        'page = { kind = "cursor", next = "meta.next_cursor" }',
        "/api/tickets",
        _gorgias,
    ),
    "dixa": VendorList(
        'get = "/v1/list"\nitems = "data"', 'page = { kind = "link", next = "meta.next" }', "/v1/list", _dixa
    ),
}
"""Lists that a map reads whole."""

CUT: Mapping[str, VendorList] = {
    "zendesk_search": VendorList(
        'get = "/find"\nparams = { query = "requester:{person|int}" }\nitems = "results"',
        f'page = {{ kind = "link", next = "next_page", most = {CAP} }}',
        "/find",
        _zendesk_search,
    ),
    "hubspot_search": VendorList(
        f'post = "/search"\nreads = true\n{_HUBSPOT}\nitems = "results"',
        f'page = {{ kind = "cursor", next = "paging.next.after", most = {CAP} }}',
        "/search",
        _hubspot,
    ),
    "freshdesk": VendorList(
        'get = "/tickets"\nparams = { requester_id = "{person}", updated_since = "2015-01-01" }',
        f'page = {{ kind = "link", header = true, most = {CAP} }}',
        "/tickets",
        _freshdesk,
    ),
    "aircall": VendorList(
        'get = "/v1/calls"\nitems = "calls"',
        'page = { kind = "link", next = "meta.next_page_link", total = "meta.total" }',
        "/v1/calls",
        _aircall,
    ),
}
"""Lists of which the vendor gives the first 20 of 25 records."""
