"""What a tree of folders says about the pictures in it: `<class>/picture`, or `<part>/<class>/picture`.

Folders below a class belong to it. Hidden files and folders, those that archivers and file managers leave behind, and
files that are no pictures count for nothing. A tree is in parts if all its folders are named like parts, or if `train`
and another part stand beside other folders and `train` holds folders only: a class may be called "train", too.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from glasswork.data.sources.decode import is_picture
from glasswork.data.sources.found import refuse_unknown_classes
from glasswork.errors import DataError, one_line

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
LAYOUT = "expected one folder per class with its pictures, or train/, val/ and test/ with such folders"

Steps = tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """Pictures in the order of their paths, and the class and part of each; no part is an empty string."""

    files: tuple[str, ...]
    classes: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class once, sorted."""
        return tuple(sorted(set(self.classes)))


def is_hidden(step: str) -> bool:
    """Whether a file or folder of this name is not part of the data.

    >>> is_hidden(".DS_Store"), is_hidden("__MACOSX"), is_hidden("cats")
    (True, True, False)
    """
    return step.startswith(".") or step == "__MACOSX"


def arranged(files: Iterable[str], folders: Iterable[str], where: str) -> Tree:
    """The tree made of these files and folders, given as paths from its root with forward slashes.

    `where`: what it is called in messages. Raises `DataError` for a tree in which the class of some picture is unclear.
    """
    shown = sorted(steps for name in files if not any(map(is_hidden, steps := tuple(name.split("/")))))
    pictures = [steps for steps in shown if is_picture(steps[-1])]
    if not pictures:
        raise DataError(f"{where} holds no pictures ({kinds(shown)}); {LAYOUT}")
    in_parts = has_parts(pictures)
    if in_parts:
        refuse_strays(pictures, where)
    refuse_loose(pictures, depth=3 if in_parts else 2, where=where)
    refuse_empty(pictures, [tuple(name.split("/")) for name in folders], shown, in_parts, where)
    parts = tuple(PARTS[steps[0].lower()] if in_parts else "" for steps in pictures)
    # One name can be spelt in two ways in Unicode, and archives made on different machines differ in it.
    classes = tuple(unicodedata.normalize("NFC", steps[1 if in_parts else 0]) for steps in pictures)
    tree = Tree(tuple("/".join(steps) for steps in pictures), classes, parts)
    refuse_foreign_classes(tree)
    return tree


def has_parts(pictures: list[Steps]) -> bool:
    """Whether the folders at the root are parts rather than classes."""
    tops = {steps[0].lower() for steps in pictures if len(steps) > 1}
    if not tops or tops <= PARTS.keys():
        return bool(tops)
    flat_train = any(steps[0].lower() == "train" and len(steps) == 2 for steps in pictures)
    return "train" in tops and len(tops & PARTS.keys()) > 1 and not flat_train


def kinds(files: list[Steps]) -> str:
    """What lies there instead of pictures.

    >>> kinds([("a.txt",), ("b.txt",), ("c",)])
    'found 2 .txt files, 1 file without extension'
    """
    found = Counter(PurePosixPath(steps[-1]).suffix.lower() for steps in files)
    texts = [
        f"{count} {one_line(suffix)} file{'s' * (count > 1)}"
        if suffix
        else f"{count} file{'s' * (count > 1)} without extension"
        for suffix, count in found.most_common(5)
    ]
    return "found " + (", ".join(texts) or "nothing")


def refuse_loose(pictures: list[Steps], depth: int, where: str) -> None:
    """A picture outside a class folder has no class."""
    loose = [steps for steps in pictures if len(steps) < depth]
    if loose:
        some = "1 picture lies" if len(loose) == 1 else f"{len(loose)} pictures lie"
        first = one_line("/".join(loose[0]))
        raise DataError(
            f"in {where} {some} outside any class folder ({first}); move each into a folder named after its class"
        )


def refuse_strays(pictures: list[Steps], where: str) -> None:
    """Where there are parts there is a training part, and nothing beside the parts."""
    tops = sorted({steps[0] for steps in pictures if len(steps) > 1})
    if "train" not in {top.lower() for top in tops}:
        raise DataError(f"{where} has {' and '.join(tops)} but no train; {LAYOUT}")
    strays = [one_line(top) for top in tops if top.lower() not in PARTS]
    if strays:
        raise DataError(f"beside train, val and test {where} has pictures in {', '.join(strays)}; move them elsewhere")


def refuse_empty(pictures: list[Steps], folders: list[Steps], files: list[Steps], in_parts: bool, where: str) -> None:
    """A class or part without pictures is a mistake that would otherwise go unseen."""
    filled = {steps[:depth] for steps in pictures for depth in (1, 2)}
    for folder in sorted(folders):
        part = in_parts and folder[0].lower() in PARTS
        of_interest = len(folder) <= (2 if part else 1) and (part or not in_parts)
        if of_interest and folder not in filled and not any(map(is_hidden, folder)):
            inside = kinds([steps for steps in files if steps[: len(folder)] == folder])
            name = one_line("/".join(folder))
            raise DataError(f"the folder {name} in {where} holds no pictures ({inside}); fill it or remove it")


def refuse_foreign_classes(tree: Tree) -> None:
    """Classes of the validation and test parts are those of training."""
    known = {name for name, part in zip(tree.classes, tree.parts, strict=True) if part in ("train", "")}
    for part in ("validation", "test"):
        here = {name for name, own in zip(tree.classes, tree.parts, strict=True) if own == part}
        refuse_unknown_classes(part, sorted(here - known), sorted(known))
