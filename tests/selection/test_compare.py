"""Side by side: the same folds for cross-validations, the same examples for models, and nothing mixed."""

import numpy as np
import pytest

import glasswork as gw
from glasswork.errors import DataError, SettingError
from glasswork.intervals import corrected_interval, mcnemar
from glasswork.report.figures.comparison import comparison_figure
from glasswork.report.figures.error_curve import error_curve


def pictures(count=120):
    generator = np.random.default_rng(0)
    targets = np.arange(count) % 3
    pixels = generator.integers(0, 160, (count, 1, 12, 12), dtype=np.uint8)
    pixels[np.arange(count), 0, 3 * targets + 1] += 60
    return pixels, targets


@pytest.fixture(scope="module")
def examples():
    return gw.read_examples(*pictures())


def validated(examples, **settings):
    given = {"network": "linear", "folds": 4, "epochs": 4, "processes": 1, **settings}
    return gw.cross_validate(examples, **given)


@pytest.fixture(scope="module")
def recipes(examples):
    return validated(examples), validated(examples, learning_rate=1e-6), validated(examples, network="mlp", width=0.1)


def test_recipes_are_compared_fold_by_fold(recipes):
    found = gw.compare(*recipes, names=["a", "b", "c"])
    pair = found.pairs[0]
    own = corrected_interval(recipes[0].scores() - recipes[1].scores(), *recipes[0].sizes, confidence=1 - 0.05 / 3)
    assert (pair.first, pair.second, pair.question, pair.comparisons) == ("a", "b", "recipes", 3)
    assert pair.difference == pytest.approx(recipes[0].scores().mean() - recipes[1].scores().mean())
    assert pair.interval == own.interval
    assert pair.winner == "a"  # the other hardly learns
    assert "a beats b by" in str(found)


def test_what_each_arm_costs_stands_beside_its_score(recipes):
    arms = gw.compare(*recipes).arms
    assert [arm.name for arm in arms] == ["linear 1", "linear 2", "mlp"]
    assert arms[0].parameters == 144 * 3 + 3
    assert arms[0].multiply_adds == 144 * 3
    assert arms[0].seconds > 0
    assert arms[0].interval == recipes[0].interval.interval


def test_other_folds_data_or_seeds_are_no_comparison(examples, recipes):
    with pytest.raises(DataError, match="on other examples or folds than linear 1"):
        gw.compare(recipes[0], validated(examples, folds=3))
    with pytest.raises(DataError, match="on other examples or folds"):
        gw.compare(recipes[0], validated(gw.read_examples(*pictures(90))))
    with pytest.raises(DataError, match="linear 2 has seed 1, and linear 1 0; validate both with one seed"):
        gw.compare(recipes[0], validated(examples, seed=1))


def test_models_are_compared_on_the_same_test_examples_and_the_looks_are_counted(examples):
    models = [gw.fit(examples, "linear", epochs=4), gw.fit(examples, "linear", epochs=1, learning_rate=1e-6)]
    found = gw.compare(*models, part=examples.test)
    targets = examples.test.targets
    pixels = examples.framed(models[0].preprocessing.frame).pixels
    hits = [
        np.array([int(name) for name in model.predict(pixels[examples.test.indices]).classes]) == targets
        for model in models
    ]
    only = int((hits[0] & ~hits[1]).sum()), int((hits[1] & ~hits[0]).sum())
    pair = found.pairs[0]
    assert pair.question == "models"
    assert pair.difference == pytest.approx((only[0] - only[1]) / len(targets))
    assert pair.p_value == pytest.approx(mcnemar(*only))
    assert found.looks == found.as_dict()["looks"] == 2
    assert models[0].evaluate(examples.test).looks == 3
    assert gw.compare(*models, part=examples.train).looks is None


def test_regressions_are_compared_in_the_unit_of_the_target():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    examples = gw.read_examples(x, 100 * x[:, 0] + generator.normal(size=200))
    good, bad = (gw.fit(examples, "linear", epochs=epochs) for epochs in (200, 1))
    pair = gw.compare(good, bad, part=examples.test, names=["good", "bad"]).pairs[0]
    assert pair.winner == "good"
    assert pair.difference == pytest.approx(good.evaluate(examples.test).rmse - bad.evaluate(examples.test).rmse)
    assert "in RMSE of" in str(pair)


def test_questions_are_never_mixed(examples, recipes):
    model = gw.fit(examples, "linear", epochs=1)
    with pytest.raises(SettingError, match="compare takes two or more, got 1"):
        gw.compare(model)
    with pytest.raises(SettingError, match="got CrossValidation, Model; the questions differ: pass one kind"):
        gw.compare(model, recipes[0])
    with pytest.raises(SettingError, match=r"pass part=examples.test"):
        gw.compare(model, model)
    with pytest.raises(SettingError, match="names are one for each, all different"):
        gw.compare(*recipes, names=["a", "a", "b"])
    with pytest.raises(SettingError, match=r"part is a part of examples, got Examples; pass part=examples.test"):
        gw.compare(model, model, part=examples)
    with pytest.raises(SettingError, match="compared by their own folds; leave out part"):
        gw.compare(*recipes, part=examples.test)


def test_the_figure_says_in_text_what_it_shows(recipes):
    found = gw.compare(*recipes, names=["one", "two", "three"])
    svg = comparison_figure(found)
    assert svg == comparison_figure(found)
    assert b">three<" in svg  # selectable text, not outlines
    assert svg.index(b">two<") < svg.index(b">one<")  # drawn from the bottom up: the worst first
    assert b"Scores with 95% intervals: " in svg


def test_the_curve_says_in_text_what_it_shows(recipes):
    found = gw.compare(*recipes[:2], names=["more", "less"])
    svg = error_curve(found, "width", [2.0, 0.25])
    first, second = (
        f"width {value:g}: training {100 * (1 - arm.train_score):.4g}, held-out {100 * (1 - arm.score):.4g}"
        for value, arm in zip((0.25, 2.0), found.arms[::-1], strict=True)
    )
    assert f"error, %: {first}; {second}" in svg.decode()
    assert b">width<" in svg and b">0.25<" in svg
