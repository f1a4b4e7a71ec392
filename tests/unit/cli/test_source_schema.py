"""`portability source schema`: what maps of a kind may contain, for editors."""

from __future__ import annotations

import json

from click.testing import CliRunner
from crm_database import MAP
from jsonschema import Draft202012Validator

from cli.main import main
from exporters.maps.reading import MapText
from exporters.sql.mapped.kind import kind


def test_the_schema_of_a_kind() -> None:
    """It is the schema of the form by which maps are read."""
    done = CliRunner().invoke(main, ["source", "schema", "sql"])
    assert done.exit_code == 0, done.output
    schema = json.loads(done.output)
    Draft202012Validator.check_schema(schema)
    assert schema == dict(kind.schema())
    assert kind.parse(MapText(MAP.name, MAP.read_text())).form.title == "CRM"


def test_a_kind_without_maps() -> None:
    """The error names the kinds that have maps."""
    done = CliRunner().invoke(main, ["source", "schema", "python", "--json"])
    assert done.exit_code == 2
    message = json.loads(done.output)["error"]["message"]
    assert message.startswith("'python' is not a kind of source with maps; there are: ")
    assert "sql" in message
