"""Alerts as Prometheus rings them: its own tool reads the rules, and series that a test makes or has scraped."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from judges import programs
from prometheus_client.parser import text_string_to_metric_families
from repository import ROOT

RULES = ROOT / "deploy" / "prometheus" / "portability.rules.yaml"
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
Series = Mapping[str, str]
"""Values in promtool's notation, one a minute, by the series' name and labels."""


def rules() -> Sequence[Mapping[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: Sequence[Mapping[str, Any]] = group["rules"]
    return found


def metric_names(expression: str) -> set[str]:
    """Names of metrics in a PromQL expression, without functions, operators, labels and durations."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', "", expression)
    return set(re.findall(r"\b(?:portability|node|up)[a-z_]*\b", bare))


@dataclass
class AlertCases:
    """Expectations for promtool; `check` runs all of them at once."""

    cases: list[dict[str, Any]] = field(default_factory=list)

    def expect(self, name: str, series: Series, ringing: Mapping[int, Collection[str]]) -> None:
        """At each minute exactly these alerts ring."""
        tests = [
            {
                "expr": FIRING,
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)],
            }
            for minute, alerts in ringing.items()
        ]
        inputs = [{"series": name, "values": values} for name, values in series.items()]
        self.cases.append({"name": name, "interval": "1m", "input_series": inputs, "promql_expr_test": tests})

    def check(self, folder: Path) -> None:
        """Fail with what promtool saw instead, by the name of the case."""
        promtool = programs.program("promtool", package="promtool")
        tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": self.cases}
        (folder / "tests.yaml").write_text(yaml.safe_dump(tests))
        programs.run([promtool, "test", "rules", folder / "tests.yaml"])


def series_of(scrapes: Iterable[tuple[int, str]]) -> Series:
    """The series of what was scraped: each text stands for a number of minutes.

    In the last text ages grow, as they do while nothing changes: this is the accelerated clock.
    """
    minutes: list[dict[str, float]] = []
    for count, text in scrapes:
        seen = _samples(text)
        minutes += [{name: _aged(name, value, 60 * minute) for name, value in seen.items()} for minute in range(count)]
    names = sorted({name for seen in minutes for name in seen})
    return {name: " ".join(_written(seen.get(name)) for seen in minutes) for name in names}


def _samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def _aged(name: str, value: float, seconds: float) -> float:
    is_age = name.partition("{")[0].endswith("_age_seconds") and value > 0
    return value + seconds if is_age else value


def _written(value: float | None) -> str:
    return "_" if value is None else f"{value:.6g}"
