"""What a person should know of the data, in a sentence that can be said in another language too."""

from __future__ import annotations

from glasswork.sentence import Sentence

SENTENCES = {
    "empty": "column {column} is left out: it is empty",
    "constant": "column {column} is left out: it is the same in every row",
    "differs": "column {column} is left out: its text differs in nearly every row",
    "half_numbers": "column {column} is text, although {numbers} of {n} values are numbers",
    "codes": "column {column} is taken as categories, because numbers do not begin with zero as {code} does",
    "levels": "column {column} has {levels} different values; all but the {most} most frequent are taken as one",
    "identifies": "column {column} differs in every row; pass --identifier {name} if it only names them",
    "identifier": "the column {column} is taken as the identifier and not learned from",
    "unnamed": "the first column, which has no name, is taken as the identifier and not learned from",
}
"""By the name of the note; a report has them by the same names in its languages."""


class Note(Sentence):
    """One of `SENTENCES`.

    >>> note = Note("constant", column="'height'")
    >>> print(note, note.name, note.values)
    column 'height' is left out: it is the same in every row constant {'column': "'height'"}
    """

    __slots__ = ()
    kind, sentences = "note", SENTENCES
