"""Functions of PostgreSQL that views and policies call, as parts of statements about these."""

from __future__ import annotations

OWN = (
    "own as (select f.oid, f.proname as name, f.prosecdef as is_definer,"
    " pg_catalog.pg_get_functiondef(f.oid) as written"
    " from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace"
    " join pg_catalog.pg_language l on l.oid = f.prolang and l.lanname not in ('internal', 'c')"
    " where f.prokind in ('f', 'p') and n.nspname not in ('pg_catalog', 'information_schema'))"
)
"""A common table: the functions of the database whose text can be read."""
CALLED = (
    "own caller on caller.oid = calls.oid join own on case"
    " when pg_catalog.strpos(pg_catalog.lower(caller.written), pg_catalog.lower(own.name)) > 0 then caller.written"
    # A name in a pattern: each character that is neither a letter nor a digit is meant as it is.
    r""" ~* ('\m' || pg_catalog.regexp_replace(own.name, '(\W)', '\\\1', 'g') || '"?\s*\(') end"""
)
"""The rest of a join with `calls`: `own` is each function whose name a function of it calls, of whatever schema.

The server keeps no list of the functions that a function calls, because it stores the body as a text.
"""
