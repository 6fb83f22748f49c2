"""Rows for a trained model: the same columns, read as training read them."""

import numpy as np
import pandas as pd
import pytest

from glasswork.data.options import TableOptions
from glasswork.data.sources.rows import read_labelled_rows, read_new_rows
from glasswork.data.sources.table import read_table, table_of_arrays
from glasswork.data.table_preprocess import fit_table_preprocessing
from glasswork.errors import DataError, SettingError

HEADER = "id,size,city,zip,built,garden,price"
ROWS = [
    f"h{n},{50 + n}.5,{['Oslo', 'Rome'][n % 2]},0{n % 3}100,2024-03-{n + 1:02},{'yes' if n % 3 else 'no'},{n % 2}"
    for n in range(20)
]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "houses.csv"
    file.write_text("\n".join([HEADER, *ROWS]))
    return file


@pytest.fixture
def found(path):
    return read_table(path, TableOptions(target="price"))


@pytest.fixture
def schema(found):
    return fit_table_preprocessing(found.inputs, np.arange(15), found.identifier)


def test_the_training_file_itself_gives_the_same_rows(path, found, schema):
    new = read_new_rows(path, schema)
    assert new.table.hashes == found.inputs.hashes and new.sources == found.sources
    assert (schema.encode(new.table) == schema.encode(found.inputs)).all()
    table, sources = new
    assert len(table) == len(sources) == 20


def test_columns_are_found_by_name_in_any_order_and_others_are_passed_over(tmp_path, found, schema):
    file = tmp_path / "new.tsv"
    file.write_text("garden\tnew\tzip\tbuilt\tcity\tsize\nyes\tabc\t01100\t2024-03-02\tRome\t51.5\n")
    new = read_new_rows(file, schema)
    assert new.table.hashes == [found.inputs.hashes[1]]
    assert new.sources == ("row 2",)  # it has no identifier


def test_a_frame_and_a_parquet_file_give_the_same_rows(tmp_path, path, found, schema):
    frame = pd.read_csv(path, dtype={"zip": str}, parse_dates=["built"])
    frame["garden"] = frame["garden"] == "yes"
    assert read_new_rows(frame, schema).table.hashes == found.inputs.hashes
    frame.to_parquet(tmp_path / "new.parquet")
    new = read_new_rows(str(tmp_path / "new.parquet"), schema)
    assert new.table.hashes == found.inputs.hashes and new.sources[0] == "h0"


def test_one_row_is_read_as_training_read_it_and_not_for_itself(tmp_path, schema):
    frame = pd.DataFrame({"size": ["60"], "city": [7.0], "zip": ["yes"], "built": ["2024/3/1"], "garden": ["1"]})
    new = read_new_rows(frame, schema)
    assert [column.kind for column in new.table.columns] == ["number", "category", "category", "date", "number"]
    assert [column.values[0] for column in new.table.columns[:3]] == [60, "7", "yes"]
    empty = pd.DataFrame({"size": [None], "city": [None], "zip": [None], "built": [None], "garden": [None]})
    assert all(column.missing.all() for column in read_new_rows(empty, schema).table.columns)


def test_absent_columns_are_listed(schema):
    with pytest.raises(DataError, match="lacks columns the model was trained on: 'city', 'built'; add them, empty"):
        read_new_rows(pd.DataFrame({"size": [1], "zip": ["0"], "garden": [True]}), schema)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": ["1", "big"]}, r"column 'size' holds 'big' in frame\[1\], expected a number as in training"),
        ({"size": ["1", "yes"]}, "column 'size' holds 'yes'"),
        ({"size": ["no", "yes"]}, "column 'size' holds 'no'"),  # it was no column of yes and no
        ({"size": [1, np.inf]}, r"column 'size' is infinite, or beyond 1.8e308, in frame\[1\]"),
        ({"size": pd.to_datetime(["2024-01-01"] * 2)}, "column 'size' holds dates, expected numbers"),
        ({"built": ["2024-01-01", "soon"]}, r"column 'built' holds 'soon' in frame\[1\], expected a date"),
        ({"built": [5, 6]}, "column 'built' holds numbers, expected dates"),
        ({"garden": ["no", "maybe"]}, "column 'garden' holds 'no' in .* expected a number"),
    ],
)
def test_values_that_do_not_fit_are_named(schema, changed, words):
    frame = pd.DataFrame(
        {"size": [1, 2], "city": "Rome", "zip": "01100", "built": "2024-01-01", "garden": "yes", **changed}
    )
    with pytest.raises(DataError, match=words):
        read_new_rows(frame, schema)


def test_an_array_has_its_columns_as_in_training(schema):
    x = np.random.default_rng(0).normal(size=(20, 3))
    trained = table_of_arrays(x, np.arange(20.0))
    fitted = fit_table_preprocessing(trained.inputs, np.arange(20))
    new = read_new_rows(x[:2], fitted)
    assert new.table.hashes == trained.inputs.hashes[:2] and new.sources == ("x[0]", "x[1]")
    with pytest.raises(DataError, match="x has 2 columns, expected 3: x0, x1, x2"):
        read_new_rows(x[:, :2], fitted)
    with pytest.raises(DataError, match="column 'built' holds numbers, expected dates"):
        read_new_rows(np.ones((2, 5)), schema)


def test_files_that_are_not_there_are_named(tmp_path, schema):
    with pytest.raises(DataError, match=r"there is no file .*nowhere.csv"):
        read_new_rows(tmp_path / "nowhere.csv", schema)


def test_rows_to_predict_are_mended_and_not_skipped(tmp_path, schema):
    file = tmp_path / "new.csv"
    file.write_text(f"{HEADER}\n{ROWS[0]}\n1,2\n")
    with pytest.raises(DataError, match=r"row 3 has 2 fields; mend them$"):
        read_new_rows(file, schema)


def test_labelled_rows_are_read_as_training_read_them(tmp_path, schema):
    file = tmp_path / "test.csv"
    file.write_text("\n".join([HEADER, ROWS[1], ROWS[0], ROWS[3]]))
    labelled = read_labelled_rows(file, schema, ("0", "1"), TableOptions(target="price"))
    assert labelled.targets.tolist() == [1, 0, 1] and labelled.class_names == ("0", "1")
    assert labelled.sources == ("h1", "h0", "h3") and labelled.inputs.names == (
        "size",
        "city",
        "zip",
        "built",
        "garden",
    )
    numbers = read_labelled_rows(file, schema, (), TableOptions(target="price"))
    assert numbers.targets.tolist() == [1.0, 0.0, 1.0] and numbers.class_names == ()


@pytest.mark.parametrize("written", ["1", "1.0", "+1", "1e0"])
def test_a_class_is_known_however_its_number_is_written(tmp_path, schema, written):
    file = tmp_path / "test.csv"
    file.write_text("\n".join([HEADER, ROWS[1][:-1] + written]))
    assert read_labelled_rows(file, schema, ("0", "1"), TableOptions(target="price")).targets.tolist() == [1]


def test_classes_the_model_does_not_know_and_missing_targets_are_named(tmp_path, schema):
    file = tmp_path / "test.csv"
    file.write_text("\n".join([HEADER, ROWS[1][:-1] + "dear", ROWS[0][:-1]]))
    with pytest.raises(DataError, match="missing in 1 of 2 rows: row 3"):
        read_labelled_rows(file, schema, ("0", "1"), TableOptions(target="price"))
    with pytest.raises(DataError, match="classes the model does not know: 'dear'; it knows '0', '1'"):
        read_labelled_rows(file, schema, ("0", "1"), TableOptions(target="price"), skip_broken=True)
    with pytest.raises(SettingError, match="did you mean 'price'"):
        read_labelled_rows(file, schema, ("0", "1"), TableOptions(target="prise"))
