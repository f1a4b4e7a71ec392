"""Which kinds of faults each form of the stack can have."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.failovers import MOVES, valkey_failover
from chaos.faults import EMBEDDED, EVERYWHERE, ON_SERVERS, Harm, postgres_terminate, redis_flush
from chaos.old_worker import old_worker
from chaos.platform_changes import rows_change, standby_conflicts
from chaos.stack import Form
from chaos.storage_faults import ON_STORAGE

ON_CLUSTER: Mapping[str, Harm] = {
    **{name: EVERYWHERE[name] for name in ("kill_horse", "kill_worker", "freeze_horse")},
    **ON_STORAGE,
    **{
        harm.__name__: harm
        for harm in (postgres_terminate, redis_flush, valkey_failover, rows_change, standby_conflicts, old_worker)
    },
}


def kinds(form: Form, *, has_disk: bool) -> Mapping[str, Harm]:
    """By name, those that this form of the stack can have; without those of `moves`."""
    if form == "cluster":
        return ON_CLUSTER
    if form == "servers":
        return {**EVERYWHERE, **ON_SERVERS}
    return {**EVERYWHERE, **{name: harm for name, harm in EMBEDDED.items() if has_disk or name != "disk_full"}}


def moves(form: Form) -> Mapping[str, Harm]:
    """Those of which each seed has one."""
    return MOVES if form == "cluster" else {}
