"""Where is every mechanism of deep learning seen? The table of the project, row by row, with its place in a report."""

from __future__ import annotations

from collections.abc import Iterable

from glasswork.report.blocks import Cell, Section, Table
from glasswork.report.phrases import Phrases

PLACES: dict[int, tuple[str, str]] = {
    1: ("configuration", "glasswork compare digits --vary learning_rate=0.01,0.001"),
    2: ("signals", "glasswork train digits"),
    3: ("scores", "glasswork train diabetes"),
    4: ("curves", "glasswork train digits"),
    5: ("start", "glasswork train digits"),
    6: ("data", "glasswork train digits"),
    7: ("folds", "glasswork crossval digits"),
    8: ("verdict", "glasswork train digits"),
    9: ("signals", "glasswork train digits"),
    10: ("signals", "glasswork train digits --dropout 0.5"),
    11: ("signals", "glasswork train digits"),
    12: ("layers", "glasswork explain lenet"),
    13: ("start", "glasswork train digits"),
    14: ("signals", "glasswork train digits --initialise constant --allow-symmetry"),
    15: ("layers", "glasswork explain mlp --tied-hidden 2"),
    16: ("configuration", "glasswork train digits"),
    17: ("invariance", "glasswork train digits"),
    18: ("receptive", "glasswork train digits"),
    19: ("layers", "glasswork explain lenet"),
    20: ("layers", "glasswork explain alexnet"),
    21: ("layers", "glasswork explain --window 5 --time"),
    22: ("maps", "glasswork train digits"),
    23: ("layers", "glasswork explain lenet"),
    24: ("layers", "glasswork explain lenet"),
    25: ("layers", "glasswork explain alexnet"),
    26: ("layers", "glasswork explain vgg16"),
    27: ("layers", "glasswork explain googlenet"),
    28: ("layers", "glasswork explain lenet alexnet vgg16 googlenet"),
}
"""By row: the section that shows it, and a command that shows it, in its report or on the terminal."""


def shown_in(section: str) -> tuple[int, ...]:
    """The rows that a section shows.

    >>> shown_in("data")
    (6,)
    """
    return tuple(number for number, (place, _) in PLACES.items() if place == section)


def mechanisms_section(sections: Iterable[Section], judged: bool, say: Phrases) -> Section:
    """All rows: a link to the section of this page that shows each, or the command whose report does.

    `judged`: whether the page opens with a verdict on a fit.
    """
    here = {number: section for section in sections for number in section.mechanisms}
    rows = []
    for number, (place, command) in PLACES.items():
        section = here.get(number)
        if section is not None:
            where = Cell(section.title, section=section.name)
        elif place == "verdict" and judged:
            where = Cell(say("verdict.title"), section="verdict")
        else:
            where = Cell(say("mechanisms.elsewhere", command=command))
        rows.append((str(number), say(f"mechanism.{number}"), where))
    header = (say("mechanisms.number"), say("mechanisms.mechanism"), say("mechanisms.where"))
    table = Table(say("mechanisms.caption"), header, tuple(rows), numbers=False)
    return Section("mechanisms", say("mechanisms.title"), say("mechanisms.reading"), (table,))
