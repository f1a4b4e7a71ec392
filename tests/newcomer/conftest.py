"""BottleCRM as it is installed from PyPI: a real CRM of about 150 tables, under forced row-level security."""

from __future__ import annotations

from collections.abc import Iterator

import bottlecrm as support
import pytest
import servers
from bottlecrm import BottleApi, BottleCrm
from judges.programs import missing
from servers import ServerMissing


@pytest.fixture(scope="session")
def bottlecrm_installed(pg_server: servers.Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BottleCrm]:
    """The CRM with a filled database."""
    try:
        made = support.installed(tmp_path_factory.mktemp("bottlecrm"), pg_server)
    except ServerMissing as error:
        missing("BottleCRM", str(error))
    yield made
    pg_server.drop_database(made.database)


@pytest.fixture(scope="session")
def bottlecrm(bottlecrm_installed: BottleCrm) -> str:
    """The name of its database."""
    return bottlecrm_installed.database


@pytest.fixture(scope="session")
def bottlecrm_api(bottlecrm_installed: BottleCrm, pg_server: servers.Postgres) -> Iterator[BottleApi]:
    """Its REST API."""
    with support.serving_api(bottlecrm_installed, pg_server) as api:
        yield api
