"""PgBouncer in front of a PostgreSQL, of the system."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from servers.databases import Postgres
from servers.process import ServerMissing, folder_of, free_ports, running, unprivileged


@dataclass(frozen=True, slots=True)
class Pooler:
    """A running PgBouncer on a loopback port, for all databases of one server."""

    port: int
    path: Path
    """Of its configuration."""
    process: subprocess.Popen[bytes]

    def point_to(self, port: int) -> None:
        """Make it use another server, as an operator does after a failover: a new configuration, and RELOAD."""
        text = self.path.read_text()
        self.path.write_text(re.sub(r"^(\* = .*port=)\d+", rf"\g<1>{port}", text, flags=re.MULTILINE))
        self.process.send_signal(signal.SIGHUP)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"


@contextmanager
def pgbouncer(
    server: Postgres, *, mode: str = "transaction", connections: int = 4, prepared: int = 0, **settings: str
) -> Iterator[Pooler]:
    """`connections`: to the server, for each database; `prepared`: max_prepared_statements. Raises ServerMissing."""
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        raise ServerMissing("no PgBouncer: `apt-get install pgbouncer`")
    account = unprivileged() if os.geteuid() == 0 else None
    with folder_of("pb", account) as folder:
        (port,) = free_ports(1)
        chosen = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": str(connections),
            "max_prepared_statements": str(prepared),
            "max_client_conn": "500",
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in chosen.items()]
        databases = f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n"
        path = folder / "pgbouncer.ini"
        path.write_text(databases + "[pgbouncer]\n" + "\n".join(lines) + "\n")

        def answers() -> bool:
            with suppress(psycopg.OperationalError):
                psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=1).close()
                return True
            return False

        # SIGQUIT is PgBouncer's immediate shutdown.
        with running([Path(binary), path], folder, answers, account=account, death=signal.SIGQUIT) as process:
            yield Pooler(port, path, process)
