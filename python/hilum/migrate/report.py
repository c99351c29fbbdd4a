"""Reconciliation: what the peer has announced, sent, and what is in the archive; for people and for programs."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TextIO

from hilum.migrate.ledger import STATES, StudyLine

if TYPE_CHECKING:
    from hilum.migrate.ledger import Ledger

__all__ = ["Report", "summarise", "write_csv", "write_json", "write_text"]

_SUMS: Final = ("series", "instances", "before", "received", "stored", "extra", "size")
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Report:
    """The sums of a ledger."""

    source: str
    keys: str
    states: dict[str, int]
    """Studies in each state."""
    sums: dict[str, int]
    """Of the numbers of a `StudyLine`."""
    reasons: dict[str, int]
    """Instances that are not there, by reason."""
    crawled: bool
    """The crawl has come to its end."""
    gaps: list[tuple[str, str]]
    """Parts of the crawl that could not be completed."""
    worst: list[StudyLine] = field(default_factory=list)
    """The first studies that are not as announced."""

    @property
    def studies(self) -> int:
        """Announced studies."""
        return sum(self.states.values())

    @property
    def complete(self) -> bool:
        """Everything that the peer has is in the archive, as far as it tells."""
        return self.crawled and set(self.states) <= {"done"} and not self.gaps


def summarise(ledger: Ledger) -> Report:
    """Add up a ledger."""
    sums, states, reasons = Counter[str](dict.fromkeys(_SUMS, 0)), Counter[str](), Counter[str]()
    worst: list[StudyLine] = []
    for line in ledger.lines():
        states[line.state] += 1
        sums.update({name: getattr(line, name) for name in _SUMS})
        reasons.update(line.differences.values())
        if line.state in ("different", "failed") and len(worst) < _SHOWN:
            worst.append(line)
    return Report(
        ledger.get("source"),
        ledger.get("keys"),
        dict(states),
        dict(sums),
        dict(reasons),
        ledger.get("crawl") == "complete",
        ledger.gaps(),
        worst,
    )


def write_text(report: Report, out: TextIO) -> None:
    """Write the sums for people."""
    sums = report.sums
    size = f"{sums['size'] / (1 << 20):.1f} MiB"
    print(f"source     {report.source} {report.keys}".rstrip(), file=out)
    print(f"studies    {report.studies} announced", file=out)
    for state, meaning in STATES.items():
        if state in report.states:
            print(f"           {report.states[state]} {state}: {meaning}", file=out)
    print(f"series     {sums['series']} announced", file=out)
    print(f"instances  {sums['instances']} announced, {sums['before']} were here before", file=out)
    print(f"           {sums['received']} sent by the peer, {sums['stored']} in the archive ({size})", file=out)
    if sums["extra"]:
        print(f"           {sums['extra']} more of these studies in the archive, not announced by the peer", file=out)
    for reason, count in sorted(report.reasons.items(), key=lambda item: -item[1]):
        print(f"missing    {count} instances: {reason}", file=out)
    if not report.crawled:
        print("not found  the crawl was not finished: there may be more studies", file=out)
    for what, why in report.gaps:
        print(f"not found  {what}: {why}", file=out)
    for line in report.worst:
        text = f"{line.stored} of {line.instances} instances"
        print(f"see        study {line.uid} ({line.state}, {text}) {line.note}".rstrip(), file=out)
    print(
        "complete: everything announced is in the archive, read again, with its hash"
        if report.complete
        else "not complete",
        file=out,
    )


def write_json(ledger: Ledger, report: Report, out: TextIO) -> None:
    """Write the sums and each study for programs; study by study, so a large ledger needs no memory."""
    head: dict[str, Any] = {
        "source": report.source,
        "keys": report.keys,
        "complete": report.complete,
        "states": report.states,
        "sums": report.sums,
        "reasons": report.reasons,
        "crawled": report.crawled,
        "gaps": [{"what": what, "why": why} for what, why in report.gaps],
    }
    text = json.dumps(head, indent=1)
    out.write(text[:-2] + ',\n "studies": [')
    for number, line in enumerate(ledger.lines()):
        out.write((",\n  " if number else "\n  ") + json.dumps(asdict(line)))
    out.write("\n ]\n}\n")


def write_csv(ledger: Ledger, out: TextIO) -> None:
    """Write one line for each study."""
    names = [item.name for item in fields(StudyLine)]
    writer = csv.writer(out)
    writer.writerow(names)
    for line in ledger.lines():
        values = asdict(line)
        values["differences"] = "; ".join(f"{uid}: {why}" for uid, why in line.differences.items())
        writer.writerow([values[name] for name in names])
