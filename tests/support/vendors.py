"""Stand-ins of vendors: they keep the rules of their public documentation, and refuse what the vendor refuses."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from http_sources import Asked, StandIn

NOW = "2026-10-01T10:00:00Z"


@dataclass
class TokenEndpoint:
    """Refresh tokens that are valid once, and access tokens that end."""

    refresh_token: str = "first"
    access_token: str = ""
    lifetime: float = 1800
    expires_at: float = 0
    refreshed: int = 0

    def answer(self, asked: Asked) -> Any:
        sent = dict(parse_qsl(asked.heard.body.decode()))
        if sent.get("refresh_token") != self.refresh_token or sent.get("client_secret") != "secret":
            return 400, {}, {"error": "invalid_grant"}
        self.refreshed += 1
        self.refresh_token, self.access_token = f"refresh{self.refreshed}", f"access{self.refreshed}"
        self.expires_at = time.monotonic() + self.lifetime
        return {"access_token": self.access_token, "refresh_token": self.refresh_token, "expires_in": self.lifetime}

    def admits(self, asked: Asked) -> bool:
        is_current = asked.heard.headers.get("authorization") == f"Bearer {self.access_token}"
        return is_current and time.monotonic() < self.expires_at


@dataclass
class RateWindow:
    """At most `calls` within `seconds`; more are counted as refused."""

    calls: int
    seconds: float
    times: list[float] = field(default_factory=list)
    refused: int = 0

    def admits(self) -> bool:
        now = time.monotonic()
        self.times = [at for at in self.times if at > now - self.seconds]
        if len(self.times) >= self.calls:
            self.refused += 1
            return False
        self.times.append(now)
        return True


class HubSpot:
    """Contacts with deals, tickets, notes and files; archived records are shown by no list and no batch."""

    def __init__(self, server: StandIn) -> None:
        self.server = server
        self.tokens = TokenEndpoint()
        self.search = RateWindow(4, 0.5)  # calls travel for some time
        self.contacts: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"deals": {}, "tickets": {}, "notes": {}}
        self.links: dict[tuple[str, str], list[str]] = {}
        self.files: dict[str, bytes] = {}
        server.before = self._login
        server.on("/oauth/v3/token")(self.tokens.answer)
        server.on("/crm/objects/2026-03/contacts/search")(self._search)
        server.on("/crm/objects/2026-03/*")(self._objects)
        server.on("/crm/associations/2026-03/contacts/*")(self._associations)
        server.on("/files/2026-03/files/*")(self._files)
        server.on("/signed/*")(self._signed)

    def _login(self, asked: Asked) -> Any:
        if asked.path == "/oauth/v3/token" or asked.path.startswith("/signed/"):
            return None
        return (
            None if self.tokens.admits(asked) else (401, {}, {"status": "error", "category": "EXPIRED_AUTHENTICATION"})
        )

    def _search(self, asked: Asked) -> Any:
        if not self.search.admits():
            return 429, {}, {"status": "error", "policyName": "SECONDLY"}
        assert asked.body["limit"] <= 200
        groups = [group["filters"][0] for group in asked.body["filterGroups"]]
        found = [one for one in self.contacts.values() if not one["archived"] and any(_fits(one, f) for f in groups)]
        return {"total": len(found), "results": [_shown(one, asked.body["properties"]) for one in found]}

    def _objects(self, asked: Asked) -> Any:
        parts = asked.path.split("/")[4:]
        if parts[0] == "contacts":
            contact = self.contacts.get(parts[1])
            if contact is None or contact["archived"]:
                return 404, {}, {"category": "OBJECT_NOT_FOUND"}
            return _shown(contact, asked.query["properties"].split(","))
        ids = [one["id"] if isinstance(one, Mapping) else None for one in asked.body["inputs"]]
        if len(ids) > 100 or None in ids:
            return 400, {}, {"category": "VALIDATION_ERROR"}
        found = [one for id_ in ids if (one := self.objects[parts[0]].get(str(id_))) and not one["archived"]]
        return (
            200 if len(found) == len(ids) else 207,
            {},
            {"results": [_shown(o, asked.body["properties"]) for o in found]},
        )

    def _associations(self, asked: Asked) -> Any:
        (wanted,) = asked.body["inputs"]
        kind = asked.path.split("/")[5]
        ids = self.links.get((wanted["id"], kind), [])
        if not ids:
            return 207, {}, {"results": [], "numErrors": 1}
        begin = int(wanted.get("after", 0))
        paging = {"paging": {"next": {"after": str(begin + 150)}}} if begin + 150 < len(ids) else {}
        to = [{"toObjectId": int(one), "associationTypes": []} for one in ids[begin : begin + 150]]
        return {"results": [{"from": {"id": wanted["id"]}, "to": to, **paging}]}

    def _files(self, asked: Asked) -> Any:
        parts = asked.path.split("/")[4:]
        if parts[0] not in self.files:
            return 404, {}, {}
        if parts[1:] == ["signed-url"]:
            return {"url": f"http://localhost:{self.server.listener.port}/signed/{parts[0]}?sig=1", "expiresAt": NOW}
        return {
            "id": parts[0],
            "name": f"file {parts[0]}",
            "extension": "pdf",
            "size": len(self.files[parts[0]]),
            "createdAt": NOW,
        }

    def _signed(self, asked: Asked) -> Any:
        if "authorization" in asked.heard.headers:
            return 400, {}, b"two ways of authorisation"
        content = self.files[asked.path.split("/")[-1]]
        begin = int(asked.heard.headers.get("range", "bytes=0-")[6:-1])
        if not begin:
            return 200, {"ETag": '"1"'}, content
        return (
            206,
            {"ETag": '"1"', "Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"},
            content[begin:],
        )


def hubspot_object(id_: int, *, archived: bool = False, **properties: str) -> dict[str, Any]:
    return {"id": str(id_), "properties": properties, "createdAt": NOW, "updatedAt": NOW, "archived": archived}


def _fits(contact: Mapping[str, Any], condition: Mapping[str, str]) -> bool:
    value = str(contact["properties"].get(condition["propertyName"]) or "").lower()
    wanted = condition["value"].lower()
    # A token of an address is each of its words: the search finds more than the address.
    return (
        value == wanted
        if condition["operator"] == "EQ"
        else bool({*wanted.split("@")} & {*value.replace(";", "@").split("@")})
    )


def _shown(one: Mapping[str, Any], properties: list[str]) -> dict[str, Any]:
    """An object with the properties that were asked for, and no others."""
    return {**one, "properties": {name: one["properties"].get(name) for name in properties}}


class Zendesk:
    """People, tickets, comments and attachments; lists continue by cursors that end, and refresh tokens rotate."""

    def __init__(self, server: StandIn) -> None:
        self.server = server
        self.tokens = TokenEndpoint()
        self.refuses_every = 1000
        self.refused = 0
        self.users: dict[int, dict[str, Any]] = {}
        self.tickets: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.cursors_valid = True
        self.generation = 0
        server.before = self._login
        server.on("/oauth/tokens")(self.tokens.answer)
        server.on("/api/v2/users/search.json")(self._search)
        server.on("/api/v2/users/*")(self._users)
        server.on("/api/v2/tickets/*")(self._comments)
        server.on("/attachments/*")(self._attachment)
        server.on("/stored/*")(self._stored)

    def _login(self, asked: Asked) -> Any:
        if asked.path == "/oauth/tokens" or asked.path.startswith("/stored/"):
            return None
        if not self.tokens.admits(asked):
            return 401, {}, {"error": "invalid_token"}
        if len(self.server.asked) % self.refuses_every:
            return None
        self.refused += 1
        return 429, {"Retry-After": "0.2"}, {"error": "TooManyRequests"}

    def _search(self, asked: Asked) -> Any:
        name, _, value = asked.query["query"].partition(":")
        assert name == "email"
        assert value[0] == value[-1] == '"'
        wanted = value[1:-1].replace('\\"', '"').rstrip("*").lower()
        found = [one for one in self.users.values() if one["email"] and one["email"].lower().startswith(wanted)]
        return {"users": found, "next_page": None, "count": len(found)}

    def _users(self, asked: Asked) -> Any:
        parts = asked.path.removeprefix("/api/v2/users/").split("/")
        user = int(parts[0].removesuffix(".json"))
        if len(parts) == 1:
            return {"user": self.users[user]} if user in self.users else None
        found = [one for one in self.tickets.values() if one["requester_id"] == user and one["status"] != "deleted"]
        return self._page("tickets", found, asked)

    def _comments(self, asked: Asked) -> Any:
        ticket = int(asked.path.split("/")[4])
        return self._page("comments", self.comments.get(ticket, []), asked)

    def _page(self, name: str, found: list[dict[str, Any]], asked: Asked) -> Any:
        size, place = int(asked.query["page[size]"]), asked.query.get("page[after]")
        if size > 100 or "page" in asked.query:
            return 400, {}, {"error": "InvalidPaginationParameter"}
        generation, begin = map(int, place.split(".")) if place else (self.generation, 0)
        if generation != self.generation:
            return 400, {}, {"error": "InvalidPaginationParameter"}
        more = begin + size < len(found)
        meta = {"has_more": more, "after_cursor": f"{generation}.{begin + size}" if found else None}
        return {name: found[begin : begin + size], "meta": meta, "links": {}}

    def _attachment(self, asked: Asked) -> Any:
        return 302, {"Location": f"http://localhost:{self.server.listener.port}/stored{asked.path}"}, {}

    @staticmethod
    def _stored(asked: Asked) -> Any:
        if "authorization" in asked.heard.headers:
            return 400, {}, b"two ways of authorisation"
        return 200, {}, f"content of {asked.path}".encode()


class Twilio:
    """Calls by both numbers, pages by relative links, and recordings whose data outlives their sound."""

    def __init__(self, server: StandIn, account: str) -> None:
        self.account = account
        self.root = f"/2010-04-01/Accounts/{account}"
        self.calls: list[dict[str, Any]] = []
        self.recordings: list[dict[str, Any]] = []
        server.before = self._login
        server.on(f"{self.root}/Calls.json")(self._calls)
        server.on(f"{self.root}/Recordings.json")(self._recordings)
        server.on(f"{self.root}/Recordings/*")(self._media)
        self.page = 50

    def _login(self, asked: Asked) -> Any:
        expected = base64.b64encode(f"{self.account}:secret".encode()).decode()
        is_in = asked.heard.headers.get("authorization") == f"Basic {expected}"
        return None if is_in else (401, {}, {"code": 20003})

    def _calls(self, asked: Asked) -> Any:
        names = {"To": "to", "From": "from"}
        found = [c for c in self.calls if all(c[names[n]] == v for n, v in asked.query.items() if n in names)]
        return self._listed("calls", found, asked)

    def _recordings(self, asked: Asked) -> Any:
        shown = {"completed", "deleted"} if asked.query.get("IncludeSoftDeleted") == "true" else {"completed"}
        found = [r for r in self.recordings if r["call_sid"] == asked.query["CallSid"] and r["status"] in shown]
        return self._listed("recordings", found, asked)

    def _listed(self, name: str, found: list[dict[str, Any]], asked: Asked) -> Any:
        assert int(asked.query["PageSize"]) <= 1000
        begin = self.page * int(asked.query.get("Page", 0))
        query = "&".join(f"{n}={v.replace('+', '%2B')}" for n, v in asked.query.items() if n != "Page")
        following = f"{asked.path}?{query}&Page={begin // self.page + 1}"
        more = begin + self.page < len(found)
        return {
            name: found[begin : begin + self.page],
            "next_page_uri": following if more else None,
            "page_size": self.page,
        }

    def _media(self, asked: Asked) -> Any:
        sid = asked.path.split("/")[-1].removesuffix(".wav")
        recording = next(one for one in self.recordings if one["sid"] == sid)
        return (200, {}, b"RIFF" + sid.encode()) if recording["status"] == "completed" else None
