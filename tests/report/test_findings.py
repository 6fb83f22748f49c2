"""What is found inside a network is said in both languages, with the same numbers and layers, in words and figures."""

import math
import re

import pytest

import glasswork as gw
from glasswork.insight.signals_history import SignalHistory, SignalLook
from glasswork.insight.signals_record import LayerSignal
from glasswork.insight.signals_words import SENTENCES, Said
from glasswork.report.figures.signals import by_layer, over_steps
from glasswork.report.phrases import phrases
from glasswork.report.records import Inside, Report
from glasswork.report.sections.signals import signal_tables, signals_section

NUMBER = r"\d+(?:\.\d+)?(?:e[+-]\d+)?"


def test_the_english_page_says_what_the_record_says():
    english = {name: phrase for name, phrase in phrases("en").found.items() if name.startswith("finding.")}
    assert english == {f"finding.{name}": sentence for name, sentence in SENTENCES.items()}


@pytest.mark.parametrize("name", SENTENCES)
def test_every_sentence_has_the_same_numbers_places_and_flags_in_chinese(name):
    english, chinese = (phrases(language).found[f"finding.{name}"] for language in ("en", "zh"))
    for what in (r"\{\w+\}", r"--[a-z-]+(?: [\w.]+)?", NUMBER):
        assert sorted(re.findall(what, english)) == sorted(re.findall(what, chinese)), what
    assert re.search("[\u4e00-\u9fff]", chinese)


@pytest.fixture(scope="module")
def found():
    """Of gradients that vanish, of units that are the same, and of gradients that flow."""
    digits = gw.read_examples("digits")
    given = {"form": "textbook", "image_size": 32, "width": 0.1, "count": 32}
    sigmoid = gw.signals("vgg11", digits, activation="sigmoid", **given)
    same = gw.signals("lenet", digits, initialise="constant", allow_symmetry=True, count=32)
    flowing = gw.signals("vgg11", digits, image_size=32, width=0.1, count=32)
    return [finding for signals in (sigmoid, same, flowing) for finding in signals.findings]


def test_chinese_findings_have_every_number_and_layer_of_the_english_ones(found):
    assert {finding.name for finding in found} >= {"vanishing", "identical", "flowing"}
    say = phrases("zh")
    for finding in found:
        chinese = say.told(finding.in_full)
        assert sorted(re.findall(NUMBER, chinese)) == sorted(re.findall(NUMBER, str(finding))), finding.name
        for layer in (value for value in finding.sentence.values.values() if value in finding.layers):
            assert layer in chinese
        assert phrases("en").told(finding.in_full) == str(finding)


def test_lists_and_sentences_inside_of_sentences_are_in_the_language_too():
    named = Said("more", layers=("fc1", "fc2", "fc3"), count=2)
    dead = Said("since", step="7", finding=Said("dead", layers=named, share="90"))
    assert "in fc1, fc2, fc3 and 2 more: up to 90% of" in dead
    assert phrases("zh").told(dead).startswith("从第 7 步起：fc1、fc2、fc3 以及另外 2 层 中有失活的 ReLU 单元")


def history(gradients, before=(1.0, 1.0, 1.0)):
    def look(step, values):
        layers = tuple(
            LayerSignal(f"fc{place}", "Linear", 1, 4, place, 3 - place, variance=1.0, weight_norm=2.0,
                        output_gradient=value, update_ratio=value)
            for place, value in enumerate(values, 1)
        )  # fmt: skip
        return SignalLook(step, 1, 0.1, 8, 1.0, layers)

    return SignalHistory((look(1, before), look(9, gradients)))


OVERFLOWN = (math.inf, math.inf, 2.0)


@pytest.mark.parametrize(("language", "words"), [("en", "not finite"), ("zh", "非有限值")])
def test_what_is_not_finite_is_seen_in_figures_and_in_the_table(language, words):
    say = phrases(language)
    drawing = by_layer(history(OVERFLOWN), "output_gradient", say)
    assert say("page.list").join([f"fc1 {words}", f"fc2 {words}", "fc3 2"]) in drawing.description
    finite = by_layer(history((3.0, 4.0, 2.0)), "output_gradient", say)
    crosses, none = (one.svg.decode().count("M -3 3") for one in (drawing, finite))
    assert crosses > none == 0
    assert f"(× {words})" in drawing.svg.decode() and "×" not in finite.svg.decode()
    steps = over_steps(history(OVERFLOWN), "update_ratio", say)
    assert f"fc1 1 → {words}" in steps.description
    for table in signal_tables(history(OVERFLOWN).looks[-1].layers, say):  # gradient, update
        assert [row.count(words) for row in table.rows] == [1, 1, 0]


def test_gradients_are_drawn_along_the_longest_way():
    given = {"variance": 1.0, "weight_norm": 2.0, "update_ratio": 0.1}
    places = {"stem": (1, 2, 3.0), "one": (2, 1, 3.0), "two": (2, 1, 4.0), "head": (3, 0, 2.0),
              "auxiliary": (2, 0, 7.0)}  # fmt: skip
    layers = tuple(
        LayerSignal(name, "Linear", 1, 4, depth, remaining, output_gradient=gradient, **given)
        for name, (depth, remaining, gradient) in places.items()
    )
    drawing = by_layer(SignalHistory((SignalLook(1, 1, 0.1, 8, 1.0, layers),)), "output_gradient", phrases("zh"))
    assert "stem 3；one 及并列的另外 1 层 5；head 2" in drawing.description  # 3 and 4 are 5 together
    assert "auxiliary" not in drawing.description
    looks = tuple(SignalLook(step, 1, 0.1, 8, 1.0, layers) for step in (1, 2))
    lines = over_steps(SignalHistory(looks), "update_ratio", phrases("en")).legend
    assert [line.label for line in lines] == ["stem", "one", "head"]


def test_the_page_names_the_layer_where_the_gradient_stops_being_finite():
    report = Report("model", {}, inside=Inside(watched=history(OVERFLOWN)))
    for language, place in (("en", "layer 2 of 3 (fc2)"), ("zh", "第 2 层（共 3 层，fc2）")):
        texts = [block.text for block in signals_section(report, phrases(language)).blocks if hasattr(block, "text")]
        assert any(place in text for text in texts), texts


def test_a_figure_of_nothing_finite_can_be_drawn():
    drawing = by_layer(history((math.inf,) * 3, (math.inf,) * 3), "output_gradient", phrases("en"))
    assert "fc3 not finite" in drawing.description


@pytest.mark.parametrize("name", ["believable", "unbelievable"])
def test_the_limit_of_calibration_is_said_to_hold_in_19_of_20_samples(name):
    told = phrases("en")(f"mistakes.{name}", error="3.0%", chance="5.0%")
    assert "Perfectly calibrated confidences would differ by at most 5.0% in 19 of 20 such samples" in told
    assert "19 个相差不超过 5.0%" in phrases("zh")(f"mistakes.{name}", error="3.0%", chance="5.0%")
