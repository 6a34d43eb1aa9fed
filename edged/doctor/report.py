"""The findings as an owner reads them, and as a machine does.

In:  findings.     Out: text, JSON, whether `edged run` would work.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from edged.doctor.finding import Finding
from edged.errors import EXIT_ENGINE_UNUSABLE


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the checks.

    Attributes:
        subject: of the last sentence: what would work, or not.
    """

    findings: tuple[Finding, ...]
    subject: str = "edged run"

    @property
    def exit_code(self) -> int:
        """Return 0 when `edged run` would work, else 69."""
        return EXIT_ENGINE_UNUSABLE if self._count("error") else 0

    def as_json(self) -> str:
        """Return the report for a machine."""
        findings = [asdict(one) for one in self.findings]
        return json.dumps({"works": self.exit_code == 0, "findings": findings}, ensure_ascii=False)

    def as_text(self) -> str:
        """Return the report for a person: a line for each finding, and below it what mends it."""
        lines = [line for one in self.findings for line in _lines(one)]
        return "\n".join([*lines, self._sum()])

    def _sum(self) -> str:
        errors, warnings = self._count("error"), self._count("warning")
        works = "would work" if errors == 0 else "would not work"
        counts = f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
        return f"{self.subject} {works}: {counts}"

    def _count(self, level: str) -> int:
        return sum(one.level == level for one in self.findings)


def _lines(finding: Finding) -> list[str]:
    first = f"{finding.level:8} {finding.name:10} {finding.says}"
    return [first] if finding.mend is None else [first, f"{'':19} do: {finding.mend}"]


def _counted(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
