"""The looks of a watched training: what each layer did at each of a few dozen steps; as a record and as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from glasswork.errors import FileError
from glasswork.insight.signals_advice import diagnose
from glasswork.insight.signals_record import Finding, LayerSignal, as_json, signals_table
from glasswork.insight.signals_words import Said

_TEXTS, _COUNTS = ("layer", "kind", "weight"), ("use", "units", "depth", "remaining")


@dataclass(frozen=True)
class SignalLook:
    """One look, at one step of a training.

    `step`: counted from 1 over all epochs; `epoch`: from 1. `learning_rate`: of the step. `examples`: how many of the
    step's batch were looked at; `loss`: the recipe's, of them, before the step, `None` if not finite. `layers`: in
    order of execution.
    """

    step: int
    epoch: int
    learning_rate: float
    examples: int
    loss: float | None
    layers: tuple[LayerSignal, ...]


ABOUT = tuple(field.name for field in fields(SignalLook) if field.name != "layers")
COLUMNS = (*ABOUT, *(field.name for field in fields(LayerSignal)))
"""Of the file: a row per look and layer."""


@dataclass(frozen=True)
class SignalHistory:
    """All looks at one training, first to last; there may be none."""

    looks: tuple[SignalLook, ...]

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What can be said of the last look, and since which step it has been so.

        `since_step` in the evidence: of the first look from which on every one says the same.
        """
        if not self.looks:
            return ()
        first, last = self.looks[0], self.looks[-1]
        return tuple(self._since(finding) for finding in diagnose(last.layers, began=first.layers))

    def series(self, layer: str, measure: str, use: int = 1) -> list[tuple[int, float]]:
        """One number of one layer over training: pairs of step and value, without the looks that have none.

        `measure`: a field of `LayerSignal`.
        """
        found = [
            (look.step, getattr(signal, measure))
            for look in self.looks
            for signal in look.layers
            if (signal.layer, signal.use) == (layer, use)
        ]
        return [(step, value) for step, value in found if value is not None]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return as_json({**asdict(self), "findings": [finding.as_dict() for finding in self.findings]})

    def as_csv(self) -> str:
        """A header and a row per look and layer. Numbers are written so that they come back exactly; none is empty.

        One that is not finite is `inf`.
        """
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        for look in self.looks:
            about = [getattr(look, name) for name in ABOUT]
            rows.writerows([*about, *vars(layer).values()] for layer in look.layers)
        return text.getvalue()

    def __str__(self) -> str:
        if not self.looks:
            return "no looks"
        steps = f"{len(self.looks)} looks, steps {self.looks[0].step} to {self.looks[-1].step}"
        return "\n".join([steps, *map(str, self.findings)])

    def _repr_html_(self) -> str:
        return "".join(signals_table(f"Step {look.step}", look.layers) for look in (self.looks[:1] + self.looks[-1:]))

    def _since(self, finding: Finding) -> Finding:
        since = self.looks[-1].step
        for look in reversed(self.looks):
            if not any(other.name == finding.name for other in diagnose(look.layers)):
                break
            since = look.step
        always = since == self.looks[0].step
        sentence = (
            Said("always", finding=finding.sentence)
            if always
            else Said("since", step=f"{since:,}", finding=finding.sentence)
        )
        return replace(finding, sentence=sentence, evidence={**finding.evidence, "since_step": since})


def history_from_csv(text: str) -> SignalHistory:
    """The inverse of `as_csv`. Raises `FileError` if it is none of ours."""
    lines = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise FileError("this is no table of signals: its columns are others; take the signals.csv of a run")
        return SignalHistory(tuple(_looks(lines)))
    except (TypeError, ValueError, AttributeError, csv.Error):
        raise FileError("this table of signals is damaged: a row cannot be read; train the run again") from None


def _looks(rows: Iterable[dict[str, str]]) -> Sequence[SignalLook]:
    looks: dict[tuple[int, int, float, int, float | None], list[LayerSignal]] = {}
    for row in rows:
        if None in row or None in row.values():
            raise ValueError("more or fewer cells than columns")
        loss = float(row["loss"]) if row["loss"] else None
        about = int(row["step"]), int(row["epoch"]), float(row["learning_rate"]), int(row["examples"]), loss
        layer = LayerSignal(**{field.name: _value(field.name, row[field.name]) for field in fields(LayerSignal)})
        looks.setdefault(about, []).append(layer)
    return [SignalLook(*about, tuple(layers)) for about, layers in looks.items()]


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text or None
    if not text:
        return None
    return int(text) if name in _COUNTS else float(text)
