"""The source kind `http`: a section of the file of sources, and its map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from exporters.http.checks import faults
from exporters.http.client import SourceAccess
from exporters.http.exporter import HttpExporter, HttpSource
from exporters.http.forms import HttpSourceForm
from exporters.http.guard import UrlGuard, operators_url
from exporters.http.hooks import Hooks
from exporters.http.logins import LoginForm, NoLogin, OAuthForm, SourceLogin, TokenLogin, fixed_login
from exporters.http.rates import parse_rate
from exporters.maps.forms import MapForm, Name, Text
from exporters.maps.kinds import MapKind
from exporters.maps.reading import Map, open_map
from portability.api import SourceDeclaration, Sources, SubjectKind
from portability.api.errors import BadSetting
from portability.api.references import is_reference, resolve

VENDORS = Path(__file__).parent / "vendors"
OF_TENANTS = frozenset({SubjectKind.CONTACT, SubjectKind.TENANT})
BUILT_IN = "vendor:"
"""Prefix of a map that this software contains: `vendor:hubspot`."""


class HttpSection(MapForm):
    """The keys of a section, beside `kind`."""

    map: Text
    """A path relative to the file of sources, or `vendor:NAME`."""
    base_url: Text | None = None
    """In place of the map's; a value or a reference."""
    auth: LoginForm = NoLogin(kind="none")
    login_hosts: tuple[Text, ...] = ()
    """Further hosts of the source that get its credentials, such as that of its files."""
    rate: Text = "10/s"
    """Shared by all workers."""
    tenant: Text | None = None
    """The tenant whose data the source has; default: the source is the platform's own."""
    values: dict[Name, Text] = Field(default_factory=dict)
    """Values of the names that the map asks for, or references."""
    check: dict[Name, Text] = Field(default_factory=dict)
    """A person for tests in the source, by kind of identity; values or references. Checks read its records."""


class HttpMapKind(MapKind[HttpSourceForm]):
    """The kind `http`; its maps may be those of vendors that this software contains."""

    __slots__ = ()

    def read(self, declared: SourceDeclaration) -> Map[HttpSourceForm]:
        """Read the file that the key `map` names. Raises BadSetting, BadMap."""
        stated = declared.keys.get("map")
        if not isinstance(stated, str) or not stated.startswith(BUILT_IN):
            return super().read(declared)
        known = {path.stem: path for path in sorted(VENDORS.glob("*.toml"))}
        name = stated.removeprefix(BUILT_IN)
        if name not in known:
            raise BadSetting(f"map: unknown vendor {name!r}; there are {', '.join(known)}")
        return open_map(known[name], self.form)


def make(declared: SourceDeclaration, found: Map[HttpSourceForm], connections: Sources) -> HttpExporter:
    """Make the exporter of a section and its map. Raises BadSetting."""
    return exporter_of(declared.name, _section(declared), found.form, connections, found.source.sha256)


def exporter_of(
    name: str, section: HttpSection, source: HttpSourceForm, connections: Sources, map_sha256: str = ""
) -> HttpExporter:
    """Make the exporter of a map, whose text has this hash. Raises BadSetting."""
    source = _without_tenants(section, source)
    base_url = section.base_url or source.base_url
    if base_url is None:
        raise BadSetting("base_url is missing: the map has none", hint="set base_url in the file of sources")
    guard = UrlGuard.of(_value(base_url, "base_url"), source.hosts, section.login_hosts)
    try:
        rate = parse_rate(name, section.rate)
    except ValueError as error:
        raise BadSetting(f"rate: {error}") from None
    buckets = {key: parse_rate(f"{name}:{key}", text) for key, text in source.limits.buckets.items()}
    login = _login(name, section.auth, connections)
    access = SourceAccess(name, guard, login, source.limits, (rate,), connections, source.error, source.headers)
    hooks = {one.name: Hooks.of(one.hooks) for one in source.dataset}
    person = {kind: _value(text, f"check.{kind}") for kind, text in section.check.items()}
    values = _values(section, source)
    return HttpExporter(HttpSource(name, source, access, buckets, values, section.tenant, hooks, map_sha256, person))


def _without_tenants(section: HttpSection, source: HttpSourceForm) -> HttpSourceForm:
    """Return the map without contacts and tenants where no tenant is known: they would find nothing, without a word.

    Raises: BadSetting if no kind of subject is left.
    """
    if section.tenant is not None or any(one.tenant is not None for one in source.identity):
        return source
    kinds = {"kinds": source.kinds - OF_TENANTS}
    datasets = [
        one if one.kinds is None else one.model_copy(update={"kinds": one.kinds - OF_TENANTS}) for one in source.dataset
    ]
    if not kinds["kinds"] or any(one.kinds is not None and not one.kinds for one in datasets):
        raise BadSetting("tenant is missing: the map is about contacts or tenants", hint="set it to whose data this is")
    return source.model_copy(update={**kinds, "dataset": tuple(datasets)})


def _section(declared: SourceDeclaration) -> HttpSection:
    try:
        return HttpSection.model_validate_json(json.dumps(declared.keys, default=str))
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        raise BadSetting(f"{path}: {str(first['msg']).removeprefix('Value error, ')}") from None


def _login(name: str, auth: LoginForm, connections: Sources) -> SourceLogin:
    if not isinstance(auth, OAuthForm):
        return fixed_login(auth)
    if (auth.kind == "oauth2_refresh") != (auth.refresh_token is not None):
        raise BadSetting("auth: `refresh_token` belongs to the kind oauth2_refresh, which needs it")
    # The token endpoint is the operator's word, as base_url is.
    url = operators_url(_value(auth.token_url, "auth.token_url"), "auth.token_url")
    return TokenLogin(name, auth, url, connections)


def _values(section: HttpSection, source: HttpSourceForm) -> Mapping[str, str]:
    if missing := set(source.values) - section.values.keys():
        raise BadSetting(f"values: the map needs {', '.join(sorted(missing))}")
    if unknown := section.values.keys() - set(source.values):
        raise BadSetting(f"values: the map does not use {', '.join(sorted(unknown))}")
    return {name: _value(text, f"values.{name}") for name, text in section.values.items()}


def _value(text: str, key: str) -> str:
    return resolve(text, key) if is_reference(text) else text


open_http = HttpMapKind(HttpSourceForm, make, faults)
"""The entry point of the kind `http`."""
