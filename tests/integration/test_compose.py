"""docs/deploy.md, section compose: its commands make a service that does the whole job, run by a real Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import httpx
import pytest
import servers
from images import BASE, PACKAGES
from judges import programs
from own_docker import SERVERS, Docker, docker_daemon
from repository import ROOT
from workers import own_notice, until

from archive.verify.archives import verify
from demo.plan import SeedPlan
from demo.seed import seed
from portability.storage import open_storage
from portability.trust.signing import Jwks

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]
IMAGE = "localhost/portability:latest"
USER = 10001
BY_SIGTERM = 128 + 15
"""How uvicorn ends after its last answer: by the signal that it got. A process that is killed has 128 + 9."""
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Composed:
    """The folder deploy/ of an operator, with the daemon that runs it."""

    docker: Docker
    folder: Path
    port: int

    def run(self, *arguments: str | Path) -> str:
        """Return what a command of Compose prints, without what it says of containers."""
        return self.sh(f"docker compose {' '.join(map(str, arguments))}")

    def sh(self, script: str) -> str:
        """Return what a script of the guide prints. Raises AssertionError with its errors."""
        environment = {**os.environ, **self.docker.environment, "PORT": str(self.port), "COMPOSE_ANSI": "never"}
        command = ["sh", "-euc", script]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A daemon with our image and those of the two servers."""
    if os.geteuid() != 0:
        programs.missing("Docker as root", "run the tests as root")
    folder = tmp_path_factory.mktemp("docker")
    (folder / "none").mkdir()
    with docker_daemon(folder) as made:
        made.make_base(BASE, PACKAGES)
        made.build((ROOT / "deploy" / "Containerfile").read_text(), IMAGE, context=ROOT, base=BASE)
        made.make_base("localhost/debian-servers", "postgresql,valkey-server,valkey-tools,ca-certificates")
        for name, text in SERVERS.items():
            made.build(text, name, context=folder / "none")
        yield made


@pytest.fixture
def composed(docker: Docker, tmp_path: Path) -> Iterator[Composed]:
    (port,) = servers.free_ports(1)
    made = Composed(docker, Path(copytree(ROOT / "deploy", tmp_path / "deploy")), port)
    yield made
    made.run("down", "--volumes", "--timeout", "10")


def guide() -> tuple[str, str]:
    """The two blocks of the page: the files, and the commands."""
    section = (ROOT / "docs" / "deploy.md").read_text().partition("\n## compose\n")[2].partition("\n## ")[0]
    files, commands = BLOCK.findall(section)
    return files.replace("cd deploy\n", ""), commands


def seeded(composed: Composed) -> str:
    """A platform beside the control database, and one of its account holders."""
    composed.run("up", "--detach", "--wait", "database")
    composed.run("exec", "-T", "database", "createdb", "-U", "portability", "platform")
    container = composed.run("ps", "--quiet", "database").strip()
    address = composed.docker.run(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
    ).strip()
    password = (composed.folder / "database_password").read_text().strip()
    url = f"postgresql+psycopg://portability:{password}@{address}/platform"
    plan = SeedPlan(tenants=1, users=1, contacts=2, calls=2, chats=2, events=3, recordings=0)
    return str(seed(url, open_storage(f"file://{composed.folder}/recordings"), plan).examples.user)


def archive_of_account(composed: Composed, user: str, included: str) -> Path:
    """A new archive of an account."""
    target = composed.folder / "fetched"
    target.mkdir(exist_ok=True)
    os.chown(target, USER, USER)
    asked = ("--profile", "access", "--subject", f"user:{user}", "--include", included)
    done = json.loads(composed.run("run", "--rm", "-T", "clock", "request", *asked, "--wait", "--json"))
    assert done["state"] == "ready"
    fetched = ("fetch", done["id"], "--to", "/fetched", "--json")
    composed.run("run", "--rm", "-T", "--volume", f"{target}:/fetched", "clock", *fetched)
    (path,) = target.glob(f"*{done['id']}*.zip")
    return path


def test_the_guide_makes_a_service(composed: Composed) -> None:
    """Its commands end well; an archive verifies; a worker that is killed starts again; all stop by themselves."""
    files, commands = guide()
    composed.sh(files)
    own_notice(composed.folder / "notice")
    composed.sh("chown 10001:10001 notice/*.toml")
    url = f"http://127.0.0.1:{composed.port}"
    settings = {
        "PORTABILITY_BASE_URL": url,
        "PORTABILITY_NOTICE_DIR": "/etc/portability/notice",
        "PORTABILITY_SOURCE_URL": "postgresql+psycopg://portability@database/platform",
        "PORTABILITY_DEVELOPMENT_LOGIN": "1",
        "PORTABILITY_APPROVALS": "none",
        "PORTABILITY_ALLOW_FETCH": "1",
    }
    (composed.folder / "portability.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    user = seeded(composed)

    composed.sh(commands)
    until(lambda: httpx.get(f"{url}/healthz/ready").status_code == httpx.codes.OK, "web is ready", seconds=60)
    jwks = Jwks.parse(httpx.get(f"{url}/.well-known/jwks.json").json())
    assert verify([archive_of_account(composed, user, "account")], jwks).ok

    killed = composed.run("ps", "--quiet", "worker").split()[0]
    pid = composed.docker.run("inspect", "--format", "{{.State.Pid}}", killed).strip()
    os.kill(int(pid), 9)
    restarts = ("inspect", "--format", "{{.RestartCount}} {{.State.Running}}", killed)
    until(lambda: composed.docker.run(*restarts).strip() == "1 true", "the worker starts again", seconds=60)
    assert verify([archive_of_account(composed, user, "billing")], jwks).ok

    composed.run("stop")
    states = composed.run("ps", "--all", "--format", "'{{.Service}} {{.ExitCode}}'").splitlines()
    ours = sorted(line for line in states if line.startswith(("web", "worker", "clock")))
    assert ours == ["clock 0", f"web {BY_SIGTERM}", "worker 0", "worker 0"], composed.run("logs", "--no-color")
