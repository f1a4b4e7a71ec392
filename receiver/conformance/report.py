"""The report of a run: for each rule what was expected, what was seen, and where the rule is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from xml.etree import ElementTree as ET

from portability.api import JSON


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule and what was seen of it."""

    name: str
    rule: str
    section: str
    """The page and heading of the documents."""
    expected: str
    seen: str
    ok: bool


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """All rules of a run."""

    role: str
    """Which side was tested: `recipient` or `sender`."""
    subject: str
    """The origin of the tested side: a link is a secret, and is not in a report."""
    results: Sequence[RuleResult]

    @property
    def failed(self) -> Sequence[RuleResult]:
        """Return the rules that are not kept."""
        return [result for result in self.results if not result.ok]

    @property
    def ok(self) -> bool:
        return bool(self.results) and not self.failed

    def to_json(self) -> dict[str, JSON]:
        """Return the report in the form of the CLI contract."""
        counts: dict[str, JSON] = {"ok": self.ok, "rules": len(self.results), "failed": len(self.failed)}
        checks: list[JSON] = [asdict(result) for result in self.results]
        return {"role": self.role, "subject": self.subject, **counts, "checks": checks}

    def to_junit(self) -> bytes:
        """Return the report as JUnit XML, which programs for continuous integration read."""
        numbers = {"tests": str(len(self.results)), "failures": str(len(self.failed))}
        suite = ET.Element("testsuite", {"name": f"conformance of the {self.role}", **numbers})
        for result in self.results:
            names = {"name": result.name, "classname": f"{self.role}.{result.section}"}
            case = ET.SubElement(suite, "testcase", names)
            if not result.ok:
                message = f"{result.rule}: expected {result.expected}; seen {result.seen}"
                ET.SubElement(case, "failure", {"message": printable(message)}).text = result.section
        return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


Finished = Callable[[RuleResult], object]
"""Called with each result as it is known; from several threads."""


def printable(text: str) -> str:
    """Return a text without control characters, which neither XML nor a terminal takes."""
    return "".join(character if character.isprintable() else "?" for character in text)
