"""Tables as people have them: CSV in all its dialects, Parquet, DataFrames and arrays."""

import gzip
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from glasswork.data.options import TableOptions
from glasswork.data.sources.dates import parsed_dates
from glasswork.data.sources.table import read_diabetes, read_table, table_of_arrays, table_of_frame
from glasswork.errors import DataError, SettingError
from glasswork.settings import made

Y = TableOptions(target="y")


@pytest.fixture
def saved(tmp_path):
    def save(content, name="houses.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return save


@pytest.fixture
def column(saved):
    """The column `a` of a table that repeats these fields until it has ten rows."""

    def read(*fields, delimiter=",", **options):
        fields = (fields * 10)[: max(10, len(fields))]
        lines = [f"a{delimiter}filler{delimiter}y"]
        lines += [f'"{field}"{delimiter}{row / 2}{delimiter}{row % 2}' for row, field in enumerate(fields)]
        found = read_table(saved("\n".join(lines)), TableOptions(target="y", **options))
        return found.inputs.columns[0]

    return read


def rows_of(*lines, times=10):
    return "\n".join(lines[:1] + (lines[1:] * times)[: max(times, len(lines) - 1)]) + "\n"


def same(one, other):
    assert one.names == other.names
    assert [column.kind for column in one.columns] == [column.kind for column in other.columns]
    assert one.hashes == other.hashes


MIXED = "size,city,built,garden,y\n" + "".join(
    f"{size},{city},{built},{garden},{y}\n"
    for size, city, built, garden, y in [
        (70, "Rome", "2001-05-01", "yes", "cheap"), (" 81.5 ", "Oslo", "2002-05-01 12:30", "no", "dear"),
        ("", "Rome", "2003/05/01", "yes", "dear"), ("1e2", "?", "2004-05-01", "yes", "cheap"),
        (-3, "Oslo", "NA", "no", "cheap"), *[(60, "Rome", "2001-05-01", "No", "cheap")] * 5,
    ]
)  # fmt: skip


def test_every_kind_of_column(saved):
    found = read_table(saved(MIXED), Y)
    size, city, built, garden = found.inputs.columns
    assert [c.kind for c in found.inputs.columns] == ["number", "category", "date", "number"]
    assert size.values[:5].tolist() == pytest.approx([70, 81.5, np.nan, 100, -3], nan_ok=True)
    assert city.values[:5].tolist() == ["Rome", "Oslo", "Rome", None, "Oslo"]
    assert built.values[:5].astype(str).tolist() == [
        "2001-05-01T00:00:00", "2002-05-01T12:30:00", "2003-05-01T00:00:00", "2004-05-01T00:00:00", "NaT",
    ]  # fmt: skip
    assert garden.values.tolist() == [1, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert found.class_names == ("cheap", "dear")
    assert found.targets.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0] and found.targets.dtype == np.int64
    assert (found.name, found.target_name) == ("houses", "y")
    assert found.sources[:2] == ("row 2", "row 3") and found.sources[-1] == "row 11"
    assert found.groups is None and found.broken == () and found.notes == ()


DIALECTS = {
    "houses.tsv": lambda text: text.replace(",", "\t").encode(),
    "bars.txt": lambda text: text.replace(",", "|").encode(),
    "semicolons.csv": lambda text: text.replace(",", ";").encode(),
    "decimal commas.csv": lambda text: text.replace(",", ";").replace("81.5", "81,5").encode(),
    "mark.csv": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "windows.csv": lambda text: text.replace("\n", "\r\n").encode(),
    "old mac.csv": lambda text: text.replace("\n", "\r").encode(),
    "utf-16.csv": lambda text: text.encode("utf-16"),
    "packed.csv.gz": lambda text: gzip.compress(text.encode()),
    "quoted.csv": lambda text: '"' + text.strip().replace(",", '","').replace("\n", '"\n"') + '"\n',
    "no last line break.csv": lambda text: text.strip().encode(),
    "empty lines.csv": lambda text: text.replace("\n", "\n\n,,,,\n").encode(),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_holds_the_same_table(saved, name):
    content = DIALECTS[name](MIXED)
    found = read_table(saved(content, name), Y)
    expected = read_table(saved(MIXED), Y)
    same(found.inputs, expected.inputs)
    assert found.targets.tolist() == expected.targets.tolist()
    assert found.name == name.split(".")[0]


def test_quoted_fields_hold_line_breaks_delimiters_and_quotes(saved):
    text = 'a,b,y\n"one\ntwo",1,0\n"x, ""y""",2,1\n' + "z,3,1\n" * 4 + "z,4,0\n" * 4
    found = read_table(saved(text), Y)
    assert found.inputs.columns[0].values[:3].tolist() == ["one\ntwo", 'x, "y"', "z"]
    assert found.sources[:3] == ("row 2", "row 4", "row 5")  # the lines they begin on


def test_long_tables_are_read_in_order(saved):
    found = read_table(saved("a,b,y\n" + "".join(f"{row},t{row % 7},{row / 2}\n" for row in range(5000))), Y)
    assert found.inputs.columns[0].values.tolist() == [*range(5000)]
    assert found.inputs.columns[1].values[4999] == f"t{4999 % 7}"
    assert found.targets[-1] == 2499.5 and found.sources[-1] == "row 5001"


def test_chinese_names_and_values(saved):
    text = rows_of("面积,城市,价格", "70,北京,1.5", "81,上海,2.5", "66,北京,9", times=12)
    found = read_table(saved(text), TableOptions(target="价格"))
    assert found.inputs.names == ("面积", "城市")
    assert found.inputs.columns[1].values[:2].tolist() == ["北京", "上海"]
    assert found.targets[:3].tolist() == [1.5, 2.5, 9.0] and found.class_names == ()


@pytest.mark.parametrize("word", ["", "NA", "N/A", "NaN", "null", "None", "?", "-", " na ", "NULL", "nan"])
def test_words_for_missing(column, word):
    assert column(word, "1", "2").missing[:4].tolist() == [True, False, False, True]
    assert column(word, "x", "y").values[:3].tolist() == [None, "x", "y"]


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (["1", "-2", "+3"], [1, -2, 3]),
        ([".5", "5.", "1e3", "1E-3", "-1.5e+2"], [0.5, 5, 1000, 0.001, -150]),
        (["0", "0.0", "-0.5", "00.5"], [0, 0, -0.5, 0.5]),
        (["9007199254740993", "123456789012345678901234567890"], [9007199254740992, 1.2345678901234568e29]),
        (["0.1", "0.30000000000000004", "1e-400"], [0.1, 0.30000000000000004, 0]),
        (["true", "FALSE", "Yes", "no"], [1, 0, 1, 0]),
    ],
)
def test_numbers(column, fields, values):
    found = column(*fields)
    assert found.kind == "number" and found.values[: len(values)].tolist() == values


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (["3,14", "-1,5e2", "2"], [3.14, -150, 2]),
        (["3.14", "2"], [3.14, 2]),
    ],
)
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_comma_is_a_decimal_sign_where_it_does_not_part_the_columns(column, fields, values, delimiter):
    assert column(*fields, delimiter=delimiter).values[: len(values)].tolist() == values


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (["02134", "10001"], "category"),  # a postal code
        (["007", "?"], "category"),
        (["0", "10", "0.5"], "number"),
        (["1_000", "x"], "category"),
        (["0x1f", "12"], "category"),
        (["１２", "x"], "category"),
        (["yes", "maybe"], "category"),
        (["1", "yes"], "category"),
        (["inf", "x"], "category"),  # a word among words
        (["20240301", "20240302"], "number"),
        (["2024-03", "2024-04"], "category"),
        (["10:30", "11:30"], "category"),
        (["1.2.3", "1.2.4"], "category"),
        (["01.02.2024", "02.02.2024"], "category"),
    ],
)
def test_kinds(column, fields, kind):
    assert column(*fields).kind == kind


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-02-29", "2024-02-29T00:00:00"),
        ("2024/3/1", "2024-03-01T00:00:00"),
        ("2024-03-01T10:20", "2024-03-01T10:20:00"),
        ("2024-03-01 10:20:30.999", "2024-03-01T10:20:30"),
        ("2024-03-01T00:30:00Z", "2024-03-01T00:30:00"),
        ("2024-03-01T00:30:00+02:00", "2024-02-29T22:30:00"),
        ("2023-12-31 23:30:00-0130", "2024-01-01T01:00:00"),
        ("0987-06-05", "0987-06-05T00:00:00"),
        ("9999-12-31", "9999-12-31T00:00:00"),
    ],
)
def test_dates(column, text, date):
    found = column(text, "1970-01-01", "?")
    assert found.kind == "date"
    assert found.values[:3].astype(str).tolist() == [date, "1970-01-01T00:00:00", "NaT"]


@given(st.datetimes(min_value=pd.Timestamp("0001-01-01").to_pydatetime()).map(lambda moment: moment.replace(fold=0)))
def test_dates_are_read_as_python_writes_them(moment):
    (date,) = parsed_dates(pa.array([moment.isoformat()]))
    assert date == np.datetime64(moment.replace(microsecond=0), "s")


def test_categorical_forces_categories(column):
    found = column("10001", "2", "2.0", categorical=("a",))
    assert found.kind == "category" and found.values[:3].tolist() == ["10001", "2", "2"]


# What is refused, and in which words.


def refused(path, options=Y, error=DataError, **given):
    with pytest.raises(error) as caught:
        read_table(path, options, **given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_stray_word_among_numbers_is_named_with_its_remedy(saved):
    rows = "".join(f"{row},{row % 2}\n" for row in range(19))
    message = refused(saved(f"age,y\n{rows}abc\t,1\n"))
    assert message == (
        "column 'age' holds 'abc' in row 21, where 19 of 20 values are numbers; mend it, or pass --categorical age"
    )


def test_nine_in_ten_is_where_a_stray_word_becomes_an_error(saved):
    rows = [f"{row % 4},{row % 2},{row}\n" for row in range(16)]
    others = ["x,1,1\n", "x,1,2\n", *["?,0,3\n"] * 9]  # missing ones do not count
    found = read_table(saved("age,y,b\n" + "".join(rows + others)), Y)
    assert found.inputs.columns[0].kind == "category"
    assert found.notes == ("column 'age' is text, although 16 of 18 values are numbers",)
    rows += ["2,1,1\n", "3,1,1\n"]
    assert "18 of 20 values are numbers" in refused(saved("age,y,b\n" + "".join(rows + others)))


def test_a_stray_word_among_dates_is_named(saved):
    rows = "".join(f"2024-01-{row:02},{row % 2}\n" for row in range(1, 20))
    assert "holds 'soon' in row 21, where 19 of 20 values are dates" in refused(saved(f"when,y\n{rows}soon,1\n"))


@pytest.mark.parametrize("word", ["2023-02-29", "2024-13-01", "2024-00-10", "2024-01-32", "2024-01-01 24:00"])
def test_a_day_that_is_not_in_the_calendar_is_named(column, word):
    with pytest.raises(DataError, match=f"'a' holds '{word}' in row 3 .*expected a date of the calendar"):
        column("2024-01-01", word, "2024-01-02")


@pytest.mark.parametrize("word", ["1,234", "5%", "$12", "12.345,6", "1 234.5", "1\u202f234", "3,14", "1'000"])
def test_numbers_written_for_people_are_named(column, word):
    with pytest.raises(DataError, match=r"in row 3 .*expected numbers written like 1234\.5"):
        column("1", word)


@pytest.mark.parametrize("word", ["inf", "-inf", "1e999", "-1e999", "Infinity"])
def test_infinite_numbers_are_named(column, saved, word):
    with pytest.raises(DataError, match=r"column 'a' is infinite, or beyond 1\.8e308, in row 3"):
        column("1", word, "2")
    assert "column 'y' is infinite" in refused(saved(rows_of("a,y", "1,2.5", f"2,{word}")))


def test_rows_of_another_length_are_named_with_both_counts(saved):
    path = saved("a,b,y\n" + "1,2,0\n3,4,1\n" * 5 + "1,2\n1,2,3,4\n")
    message = refused(path)
    assert "header, which has 3 columns between commas: row 12 has 2 fields, row 13 has 4 fields; " in message
    found = read_table(path, Y, skip_broken=True)
    assert found.broken == (("row 12", "2 fields"), ("row 13", "4 fields")) and len(found.inputs) == 10


def test_missing_targets_are_named_or_skipped(saved):
    path = saved("a,y\n" + "1,2\n2,3\n" * 6 + "3,\n4,NA\n")
    assert "the target 'y' is missing in 2 of 14 rows: row 14, row 15 (" in refused(path)
    found = read_table(path, Y, skip_broken=True)
    assert found.broken == (("row 14", "no target"), ("row 15", "no target"))
    assert len(found.inputs) == 12 and found.sources[-1] == "row 13"


def test_what_stands_in_skipped_rows_is_not_looked_at(saved):
    path = saved("a,y\n" + "1,2\n2,3\n" * 6 + "1e999,\nabc,\n")
    assert read_table(path, Y, skip_broken=True).inputs.columns[0].kind == "number"


def test_many_rows_are_counted_and_the_first_few_named(saved):
    message = refused(saved("a,y\n" + "1,\n" * 8 + "1,2\n" * 12))
    assert "row 2, row 3, row 4, row 5, row 6 and 3 more" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a,b,y\n", "has a header and no rows"),
        (b"a,b,y\n,,\n", "has a header and no rows"),
        (b"justonecolumn\n1\n2\n", "has one column, expected several"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a picture"),
        (b"PK\x03\x04rest", "is a zip archive or a spreadsheet, expected text with one row per line; save it as CSV"),
        (b"PAR1rest", "is a Parquet file"),
        (bytes(range(256)), "binary data"),
        (b"a,y\n\x00,1\n", "binary data"),
        ("a,y\ncafé,1\n".encode("latin-1"), "is not UTF-8 text (byte 0xe9 in line 2); save it as UTF-8"),
        (b"\xff\xfea\x00,\x00y", "is not UTF-16 text"),
        (b"a,b,a,y\n1,2,3,4\n", "more than one column named 'a'"),
        (b"a,,y\n1,2,3\n", "column 2 of"),
        (b"a,y,\n1,2,3\n", "column 3 of"),
        (b'a,y\n"open,1\n2,3\n', "cannot be read at row 2"),
        (b'a,y\n1,2\n"x"y,1\n', "cannot be read at row 3"),
        (b"a,y\n1,2\n3,4\n", "has 2 rows with a target, expected at least 10"),
        (b"a,y\n" + b"1,2\n" * 10, "the target 'y' is the same in every row"),
        (b"a,y\n" + b"1,2\n1,3\n" * 5, "no column of"),
        (b"y,z\n" + b"1,\n2,\n" * 5, "(column 'z' is left out: it is empty)"),
    ],
)
def test_each_kind_of_bad_file_has_its_sentence(saved, content, words):
    assert words in refused(saved(content))


def test_damaged_gzip_and_missing_files(saved, tmp_path):
    assert "gzip data does not end well" in refused(saved(gzip.compress(MIXED.encode())[:-9], "a.csv.gz"))
    assert "cannot be read (no such file" in refused(tmp_path / "nowhere.csv")
    assert "cannot be read (no such file" in refused(tmp_path / "nowhere.parquet")


def test_names_with_line_breaks_stay_on_one_line(saved):
    refused(saved('"a\nb",y\n' + "1,2\n" * 9 + "1e999,3\n"))
    refused(saved('"a\nb","a\nb",y\n1,2,3\n'))


# The target.


def target(saved, *values, **options):
    rows = "".join(f"{row % 7},{value}\n" for row, value in enumerate(values))
    return read_table(saved(f"a,y\n{rows}"), TableOptions(target="y", **options))


def test_text_is_classes_in_order(saved):
    found = target(saved, *["no", "yes", "No"] * 5)
    assert found.class_names == ("No", "no", "yes") and found.targets[:3].tolist() == [1, 2, 0]


def test_few_whole_numbers_are_classes_sorted_as_numbers(saved):
    found = target(saved, *["10", "9.0", "-1", "9"] * 4)
    assert found.class_names == ("-1", "9", "10") and found.targets[:4].tolist() == [2, 1, 0, 1]


@pytest.mark.parametrize(("levels", "classes"), [(10, 10), (11, 0)])
def test_up_to_ten_whole_numbers_are_classes(saved, levels, classes):
    assert len(target(saved, *[*range(levels)] * 2).class_names) == classes


def test_other_numbers_are_regressed_on(saved):
    found = target(saved, *["1.5", "2", "3"] * 5)
    assert found.class_names == () and found.targets.dtype == np.float64 and found.targets[:3].tolist() == [1.5, 2, 3]


def test_the_task_may_be_said(saved):
    assert target(saved, *["1", "2"] * 5, task="regression").targets[:2].tolist() == [1.0, 2.0]
    assert target(saved, *["1.5", "2"] * 5, task="classification").class_names == ("1.5", "2")
    assert len(target(saved, *[*range(30)] * 2, task="classification").class_names) == 30
    assert target(saved, *["1", "2"] * 5, categorical=("y",)).class_names == ("1", "2")


def test_targets_that_begin_with_zero_are_classes_as_they_stand(saved):
    assert target(saved, *["007", "010"] * 5).class_names == ("007", "010")


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (["a", "b"] * 5, {"task": "regression"}, "holds text such as 'a', expected numbers"),
        (
            [x / 7 for x in range(20)],
            {"task": "classification"},
            "20 different values in 20 rows, most of them only once",
        ),
        ([f"name {x}" for x in range(20)], {}, "expected classes that repeat"),
        (["2024-01-01", "2024-01-02"] * 5, {}, "holds dates, expected classes or numbers"),
        ([2**60, 2**60 + 1] * 5, {}, "beyond 9,007,199,254,740,992, which cannot be told apart"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(saved, values, options, words):
    with pytest.raises(DataError, match=words):
        target(saved, *values, **options)


def test_no_target_lists_the_columns(saved):
    message = refused(saved(MIXED), TableOptions(), SettingError)
    assert message.endswith("pass --target with one of 'size', 'city', 'built', 'garden', 'y'")


@pytest.mark.parametrize("flag", ["target", "identifier", "group", "categorical", "ignore"])
def test_an_unknown_column_is_answered_with_the_nearest(saved, flag):
    given = ("Citi",) if flag in ("categorical", "ignore") else "Citi"
    options = TableOptions(**{"target": "y", flag: given})
    assert f"--{flag}: " in refused(saved(MIXED), options, SettingError)
    assert "has no column 'Citi'; did you mean 'city'?" in refused(saved(MIXED), options, SettingError)


def test_a_column_has_one_use():
    for other in ({"identifier": "y"}, {"group": "y"}, {"ignore": "x,y"}):
        with pytest.raises(SettingError, match="both name the column 'y'"):
            made(TableOptions, {"target": "y", **other})
    assert made(TableOptions, {"categorical": 'zip,"a, b"'}).categorical == ("zip", "a, b")


# Identifier, group, and columns that teach nothing.


def test_a_column_called_id_names_the_rows(saved):
    found = read_table(saved(rows_of("Id,a,y", *[f"p{row},{row % 3},{row % 2}" for row in range(12)])), Y)
    assert found.identifier == "Id" and found.sources[:2] == ("p0", "p1")
    assert found.inputs.names == ("a",)
    assert found.notes == ("the column 'Id' is taken as the identifier and not learned from",)


def test_a_first_column_without_a_name_is_the_index_pandas_writes(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2, 3, 4] * 3, "y": [0, 1] * 6}, index=[f"n{row}" for row in range(12)])
    frame.to_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        found = read_table(tmp_path / name, Y)
        assert found.sources[:2] == ("n0", "n1") and found.inputs.names == ("a",)


def test_a_first_column_without_a_name_that_repeats_is_refused(saved):
    assert "the first column of" in refused(saved(rows_of(",a,y", "1,2,0", "1,3,1")))


def test_an_id_that_repeats_or_is_ignored_is_no_identifier(saved):
    repeats = read_table(saved(rows_of("id,y", "1,0", "2,1")), Y)
    assert repeats.identifier is None and repeats.inputs.names == ("id",)
    path = saved(rows_of("id,a,y", *[f"{row},{row % 3},{row % 2}" for row in range(12)]))
    assert read_table(path, TableOptions(target="y", ignore=("id",))).sources[0] == "row 2"
    assert read_table(path, TableOptions(target="y", categorical=("id",))).inputs.names == ("id", "a")


def test_an_identifier_asked_for_differs_in_every_row(saved):
    rows = [f"{row},{row % 3},p{row},{row % 2}" for row in range(12)]
    found = read_table(saved(rows_of("id,a,who,y", *rows)), TableOptions(target="y", identifier="who"))
    assert found.sources[:2] == ("p0", "p1") and found.inputs.names == ("id", "a")
    message = refused(saved(rows_of("id,a,who,y", *rows)), TableOptions(target="y", identifier="a"))
    assert "the identifier 'a' is the same in several rows" in message and "--group a" in message


def test_groups_are_texts_and_not_learned_from(saved):
    text = rows_of("patient,a,y", "7,1,0", "7,2,1", "8.0,3,1", times=12)
    found = read_table(saved(text), TableOptions(target="y", group="patient"))
    assert found.groups.tolist()[:3] == ["7", "7", "8"] and found.groups.dtype.kind == "U"
    assert found.inputs.names == ("a",)
    holes = saved(text + ",1,1\n")
    assert "the group 'patient' is missing in 1 of 13 rows: row 14" in refused(
        holes, TableOptions(target="y", group="patient")
    )
    skipped = read_table(holes, TableOptions(target="y", group="patient"), skip_broken=True)
    assert skipped.broken == (("row 14", "no group"),) and len(skipped.groups) == 12


def test_columns_that_teach_nothing_are_left_out_and_said(saved):
    rows = [f"{row},same,,{row}x,{row % 4},{'' if row % 2 else 5},{row % 2}" for row in range(20)]
    found = read_table(saved(rows_of("n,constant,empty,name,a,holes,y", *rows)), Y)
    assert found.inputs.names == ("n", "a", "holes")  # where a value is missing may tell something
    assert found.notes == (
        "column 'constant' is left out: it is the same in every row",
        "column 'empty' is left out: it is empty",
        "column 'name' is left out: its text differs in nearly every row",
    )
    kept = read_table(
        saved(rows_of("n,constant,empty,name,a,holes,y", *rows)), TableOptions(target="y", categorical=("name",))
    )
    assert "name" in kept.inputs.names


def test_numbers_that_were_made_categories_may_be_infinite():
    frame = pd.DataFrame({"a": [np.inf, 2.0, np.nan] * 4, "y": [0, 1] * 6})
    found = table_of_frame(frame, TableOptions(target="y", categorical=("a",)))
    assert found.inputs.columns[0].values[:3].tolist() == ["inf", "2", None]


def test_notes_on_codes_levels_and_likely_identifiers(saved):
    rows = [f"0{row % 5},l{row % 150},{row},{row % 2}" for row in range(300)]
    found = read_table(saved(rows_of("zip,level,PassengerId,y", *rows)), Y)
    assert found.notes == (
        "column 'zip' is taken as categories, because numbers do not begin with zero as '00' does",
        "column 'level' has 150 different values; all but the 100 most frequent are taken as one",
        "column 'PassengerId' differs in every row; pass --identifier PassengerId if it only names them",
    )


def test_ignored_columns_are_not_even_looked_at(saved):
    path = saved(rows_of("a,b,y", "1,1e999,0", "2,5,1"))
    assert read_table(path, TableOptions(target="y", ignore=("b",))).inputs.names == ("a",)


# Tables that come with types.


def test_parquet_keeps_its_types(tmp_path):
    frame = pd.DataFrame(
        {
            "whole": np.arange(12) % 5,
            "part": np.linspace(0, 1, 12, dtype=np.float32),
            "truth": [True, False, None] * 4,
            "level": pd.Categorical([3, 1, None] * 4),
            "named": pd.Categorical(["1", "x", None] * 4),
            "text": ["a", "b", None] * 4,
            "written": ["1.5", "NA", "-2"] * 4,
            "when": pd.date_range("2024-03-01 12:00", periods=12, tz="Europe/Rome"),
            "y": [0, 1] * 6,
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet", Y)
    assert dict(zip(found.inputs.names, (c.kind for c in found.inputs.columns), strict=True)) == {
        "whole": "number", "part": "number", "truth": "number", "level": "category", "named": "category",
        "text": "category", "written": "number", "when": "date",
    }  # fmt: skip
    columns = dict(zip(found.inputs.names, (c.values for c in found.inputs.columns), strict=True))
    assert columns["truth"][:3].tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert columns["level"][:3].tolist() == ["3", "1", None]
    assert columns["part"].tolist() == frame["part"].astype(float).tolist()
    assert str(columns["when"][0]) == "2024-03-01T11:00:00"  # Rome is an hour ahead in winter
    assert found.sources[:2] == ("row 1", "row 2")
    same(table_of_frame(frame, Y).inputs, found.inputs)
    assert table_of_frame(frame, Y).sources[:2] == ("frame[0]", "frame[1]")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, 2]] * 12, "column 'a' holds nested values of type list"),
        ([{"b": 1}] * 12, "column 'a' holds nested values of type struct"),
        ([b"raw"] * 12, "column 'a' holds values of type binary"),
        ([1.0] * 11 + [np.inf], r"column 'a' is infinite, or beyond 1.8e308, in row 12"),
    ],
)
def test_types_that_are_no_features_are_named(tmp_path, values, words):
    pd.DataFrame({"a": values, "b": range(12), "y": [0, 1] * 6}).to_parquet(tmp_path / "t.parquet")
    assert words in refused(tmp_path / "t.parquet")
    left = read_table(tmp_path / "t.parquet", TableOptions(target="y", ignore=("a",)))
    assert left.inputs.names == ("b",)


def test_damaged_parquet_has_its_sentence(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": range(1000), "y": range(1000)}).to_parquet(path)
    whole = path.read_bytes()
    for content in (b"", b"a,b\n1,2\n", whole[:-20], whole[100:], whole[:4] + bytes(200) + whole[204:]):
        path.write_bytes(content)
        assert "is damaged, or no Parquet file" in refused(path)


def test_a_frame_is_taken_as_it_is():
    frame = pd.DataFrame({0: [1, 2, np.nan, 4] * 3, "mixed": [1, "x", 2.5, None] * 3, "y": ["u", "v"] * 6})
    found = table_of_frame(frame, Y, "mine")
    assert found.inputs.names == ("0", "mixed") and found.name == "mine"
    assert found.inputs.columns[1].values[:4].tolist() == ["1", "x", "2.5", None]
    with pytest.raises(DataError, match="more than one column named 'a'"):
        table_of_frame(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "y"]), Y)
    with pytest.raises(DataError, match="has no rows"):
        table_of_frame(frame[:0], Y)


def test_a_frame_that_was_filtered_has_its_rows_in_order():
    frame = pd.DataFrame({"a": range(40), "y": [0, 1] * 20})[lambda f: f.a % 3 == 0]
    assert table_of_frame(frame, Y).inputs.columns[0].values.tolist() == [*range(0, 40, 3)]


def test_arrays_have_numbered_columns_and_floats_are_regressed_on():
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    x[3, 1] = np.nan
    found = table_of_arrays(x, np.arange(20.0), "mine")
    assert found.inputs.names == ("x0", "x1", "x2") and found.sources[:2] == ("x[0]", "x[1]") and found.name == "mine"
    assert np.array_equal(np.stack([c.values for c in found.inputs.columns], axis=1), x.astype(float), equal_nan=True)
    assert found.targets.tolist() == [*range(20)] and found.class_names == () and found.target_name == "y"


@pytest.mark.parametrize(
    ("targets", "class_names"),
    [
        (np.arange(24) % 12, tuple(str(k) for k in range(12))),
        (np.arange(24) % 2 == 0, ("False", "True")),
        (["b", "a"] * 12, ("a", "b")),
        (np.array([b"b", b"a"] * 12), ("a", "b")),
        (np.array(["10", "9"] * 12, dtype=object), ("10", "9")),
    ],
)
def test_all_other_arrays_are_classes(targets, class_names):
    found = table_of_arrays(np.random.default_rng(0).normal(size=(24, 2)), targets, "mine")
    assert found.class_names == class_names


def test_the_task_of_arrays_may_be_said():
    x = np.random.default_rng(0).normal(size=(24, 2))
    assert table_of_arrays(x, np.arange(24) % 3, options=TableOptions(task="regression")).class_names == ()
    assert table_of_arrays(x, np.arange(24) % 3.0, options=TableOptions(task="classification")).class_names == (
        "0", "1", "2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((12, 2, 2)), np.arange(12), r"x has shape \(12, 2, 2\), expected \(rows, columns\)"),
        (np.zeros((12, 2)), np.arange(11), r"x has 12 rows and y has shape \(11,\)"),
        (np.full((12, 2), "a"), np.arange(12), "x holds <U1, expected numbers"),
        (np.full((12, 1), np.inf), np.arange(12) % 2, r"column 'x0' is infinite.* in x\[0\]"),
        (np.ones((12, 1)), np.array([np.nan] + [1.0] * 11), r"target 'y' is missing in 1 of 12 rows: x\[0\]"),
        (np.ones((12, 1)), np.array([np.inf] + [1.0] * 11), r"column 'y' is infinite.* in x\[0\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(x, y, words):
    with pytest.raises(DataError, match=words):
        table_of_arrays(x, y, "mine")


def test_diabetes_has_its_own_names_and_units():
    found = read_diabetes(TableOptions())
    assert found.inputs.names == ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    assert [column.values[0] for column in found.inputs.columns[:4]] == [59, 2, 32.1, 101]  # the paper's first patient
    assert len(found.inputs) == 442 and found.targets[0] == 151 and found.target_name == "progression"
    assert found.class_names == () and found.notes == ()
    assert read_diabetes(TableOptions(target="bmi")).inputs.names[-1] == "progression"


# Any table, written in two formats.

TRICKY = ["", "Rome", "NA", "-", "true", "no", "1", "2.50", "007", "a,b", 'q"', "x\ny", "北京"]
WORDS = st.sampled_from(TRICKY) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=5
)
FLOATS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
FRAMES = st.integers(10, 25).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "float": st.lists(FLOATS, min_size=n, max_size=n),
            "whole": st.lists(st.integers(-(2**62), 2**62), min_size=n, max_size=n),
            "truth": st.lists(st.booleans(), min_size=n, max_size=n),
            "text": st.lists(WORDS, min_size=n, max_size=n),
            "few": st.lists(st.sampled_from(["a", "b", None]), min_size=n, max_size=n),
            "when": st.lists(
                st.datetimes(pd.Timestamp("1700-01-01").to_pydatetime(), pd.Timestamp("2200-01-01").to_pydatetime()),
                min_size=n,
                max_size=n,
            ),
        }
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES)
def test_csv_parquet_and_a_frame_hold_the_same_table(tmp_path, columns):
    frame = pd.DataFrame({**columns, "float": pd.array(columns["float"], dtype="float64")})
    frame["y"] = [0.5, 1.5] * (len(frame) // 2) + [2.5] * (len(frame) % 2)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    options = TableOptions(target="y")
    outcomes = []
    for read in (
        lambda: read_table(tmp_path / "t.csv", options),
        lambda: read_table(tmp_path / "t.parquet", options),
        lambda: table_of_frame(frame, options),
    ):
        try:
            outcomes.append(read())
        except DataError as error:
            outcomes.append(str(error))
    if isinstance(outcomes[0], str):  # the rows and the table have other names
        about = [outcome.split(" in ")[0].split("(")[-1] for outcome in outcomes]
        assert about[0] == about[1] == about[2]
        return
    for other in outcomes[1:]:
        same(outcomes[0].inputs, other.inputs)
        assert outcomes[0].notes == other.notes and outcomes[0].targets.tolist() == other.targets.tolist()


@given(st.binary(max_size=300))
@example(b"a,y\n1")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_are_the_answer_is_a_sentence(tmp_path, content):
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        path = tmp_path / name
        path.write_bytes(content)
        with warnings.catch_warnings(), pytest.raises((DataError, SettingError)):
            warnings.simplefilter("error")
            read_table(path, Y)


def test_the_options_and_the_preprocessing_import_neither_pandas_nor_arrow():
    code = (
        "import sys; import glasswork.data.options, glasswork.data.sources.table, glasswork.data.sources.rows\n"
        "import glasswork.data.table_preprocess\n"
        "print([name for name in ('pandas', 'pyarrow', 'torch', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
