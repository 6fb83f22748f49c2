"""The main job on tables: from a file to a model that predicts the same in another process."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.linear_model import LinearRegression

import glasswork as gw
from glasswork.cli.main import main


@pytest.fixture
def houses(tmp_path):
    """300 houses whose price follows from area, city and garden, with gaps."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"h{row}" for row in range(300)],
            "area": generator.normal(90, 30, 300).round(1),
            "city": generator.choice(["Rome", "Oslo", None], 300),
            "garden": generator.choice([True, False], 300),
            "built": pd.to_datetime("2010-01-01") + pd.to_timedelta(generator.integers(0, 5000, 300), unit="D"),
        }
    )
    city = frame["city"].map({"Rome": 200, "Oslo": 100}).fillna(0)
    frame["price"] = 3 * frame["area"] + city + 20 * frame["garden"] + generator.normal(0, 10, 300)
    frame.loc[generator.random(300) < 0.1, "area"] = np.nan
    file = tmp_path / "houses.csv"
    frame.to_csv(file, index=False)
    return file


def printed(capsys, *tokens):
    code = main([*map(str, tokens), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_diabetes_is_trained_in_one_command(capsys, tmp_path):
    summary = printed(capsys, "train", "diabetes", "--out", tmp_path / "run")
    assert (summary["task"], summary["network"], summary["target"]) == ("regression", "mlp", "progression")
    test = summary["test"]
    for score in ("rmse", "mae", "r2"):
        low, high = test[f"{score}_ci95"]
        assert low < test[score] < high
    assert test["n"] == summary["test"]["n"] == 88
    assert test["r2"] > 0.3
    assert test["looks"] == 1


def test_a_table_with_categories_and_gaps_is_trained_scored_and_predicted(capsys, tmp_path, houses):
    run = tmp_path / "run"
    summary = printed(capsys, "train", houses, "--target", "price", "--epochs", "60", "--out", run)
    assert summary["test"]["r2"] > 0.75
    assert summary["features"] == 11  # area and its gaps, two cities and none, garden, the date and its two cycles
    assert any("'id'" in note for note in summary["notes"])
    again = printed(capsys, "evaluate", run, houses)
    assert again["part"] == "test"
    assert again["rmse"] == summary["test"]["rmse"]
    assert again["looks"] == 2
    assert main(["predict", str(run), str(houses)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["source"] for row in rows[:2]] == ["h0", "h1"]
    model = gw.load(run / "model.safetensors")
    assert [float(row["prediction"]) for row in rows] == model.predict(houses).values.tolist()


def test_predictions_are_bit_equal_in_another_process(houses, tmp_path):
    examples = gw.read_examples(houses, target="price")
    model = gw.fit(examples, epochs=3)
    model.save(tmp_path / "model.safetensors")
    program = "import sys, glasswork as gw; print(gw.load(sys.argv[1]).predict(sys.argv[2]).values.tobytes().hex())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model.safetensors"), str(houses)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert bytes.fromhex(done.stdout.strip()) == model.predict(houses).values.tobytes()


@pytest.mark.parametrize("name", ["diabetes", "friedman1", "friedman2", "friedman3"])
def test_linear_regression_agrees_with_scikit_learn(name):
    data = {
        "diabetes": lambda: load_diabetes(return_X_y=True, scaled=False),
        "friedman1": lambda: make_friedman1(500, noise=1.0, random_state=0),
        "friedman2": lambda: make_friedman2(500, noise=125.0, random_state=0),
        "friedman3": lambda: make_friedman3(500, noise=0.1, random_state=0),
    }
    x, y = data[name]()
    examples = gw.read_examples(x, y)
    train, test = examples.train.indices, examples.test.indices
    reference = LinearRegression().fit(x[train], y[train]).score(x[test], y[test])
    assert gw.fit(examples, "linear").evaluate(examples.test).r2 == pytest.approx(reference, abs=1e-6)


def test_nonsense_in_held_out_rows_changes_no_weight(houses):
    frame = pd.read_csv(houses)
    examples = gw.read_examples(frame, target="price")
    # Without a validation part to choose by, so that only training rows can speak.
    parts = np.where(examples.parts == "validation", "train", examples.parts)
    before = gw.fit(replace(examples, parts=parts), epochs=3)
    held_out = frame.index.isin(np.flatnonzero(parts == "test"))
    frame.loc[held_out, "area"] = 1e9
    frame.loc[held_out, "city"] = "Atlantis"
    frame.loc[held_out, "price"] = -5.0
    spoilt = gw.read_examples(frame, target="price")
    after = gw.fit(replace(spoilt, parts=parts), epochs=3)
    for name, weights in before.network.state_dict().items():
        assert torch.equal(weights, after.network.state_dict()[name])
    assert before.preprocessing == after.preprocessing
    assert before.quantity == after.quantity


def test_a_logarithm_is_predicted_and_undone(houses):
    frame = pd.read_csv(houses)
    frame["price"] = np.exp(frame["price"] / 200)
    examples = gw.read_examples(frame, target="price")
    model = gw.fit(examples, epochs=60, log_target=True)
    assert (model.predict(frame).values > 0).all()
    assert model.evaluate(examples.test).r2 > 0.6


def test_a_predicted_logarithm_stays_a_number_and_is_scored_where_a_target_has_none(recwarn):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(200, 2)), columns=["a", "b"])
    frame["y"] = np.exp(frame["a"])
    model = gw.fit(gw.read_examples(frame, target="y"), "linear", epochs=50, log_target=True)
    far = model.predict(pd.DataFrame({"a": [0.0, 1e300], "b": [0.0, 0.0]})).values
    assert np.isfinite(far**2).all()
    assert far[1] > 1e100
    frame.loc[gw.read_examples(frame, target="y").test.indices[0], "y"] = 0.0
    assert np.isfinite(model.evaluate(gw.read_examples(frame, target="y").part("all")).rmse)
    assert not [warning for warning in recwarn if "overflow" in str(warning.message)]


def test_a_text_target_is_classified(houses):
    frame = pd.read_csv(houses)
    frame["dear"] = np.where(frame.pop("price") > 350, "dear", "cheap")
    examples = gw.read_examples(frame, target="dear")
    assert examples.class_names == ("cheap", "dear")
    model = gw.fit(examples, epochs=30, class_weights="balanced")
    assert model.evaluate(examples.test).accuracy > 0.8
    assert set(model.predict(frame).classes) == {"cheap", "dear"}


def test_no_group_of_rows_sits_in_two_parts(houses):
    frame = pd.read_csv(houses)
    frame["owner"] = np.arange(300) // 5
    examples = gw.read_examples(frame, target="price", group="owner")
    owners = [set(examples.groups[part.indices]) for part in (examples.train, examples.validation, examples.test)]
    assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
    assert "owner" not in examples.table.names
    test = gw.fit(examples, epochs=1).evaluate(examples.test)
    together = replace(examples, groups=None)
    assert test.rmse_ci95 != gw.fit(together, epochs=1).evaluate(together.test).rmse_ci95  # whole groups are resampled


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"network": "lenet"}, r"lenet looks at pictures, and diabetes is a table; choose --network mlp or linear"),
        ({"augment": "flip"}, r"--augment is for pictures, and diabetes is a table; leave it out"),
        ({"image_size": 8}, r"--image-size is for pictures"),
        ({"label_smoothing": 0.1}, r"--label-smoothing is for classes, and here a number is predicted"),
        ({"class_weights": "balanced"}, r"--class-weights is for classes"),
        ({"weights": "x.pth"}, r"--weights starts from what was learned of pictures, and this is a table"),
    ],
)
def test_settings_that_mean_nothing_to_a_regression_on_rows_are_refused(given, says):
    with pytest.raises(gw.SettingError, match=says):
        gw.fit(gw.read_examples("diabetes"), **given)


@pytest.mark.parametrize("given", [{"target": "price"}, {"task": "regression"}, {"group": "owner"}, {"ignore": "id"}])
def test_a_column_of_a_data_set_of_pictures_is_refused(given):
    (name,) = given
    with pytest.raises(gw.SettingError, match=rf"--{name} is for tables, and digits holds pictures; leave it out"):
        gw.read_examples("digits", **given)


def test_patience_is_not_silently_without_effect_where_the_last_weights_are_kept():
    examples = gw.read_examples("diabetes")
    with pytest.raises(gw.SettingError, match="--patience waits for better weights, and --keep last"):
        gw.fit(examples, "linear", patience=3)
    seen = []
    gw.fit(examples, "linear", patience=3, keep="best", learning_rate=1e-9, watch=[seen.append])
    assert len(seen) < 20


@pytest.mark.parametrize(("network", "chose"), [("mlp", True), ("linear", False)])
def test_validation_is_said_to_have_chosen_the_epoch_only_where_it_did(capsys, tmp_path, network, chose):
    assert main(["train", "diabetes", "--network", network, "--epochs", "2", "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert ("chose the epoch" in shown) == chose
    table = [line for line in shown.splitlines() if not line.startswith(("Saved", network))]
    assert all(line.count("[") == line.count("]") for line in table)  # no interval is cut at 80 characters


def test_rows_of_several_tables_are_told_apart(houses, tmp_path):
    model = gw.fit(gw.read_examples(houses, target="price", ignore="id"), epochs=1)
    pd.read_csv(houses).head(2).to_csv(tmp_path / "more.csv", index=False)
    sources = model.predict([houses, tmp_path / "more.csv"]).sources
    assert sources[0] == f"{houses}, row 2"
    assert sources[-1] == f"{tmp_path / 'more.csv'}, row 3"
    assert len(set(sources)) == 302
    assert model.predict(houses).sources[0] == "row 2"


def test_columns_of_pictures_are_refused_and_the_other_way_round(tmp_path):
    with pytest.raises(gw.SettingError, match=r"--log-target is for numbers, and this target has classes"):
        gw.fit(gw.read_examples("digits"), log_target=True)
    model = gw.fit(gw.read_examples("diabetes"), epochs=1)
    with pytest.raises(gw.DataError, match=r"the model predicts numbers, and the targets of digits are classes"):
        model.evaluate(gw.read_examples("digits"))


def test_data_says_what_a_table_holds(capsys, houses):
    report = printed(capsys, "data", houses, "--target", "price")
    kinds = {column["name"]: column["kind"] for column in report["columns"]}
    assert kinds == {"area": "number", "city": "category", "garden": "number", "built": "date"}
    assert report["train"]["network"] == "mlp"
    assert main(["data", str(houses), "--target", "price"]) == 0
    assert "2010-01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tokens", "code", "says"),
    [
        ([], 2, "needs to know what to predict; pass --target with one of 'id', 'area', 'city', 'garden', 'built'"),
        (["--target", "prize"], 2, "has no column 'prize'; did you mean 'price'?"),
        (["--target", "price", "--group-pattern", "(h"], 2, "--group-pattern"),
    ],
)
def test_what_is_wrong_with_a_table_costs_one_sentence(capsys, houses, tokens, code, says):
    assert main(["train", str(houses), *tokens]) == code
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


def test_a_table_is_resumed_as_a_table(tmp_path, houses, capsys):
    """The settings are completed only once the data has been read: a run killed before that must not become LeNet's."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(f"data: {houses}\ntarget: price\nepochs: 2\n")
    with pytest.warns(UserWarning, match="no checkpoint yet"):
        from glasswork.runs.resume import resume_training

        result = resume_training(folder)
    assert result.summary["network"] == "mlp"
