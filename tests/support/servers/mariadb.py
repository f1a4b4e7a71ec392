"""MariaDB of the system (`apt-get install mariadb-server`), on a unix socket."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pymysql

from servers.process import Command, ServerMissing, folder_of, run_as, running, unprivileged

PROGRAMS = ("mariadbd", "mariadb-install-db")


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A running MariaDB; `root` has no password."""

    socket: Path

    def url(self, database: str, user: str = "root", *, password: str = "") -> str:
        account = f"{user}:{password}" if password else user
        return f"mysql+pymysql://{account}@localhost/{database}?unix_socket={quote(str(self.socket))}"

    def create_database(self) -> str:
        """Name of a fresh database with the server's default collation, and of an account that may only read it."""
        name = f"t_{secrets.token_hex(6)}"
        self.execute(f"create database {name} character set utf8mb4")
        self.execute(f"create user {name}@localhost identified by 'reader'")
        self.execute(f"grant select, show view on {name}.* to {name}@localhost")
        return name

    def execute(self, statement: str) -> None:
        server = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)
        with server as connection, connection.cursor() as cursor:
            cursor.execute(statement)


@contextmanager
def mariadb(*options: str) -> Iterator[MariaDB]:
    """`options` are added to those of the server. Raises ServerMissing."""
    found = {name: shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin") for name in PROGRAMS}
    if None in found.values():
        raise ServerMissing("no MariaDB on this machine: `apt-get install mariadb-server`, or `make programs`")
    account = unprivileged() if os.geteuid() == 0 else None
    with folder_of("mdb", account) as folder:
        data, socket = folder / "data", folder / "s"
        # A server that begins deletes all temporary tables in this folder, also those of another server.
        own_temporary = f"--tmpdir={folder}"
        made: Command = [
            str(found["mariadb-install-db"]),
            "--no-defaults",
            f"--datadir={data}",
            own_temporary,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        run_as(made, folder, account)
        command: Command = [
            str(found["mariadbd"]),
            "--no-defaults",
            f"--datadir={data}",
            own_temporary,
            f"--socket={socket}",
            "--skip-networking",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=0",
            "--skip-log-bin",
            "--performance-schema=off",
            *options,
        ]

        def answers() -> bool:
            # The driver leaves a socket open if no server answers.
            return b"ready for connections" in (folder / "log").read_bytes()

        with running(command, folder, answers, account=account, death=signal.SIGKILL):
            yield MariaDB(socket)
