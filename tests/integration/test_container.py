"""The image does the whole job: web, worker and clock in containers, PostgreSQL, Valkey and S3 outside of them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
import servers
from images import Container, Images, fresh_tag
from judges import programs
from workers import own_notice, until

from archive.verify.archives import verify
from demo.plan import SeedPlan
from demo.seed import seed
from portability.storage import open_storage
from portability.trust.signing import Jwks

pytestmark = pytest.mark.system
USER = 10001
IMAGE_BYTES_MAX = 450 << 20
PURPOSES = ("archive", "link", "audit", "transfer")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """A store of images, with the base."""
    if os.geteuid() != 0:
        programs.missing("buildah as root", "run the tests as root")
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def image(images: Images) -> str:
    """The image of this repository."""
    return images.build(fresh_tag(), base=images.make_base())


@pytest.fixture(scope="module")
def container(images: Images, image: str) -> Iterator[Container]:
    """A container in which several processes run: a copy of the image for each would cost minutes."""
    with images.container(image) as made:
        yield made


def _owned(folder: Path) -> Path:
    """A folder of the image's user."""
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


@pytest.mark.timeout(1200)
def test_the_image_is_small_and_not_root(images: Images, image: str, container: Container) -> None:
    """Its user is not root and writes to the archives alone; there is no pip; the health check is that of web."""
    assert images.inspect(image, "{{.OCIv1.Config.User}}") == "10001:10001"
    assert "/healthz/live" in images.inspect(image, "{{.Docker.Config.Healthcheck}}")
    assert container.run("id", "-u").strip() == str(USER)
    assert container.run("portability", "--version").strip().endswith("0.1.0")
    writable = "find / -xdev -writable -not -path '/proc/*' -not -path '/tmp*' -not -type l 2>/dev/null || true"
    of_the_base = {"/var/tmp", "/run/lock", "/dev/shm"}
    assert set(container.run("sh", "-c", writable).split()) - of_the_base == {"/var/lib/portability"}
    assert container.run("sh", "-c", "ls /opt/portability/bin | grep -c pip || true").strip() == "0"
    used = int(container.run("sh", "-c", "du -sxb / 2>/dev/null | cut -f1 || true"))
    assert used < IMAGE_BYTES_MAX


@pytest.fixture
def redis_port() -> Iterator[int]:
    (port,) = servers.free_ports(1)
    with servers.valkey(port=port):
        yield port


@pytest.mark.timeout(1200)
def test_containers_do_the_whole_job(
    container: Container, pg_server: servers.Postgres, redis_port: int, s3: servers.S3Server, tmp_path: Path
) -> None:
    """Upgrade, keys, doctor, web, worker, clock; an archive that verifies with the keys that web publishes; metrics."""
    control, platform = (pg_server.url(pg_server.create_database()) for _ in range(2))
    (web_port,) = servers.free_ports(1)
    url = f"http://127.0.0.1:{web_port}"
    settings = {
        "PORTABILITY_DATABASE_URL": control,
        "PORTABILITY_SOURCE_URL": platform,
        "PORTABILITY_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "PORTABILITY_STORAGE_URL": s3.url(f"archives-{secrets.token_hex(4)}"),
        "PORTABILITY_RECORDINGS_URL": s3.url(f"recordings-{secrets.token_hex(4)}"),
        "PORTABILITY_KEYS_DIR": "/etc/portability/keys",
        "PORTABILITY_NOTICE_DIR": "/etc/portability/notice",
        "PORTABILITY_BASE_URL": url,
        "PORTABILITY_DEVELOPMENT_LOGIN": "1",
        "PORTABILITY_APPROVALS": "none",
        **s3.environment,
    }
    plan = SeedPlan(tenants=1, users=1, contacts=3, calls=3, chats=3, events=5, recordings=2)
    examples = seed(platform, open_storage(settings["PORTABILITY_RECORDINGS_URL"]), plan).examples
    keys, notice = _owned(tmp_path / "keys"), own_notice(tmp_path / "notice")
    volumes = [f"{keys}:/etc/portability/keys", f"{notice}:/etc/portability/notice:ro"]
    with ExitStack() as running:
        _prepare(container, volumes, settings)
        for name in ("web", "worker", "clock"):
            listening = ("--port", str(web_port)) if name == "web" else ()
            log = tmp_path / f"{name}.log"
            started = container.started("portability", name, *listening, log=log, volumes=volumes, settings=settings)
            running.enter_context(started)
        until(lambda: _answers(f"{url}/healthz/ready"), "web is ready", seconds=60)
        asked = ("--profile", "access", "--subject", f"user:{examples.user}", "--include", "account,billing")
        waiting = ("portability", "request", *asked, "--wait", "--json")
        done = json.loads(container.run(*waiting, volumes=volumes, settings=settings))
        assert done["state"] == "ready"
        _is_measured(container, url, volumes, settings)
        jwks = Jwks.parse(httpx.get(f"{url}/.well-known/jwks.json").json())
    storage = open_storage(settings["PORTABILITY_STORAGE_URL"])
    (key,) = (found.key for found in storage.list() if found.key.endswith(".zip"))
    archive = tmp_path / "archive.zip"
    archive.write_bytes(b"".join(storage.read(key)))
    assert verify([archive], jwks).ok


def _prepare(container: Container, volumes: list[str], settings: Mapping[str, str]) -> None:
    container.run("portability", "db", "upgrade", volumes=volumes, settings=settings)
    for purpose in PURPOSES:
        container.run("portability", "keys", "new", "--purpose", purpose, volumes=volumes, settings=settings)
    container.run("portability", "doctor", "--before-start", volumes=volumes, settings=settings)


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url).status_code == httpx.codes.OK
    return False


def _is_measured(container: Container, url: str, volumes: list[str], settings: Mapping[str, str]) -> None:
    """Web reports a worker, a clock, all services, and the export, once the clock has counted it."""
    token = container.run("portability", "metrics", "--token", volumes=volumes, settings=settings).strip()
    expected = {
        "portability_workers 1.0",
        "portability_clock_up 1.0",
        *(f'portability_service_up{{service="{name}"}} 1.0' for name in ("database", "redis", "storage")),
        'portability_exports{profile="access",state="ready"} 1.0',
    }

    def is_reported() -> bool:
        scraped = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"}).text
        return expected <= set(scraped.splitlines())

    until(is_reported, "the export is measured", seconds=120)
