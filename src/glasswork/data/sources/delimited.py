"""Text files with one row per line: .csv, .tsv and .txt, perhaps packed with gzip.

The delimiter is the one of , ; tab | that cuts the header into most columns. Fields may be quoted, and then hold line
breaks. Text is UTF-8, or UTF-16 with a byte-order mark. A row is called by the line it begins on, the header being
line 1: "row 2" is the first. Empty lines, and rows of empty fields only, are passed over.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from glasswork.data.sources.decode import reason
from glasswork.data.sources.raw import RawTable, listed, refuse_bad_names
from glasswork.errors import DataError, one_line

DELIMITERS = (",", ";", "\t", "|")
SPELT = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LONGEST_HEADER = 1_000_000  # characters looked at for the delimiter
ROWS_AT_ONCE = 1024  # Python texts are large: so many rows are kept as such, and stay in the processor's cache

_MAGIC = {
    b"PK": ("a zip archive or a spreadsheet", "save it as CSV UTF-8"),
    b"PAR1": ("a Parquet file", "rename it to .parquet"),
    b"\x89PNG": ("a picture", "give a table"),
    b"%PDF": ("a PDF", "give a table"),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet", "save it as CSV UTF-8"),
}


def read_delimited(path: Path, *, skip_broken: bool | None = False) -> RawTable:
    """The rows of this file as texts. Raises `DataError` where it is no such file, or a row has too few or too many.

    `skip_broken`: leave rows of another length out, naming them; None where that is not on offer.
    """
    title = one_line(path)
    text = decoded_text(unpacked(path, title), title)
    delimiter = delimiter_of(text)
    records = _records(text, delimiter, title)
    header = [name.strip() for name in next(records, (0, [""]))[1]]
    if len(header) == 1:
        raise DataError(
            f"{title} has one column, expected several between commas, semicolons, tabs or bars; "
            "check how the file was written"
        )
    refuse_bad_names(title, header)
    rows = _Rows(header, title)
    while block := list(islice(records, ROWS_AT_ONCE)):
        rows.add(block)
    rows.refuse_ragged(delimiter, skip_broken)
    name = path.name.removesuffix(".gz")
    return RawTable(
        name=Path(name).stem,
        title=title,
        columns=rows.columns(),
        rows=rows.names,
        decimal_comma=delimiter != ",",
        broken=tuple(rows.ragged),
    )


@dataclass
class _Rows:
    """Rows put together in Arrow's memory, a tenth of Python's."""

    header: list[str]
    title: str
    names: list[str] = field(default_factory=list)
    blocks: list[list[Any]] = field(default_factory=list)
    ragged: list[tuple[str, str]] = field(default_factory=list)

    def add(self, records: Sequence[tuple[int, list[str]]]) -> None:
        import pyarrow as pa

        width = len(self.header)
        for line, record in records:
            if len(record) != width:
                self.ragged.append((f"row {line}", f"{len(record)} field{'s' if len(record) > 1 else ''}"))
        whole = [(line, record) for line, record in records if len(record) == width]
        if whole:
            self.names += [f"row {line}" for line, _ in whole]
            columns = zip(*(record for _, record in whole), strict=True)
            self.blocks.append([pa.array(column, pa.large_string()) for column in columns])

    def refuse_ragged(self, delimiter: str, skip_broken: bool | None) -> None:
        if self.ragged and not skip_broken:
            remedy = "mend them" if skip_broken is None else "mend them, or pass --skip-broken to leave them out"
            raise DataError(
                f"{self.title} has rows of another length than its header, which has {len(self.header)} columns "
                f"between {SPELT[delimiter]}: {listed([f'{row} has {why}' for row, why in self.ragged])}; "
                f"{remedy}"
            )

    def columns(self) -> dict[str, Any]:
        if not self.blocks:
            raise DataError(f"{self.title} has a header and no rows; give a table with rows")
        import pyarrow as pa

        return {
            name: pa.concat_arrays([block[position] for block in self.blocks])
            for position, name in enumerate(self.header)
        }


def unpacked(path: Path, title: str) -> bytes:
    """The bytes of this file, without gzip around them."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{title} is damaged, its gzip data does not end well; fetch it again") from None
    except OSError as error:
        raise DataError(f"{title} cannot be read ({reason(error)}); allow reading it") from None
    if not content.strip():
        raise DataError(f"{title} is empty; give a table with a header and rows")
    return content


def decoded_text(content: bytes, title: str) -> str:
    """The text in these bytes. Raises `DataError` for other encodings, and for what is no text."""
    for magic, (what, remedy) in _MAGIC.items():
        if content.startswith(magic):
            raise DataError(f"{title} is {what}, expected text with one row per line; {remedy}")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in content and not wide:
            raise DataError(_no_text(title)) from None
        line = content.count(b"\n", 0, error.start) + 1
        where = "" if wide else f" (byte {content[error.start]:#04x} in line {line})"
        raise DataError(
            f"{title} is not {'UTF-16' if wide else 'UTF-8'} text{where}; save it as UTF-8, in a spreadsheet as "
            "'CSV UTF-8'"
        ) from None
    if "\0" in text:
        raise DataError(_no_text(title))
    return text


def _no_text(title: str) -> str:
    return f"{title} is no text but binary data, expected one row per line; save the table as CSV UTF-8 or Parquet"


def delimiter_of(text: str) -> str:
    r"""What stands between the columns: it cuts the header into most, and into as many as the first row if any does.

    >>> delimiter_of("length (m, about);width\n1;2"), delimiter_of("a,b")
    (';', ',')
    """
    scores = {}
    for delimiter in DELIMITERS:
        first = csv.reader(io.StringIO(text[:LONGEST_HEADER], newline=""), delimiter=delimiter)
        try:
            header, *row = islice((record for record in first if record), 2)
        except (csv.Error, ValueError):
            header, row = [], []
        scores[delimiter] = (len(header) > 1 and [len(header)] == [len(fields) for fields in row], len(header))
    return max(scores, key=scores.__getitem__)


def _records(text: str, delimiter: str, title: str) -> Iterator[tuple[int, list[str]]]:
    """Every row that holds something, with the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for record in reader:
            if any(record):
                yield begins, record
            begins = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f'{title} cannot be read at row {begins} ({one_line(error)}); check the quotation marks there: each " '
            'within a quoted field is written twice, ""'
        ) from None
