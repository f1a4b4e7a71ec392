"""Settings of plug-ins: a plug-in declares them, the host checks what a section of the file of sources says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError, ValidationInfo

from portability.api.errors import BadSetting
from portability.api.exporters import Exporter, Sources
from portability.api.references import resolve


class PluginSettings(BaseModel):
    """The base of a plug-in's settings: each field is a key of its section, and has a description.

    Values are not converted, and unknown keys are faults.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


Form = TypeVar("Form", bound=PluginSettings)


def _resolved(reference: object, info: ValidationInfo) -> object:
    return resolve(reference if isinstance(reference, str) else "", str(info.field_name))


Secret: TypeAlias = Annotated[SecretStr, BeforeValidator(_resolved)]
"""A setting whose section has a reference to a secret: `env:NAME` or `file:/path`. `get_secret_value()` returns it."""


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """A setting as the command line shows it."""

    name: str
    type: str
    required: bool
    default: str | None
    description: str


@dataclass(frozen=True, slots=True)
class ConfiguredFactory(Generic[Form]):
    """An exporter factory with settings; `configured` makes it."""

    form: type[Form]
    make: Callable[[Sources, Form], Exporter]

    def __call__(self, sources: Sources) -> Exporter:
        """Make the exporter without a section of its own. Raises BadSetting if a setting is required."""
        return self.start(sources, {})

    def start(self, sources: Sources, keys: Mapping[str, object]) -> Exporter:
        """Make the exporter with the keys of its section. Raises BadSetting, with every fault and without values."""
        try:
            # By way of JSON, strict types accept the words of enumerations, and lists as tuples.
            settings = self.form.model_validate_json(json.dumps(dict(keys), default=str))
        except ValidationError as error:
            faults = [self._fault(fault) for fault in error.errors(include_url=False, include_input=False)]
            raise BadSetting("; ".join(faults), hint="`portability plugins --settings` lists the settings") from None
        return self.make(sources, settings)

    def describe(self) -> list[SettingDescription]:
        """Return the settings in the order of their declaration."""
        schema = self.form.model_json_schema()
        return [
            SettingDescription(
                name,
                "reference to a secret" if field.annotation is SecretStr else _type_of(schema, name),
                field.is_required(),
                None if field.is_required() or field.default is None else _shown(field.default),
                field.description or "",
            )
            for name, field in self.form.model_fields.items()
        ]

    def _fault(self, fault: Any) -> str:  # noqa: ANN401  # a TypedDict of the library that may change
        name = ".".join(map(str, fault["loc"]))
        match fault["type"]:
            case "extra_forbidden":
                return f"unknown key {name!r}; valid keys: {', '.join(('kind', 'trusts', *self.form.model_fields))}"
            case "missing":
                return f"{name} is missing"
            case _:
                message = str(fault["msg"]).removeprefix("Value error, ")
                return f"{name}: {message[:1].lower()}{message[1:]}"


def configured(form: type[Form]) -> Callable[[Callable[[Sources, Form], Exporter]], ConfiguredFactory[Form]]:
    """Make a factory of a function `(sources, settings) -> Exporter`; the entry point names the factory."""

    def make(function: Callable[[Sources, Form], Exporter]) -> ConfiguredFactory[Form]:
        return ConfiguredFactory(form, function)

    return make


def _type_of(schema: Mapping[str, Any], name: str) -> str:
    """Return the type of a property as JSON Schema names it, or its words."""
    stated = schema["properties"][name]
    stated = schema.get("$defs", {}).get(str(stated.get("$ref")).removeprefix("#/$defs/"), stated)
    return " | ".join(map(str, stated["enum"])) if "enum" in stated else str(stated.get("type", "any"))


def _shown(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default, default=str)
