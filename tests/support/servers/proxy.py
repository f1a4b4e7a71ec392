"""nginx in front of a web server, of the system."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from servers.process import Command, ServerMissing, folder_of, free_ports, running, unprivileged

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
ANSWER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx on loopback ports."""

    folder: Path
    """With its logs, and below `temporary` the files that it writes for answers and bodies."""
    ports: Mapping[str, int]
    """By what the configuration listens at."""

    @property
    def logs(self) -> str:
        """Everything that it has logged."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*log")))

    def buffered(self) -> list[Path]:
        """Folders that it has made to hold answers and bodies on disk; the files in them lose their names at once."""
        return [path for kind in TEMPORARY for path in (self.folder / "temporary" / kind).glob("*")]


@contextmanager
def nginx(configuration: str, *, replaced: Mapping[str, str], files: Mapping[str, bytes]) -> Iterator[Nginx]:
    """Serve with a configuration for the http block, beside what Debian's nginx.conf says. Raises ServerMissing.

    Args:
        configuration: the text. Each `listen PORT` in it becomes a free loopback port.
        replaced: other texts of it that the test's machine needs; each must occur. `FOLDER` stands for the folder.
        files: what it reads, by name in the folder.
    """
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise ServerMissing("no nginx: `apt-get install nginx`")
    account = unprivileged() if os.geteuid() == 0 else None
    with folder_of("ng", account) as folder:
        chosen = ["80", "443"]
        ports = dict(zip(chosen, free_ports(len(chosen)), strict=True))
        listens = {f"listen {usual}": f"listen 127.0.0.1:{port}" for usual, port in ports.items()}
        for old, new in {**listens, **replaced}.items():
            if old not in configuration:
                raise ValueError(f"the configuration has no {old!r}")
            configuration = configuration.replace(old, new.replace("FOLDER", str(folder)))
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / "temporary").mkdir()
        (folder / "site.conf").write_text(configuration)
        (folder / "nginx.conf").write_text(_main(folder))
        if account:
            for path in folder.rglob("*"):
                os.chown(path, account.uid, account.gid)

        def answers() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", ports["443"]), ANSWER_SECONDS):
                return True
            return False

        command: Command = [Path(binary), "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        # SIGTERM is nginx's fast shutdown: it takes its workers with it.
        with running(command, folder, answers, account=account, death=signal.SIGTERM):
            yield Nginx(folder, ports)


def _main(folder: Path) -> str:
    """Return what is around the configuration: as on Debian, in one folder and in the foreground."""
    paths = "\n".join(f"    {kind}_temp_path {folder}/temporary/{kind} 1 2;" for kind in TEMPORARY)
    return f"""daemon off;
pid {folder}/nginx.pid;
worker_processes 2;
events {{ worker_connections 256; }}
http {{
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    gzip on;
    access_log off;
{paths}
    include {folder}/site.conf;
}}
"""
