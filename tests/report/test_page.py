"""The page: one file that needs nothing else, whatever classes and files are called, in both languages."""

import base64
import itertools
import json
import re
import string
from html.parser import HTMLParser
from typing import get_args

import numpy as np
import pytest

from glasswork.cli.main import main
from glasswork.report.phrases import LANGUAGES, phrases
from glasswork.report.sections.mechanisms import PLACES
from glasswork.runs.config import resolve_config
from glasswork.runs.interrupts import RunInterruptedError
from glasswork.runs.training import run_training


class Elements(HTMLParser):
    """All elements with their attributes, in order, and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text, self.stack = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures whose class and file names would do harm, were they not escaped."""
    from PIL import Image

    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, base in (("a<b>&\"'", 40), ("$猫$", 200)):
        (root / name).mkdir()
        for number in range(40):
            pixels = generator.normal(base, 30, (12, 12)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number} <img src=x onerror=alert(1)>.png")
    return root


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """A trained run with its page."""
    out = tmp_path_factory.mktemp("runs") / "first"
    patch = pytest.MonkeyPatch()
    patch.setenv("GLASSWORK_HOME", str(tmp_path_factory.mktemp("home")))
    yield run_training(resolve_config(str(photos), {"network": "lenet", "epochs": 3}), out)
    patch.undo()


@pytest.fixture(scope="module")
def html(run):
    return (run.folder / "report.html").read_text(encoding="utf-8")


def without_what_varies(html):
    return re.sub(r'<span class="varies">.*?</span>', "", html)


def test_the_summary_names_the_page(run):
    assert run.summary["report"] == str(run.folder / "report.html")


def test_names_of_classes_and_files_stay_text(html):
    elements = Elements(html)
    assert not elements.all("script")
    assert not any("onerror" in attributes for _, attributes in elements.found)
    assert "a<b>&\"'" in elements.text
    assert "$猫$" in elements.text  # a dollar is a dollar


def test_nothing_comes_from_elsewhere(html):
    elements = Elements(html)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), value
    assert not re.search(r"url\((?!#)|@import", html)


def test_every_figure_says_in_words_what_it_shows(html):
    elements = Elements(html)
    drawings = [attributes for attributes in elements.all("svg") if attributes.get("aria-hidden") != "true"]
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    assert drawings
    for drawing in drawings:
        assert drawing["role"] == "img"
        title, described = drawing["aria-labelledby"].split()
        for name in (title, described):
            assert name in ids
            assert re.search(rf'id="{name}">[^<]{{4,}}<', html)
    assert elements.all("img")
    assert all(picture["alt"] for picture in elements.all("img"))


def test_ids_are_unique_and_links_lead_somewhere(html):
    elements = Elements(html)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in elements.all("a") + elements.all("use")]
    assert {link[1:] for link in links} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_tables_can_be_read_aloud_and_scrolled_by_keyboard(html):
    elements = Elements(html)
    assert len(elements.all("caption")) == len(elements.all("table")) > 0
    assert all(header.get("scope") in ("row", "col") for header in elements.all("th"))
    regions = [attributes for attributes in elements.all("div") if attributes.get("role") == "region"]
    assert len(regions) == len(elements.all("table"))
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_headings_leave_out_no_level(html):
    levels = [int(tag[1]) for tag, _ in Elements(html).found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_same_run_gives_the_same_page_but_for_times(photos, run, html, tmp_path):
    again = run_training(resolve_config(str(photos), {"network": "lenet", "epochs": 3}), tmp_path / "first")
    second = (again.folder / "report.html").read_text(encoding="utf-8")
    looked = re.compile(r"[^<>]*looked at [^<>]*")  # the second run looks at the test part again
    first, second = (looked.sub("", without_what_varies(text)) for text in (html, second))
    assert first == second


def test_pictures_are_png_files_of_what_the_network_sees(html):
    data = [attributes["src"] for attributes in Elements(html).all("img")]
    assert all(base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG") for source in data)


def test_the_page_answers_three_questions_before_anything_else(html):
    text = " ".join(Elements(html).text)
    places = [text.index(question) for question in ("Did it learn?", "Can I trust it?", "What should I do next?")]
    assert places == sorted(places)
    assert places[-1] < text.index("Each line is a part of the data")


def test_a_page_that_cannot_be_drawn_loses_no_run(photos, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("no ink")

    monkeypatch.setattr("glasswork.report.page.page", broken)
    with pytest.warns(UserWarning, match="report.html could not be drawn .*no ink.*glasswork explain"):
        result = run_training(resolve_config(str(photos), {"network": "linear", "epochs": 1}), tmp_path / "run")
    assert result.stopped == "finished"
    assert result.summary["report"] is None
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.filterwarnings("default:.*report.html was interrupted:UserWarning")
@pytest.mark.filterwarnings("default:.*has no checkpoint yet:UserWarning")
@pytest.mark.parametrize("resumed", [False, True])
def test_a_page_that_is_interrupted_loses_no_run_and_nothing_is_said_to_be_left(
    photos, tmp_path, monkeypatch, capsys, resumed
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    given = ["train", str(photos), "--network", "linear", "--epochs", "1", "--out", str(folder)]
    if resumed:
        with monkeypatch.context() as patch:
            patch.setattr("glasswork.runs.training.fit_prepared", interrupted)
            with pytest.raises(RunInterruptedError):
                run_training(resolve_config(str(photos), {"network": "linear", "epochs": 1}), folder)
        given = ["train", "--resume", str(folder)]
    monkeypatch.setattr("glasswork.report.page.page", interrupted)
    assert main(given) == 130
    said = capsys.readouterr().err
    assert f"report.html was interrupted; the run is complete without it, and glasswork explain {folder} draws" in said
    assert "to go on" not in said
    assert json.loads((folder / "summary.json").read_text())["stopped"] == "finished"
    assert (folder / "model.safetensors").exists() and not (folder / "report.html").exists()


@pytest.mark.filterwarnings("default:.*report.html was interrupted:UserWarning")
def test_the_interrupted_page_of_a_part_leaves_the_whole_to_go_on_with(photos, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    given = [
        "compare",
        str(photos),
        "--vary",
        "network=linear,mlp",
        "--epochs",
        "1",
        "--folds",
        "2",
        "--processes",
        "1",
    ]
    with monkeypatch.context() as patch:
        patch.setattr("glasswork.report.page.page", interrupted)
        assert main([*given, "--out", str(folder)]) == 130
        assert f"interrupted; to go on: glasswork compare --resume {folder}" in capsys.readouterr().err
    trained = {file: file.stat().st_mtime_ns for file in folder.glob("arms/01/folds/*.safetensors")}
    assert len(trained) == 2 and not (folder / "arms/01/report.html").exists()
    with monkeypatch.context() as patch:
        patch.setattr("glasswork.runs.comparison.comparison_figure", interrupted)
        assert main(["compare", "--resume", str(folder)]) == 130
        assert f"interrupted; to go on: glasswork compare --resume {folder}" in capsys.readouterr().err
    assert main(["compare", "--resume", str(folder)]) == 0
    assert all(file.stat().st_mtime_ns == when for file, when in trained.items())
    assert (folder / "arms/01/report.html").exists() and (folder / "report.html").exists()


def test_without_report_none_is_written(photos, tmp_path):
    config = resolve_config(str(photos), {"network": "linear", "epochs": 1, "report": False})
    assert run_training(config, tmp_path / "run").summary["report"] is None
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_chinese_page_has_no_english_phrase_left(photos, tmp_path):
    config = resolve_config(str(photos), {"network": "linear", "epochs": 1, "language": "zh"})
    html = (run_training(config, tmp_path / "run").folder / "report.html").read_text(encoding="utf-8")
    assert '<html lang="zh-Hans">' in html
    text = " ".join(Elements(html).text)
    english, chinese = phrases("en"), phrases("zh")
    for name, phrase in english.found.items():
        # Whole sentences only: names such as softmax and LeNet are the same in both.
        if len(phrase.split()) > 5 and "{" not in phrase and chinese.found[name] != phrase:
            assert phrase not in text, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_takes_what_the_english_one_takes(language):
    def fields(phrase):
        return {field for _, field, _, _ in string.Formatter().parse(phrase) if field is not None}

    english, other = phrases("en").found, phrases(language).found
    assert english.keys() == other.keys()
    for name in english:
        assert fields(english[name]) == fields(other[name]), name


def test_every_row_of_the_table_of_mechanisms_has_a_place():
    assert sorted(PLACES) == list(range(1, 29))


def test_the_file_is_small(run):
    assert (run.folder / "report.html").stat().st_size < 3_000_000


def test_everything_that_the_records_can_say_has_a_phrase():
    from glasswork.insight.changes import UNITS
    from glasswork.insight.side_by_side import COLUMNS, TIME_COLUMNS
    from glasswork.insight.signals_depth import Fate
    from glasswork.insight.signals_record import MEASURES, FindingName
    from glasswork.insight.verdict import Name, Remedy, Rule
    from glasswork.networks.anatomy_text import LAYER_COLUMNS
    from glasswork.runs.config import SETTING_KINDS

    wanted = [f"figure.measure.{name}" for name in MEASURES]
    wanted += [f"finding.{name}" for name in get_args(FindingName)]
    wanted += [f"start.fate.{name}" for name in get_args(Fate)]
    wanted += [f"layers.column.{name}" for name in (*LAYER_COLUMNS, *COLUMNS, *TIME_COLUMNS)]
    wanted += [f"invariance.{kind}" for kind in UNITS] + [f"figure.change.title.{kind}" for kind in UNITS]
    wanted += [f"verdict.{name}" for name in get_args(Name)] + [f"verdict.meaning.{name}" for name in get_args(Name)]
    wanted += [f"next.{name}" for name in get_args(Remedy)]
    # Of these two the errors themselves are the reason.
    wanted += [f"verdict.because.{rule}" for rule in get_args(Rule) if rule not in ("gap", "no_gap")]
    wanted += [f"configuration.kinds.{kind.__name__}" for kind in SETTING_KINDS]
    assert set(wanted) <= phrases("en").found.keys()


@pytest.mark.parametrize(
    ("rule", "evidence", "said"),
    [
        ("few_epochs", {"epochs": 2}, "只训练了 2 轮，还看不出损失会稳定在哪里。"),
        (
            "simple_rule",
            {
                "linear_error": 0.2,
                "linear_error_ci95": [0.15, 0.25],
                "trees_error": 0.1,
                "trees_error_ci95": [0.07, 0.13],
            },
            "一小片决策树组成的随机森林在没见过的样本上就能达到 10.0% [7.0, 13.0]。",
        ),
        (
            "still_falling",
            {"training_loss_fall": 0.34, "training_loss_fall_ci95": [0.3, 0.38], "last_epochs": 4},
            "训练结束时训练损失仍在下降：最后 4 轮下降了 34% [30.0, 38.0]。",
        ),
        ("gap", {}, None),
    ],
)
def test_a_chinese_page_says_which_rule_decided_the_verdict(rule, evidence, said):
    from glasswork.report.records import Report
    from glasswork.report.sections.opening import training_opening

    errors = {
        "training_error": 0.3,
        "validation_error": 0.4,
        "validation_error_ci95": [0.35, 0.45],
        "constant_error": 0.9,
    }
    verdict = {"name": "underfitting", "rule": rule, "evidence": errors | evidence, "remedy": "epochs", "next": None}
    verdict["sentence"] = "Underfitting: not for this page."
    report = Report("train", {"verdict": verdict}, {})
    texts = training_opening(report, phrases("zh")).answers[0].texts
    assert texts[1] == "训练误差 30.0%，验证误差 40.0% [35.0, 45.0]；总是回答最常见的类别，误差为 90.0%。"
    assert list(texts[2:]) == ([said] if said else [])


def test_intervals_and_flags_are_not_parted(html):
    assert '<span class="whole">--dropout 0.5</span>' in html
    assert re.search(r'\d% <span class="whole">\[[\d.]+, [\d.]+\]</span>', html)


def test_signals_are_two_tables_with_columns_of_their_own():
    from glasswork.insight.signals_record import LayerSignal
    from glasswork.report.sections.signals import signal_tables

    layers = (
        LayerSignal(
            "fc", "Linear", 1, mean=0.5, variance=12345.6, weight="fc.weight", weight_norm=2.0, update_ratio=2e-8
        ),
        LayerSignal("act", "relu", 1, mean=0.25, dead=0.0),
    )
    outputs, weights = signal_tables(layers, phrases("en"))
    assert outputs.header == ("layer", "kind", "mean", "variance of outputs", "share of dead units")
    assert outputs.rows == (("fc", "Linear", "0.500", "12,346", ""), ("act", "relu", "0.250", "", "0"))
    assert weights.header == ("layer", "kind", "norm of weights", "step / weights")
    assert weights.rows == (("fc", "Linear", "2.00", "2·10⁻⁸"),)


def test_a_dropout_of_nothing_is_not_said_to_be_seen(html):
    shown = re.findall(r'<p class="mechanisms">.*?</p>', html)
    assert shown
    assert not any("dropout" in line for line in shown)
    assert "glasswork train digits --dropout 0.5" in "".join(Elements(html).text)


def test_names_are_as_people_write_them_and_the_title_has_no_folders(html, photos):
    assert f"<h1>LeNet on {photos.name}</h1>" in html


def test_settings_versions_and_columns_are_in_the_language_of_the_page(photos, tmp_path):
    config = resolve_config(str(photos), {"network": "linear", "epochs": 1, "language": "zh"})
    elements = Elements((run_training(config, tmp_path / "run").folder / "report.html").read_text(encoding="utf-8"))
    assert {"正常结束", "是", "否"} <= set(elements.text)
    assert not {"finished", "yes", "no", "split seed", "threads"} & set(elements.text)


def test_an_axis_of_one_epoch_has_one_tick():
    from glasswork.report.figures.curves import loss_curves
    from glasswork.training.watch import EpochRecord

    drawing = loss_curves([EpochRecord(1, 0.1, 2.0, 0.5, 1.0, 1.0, 1.5)], 1, phrases("en"))
    ticks = re.findall(r'id="xtick_\d+".*?<text[^>]*>([^<]*)</text>', drawing.svg.decode(), re.DOTALL)
    assert ticks == ["1"]


def test_a_mean_of_few_residuals_is_drawn_without_its_interval():
    from glasswork.insight.residuals import Bias, Residuals
    from glasswork.report.figures.mistakes import residual_points

    bias = Bias(0.0, 10.0, 3, 1.0, 1.0, None)
    found = Residuals(None, None, np.array([1.0, 5.0, 9.0]), np.array([0.5, 1.0, 1.5]), bias, (bias,), ())
    drawing = residual_points(found, phrases("en"))
    assert drawing.svg.decode().count("#d55e00") == 1
    assert [line.label for line in drawing.legend] == ["examples", "mean of each fifth"]


def test_notes_on_the_data_are_in_the_language_of_the_page(tmp_path):
    from glasswork.data.note import SENTENCES

    rows = "".join(f"{row},7,{row % 5},{row % 5 + row % 3}\n" for row in range(60))
    (tmp_path / "rows.csv").write_text("id,same,x,y\n" + rows)
    config = {"network": "linear", "epochs": 1, "target": "y", "language": "zh"}
    result = run_training(resolve_config(str(tmp_path / "rows.csv"), config), tmp_path / "run")
    assert "column 'same' is left out: it is the same in every row" in result.summary["notes"]
    text = Elements((tmp_path / "run" / "report.html").read_text(encoding="utf-8")).text
    assert {"列 'id' 被当作标识，不参与学习。", "舍去了列 'same'：它在每一行都相同。"} <= set(text)
    assert not any("left out" in line for line in text)
    english = {name: phrase for name, phrase in phrases("en").found.items() if name.startswith("note.")}
    assert english == {f"note.{name}": sentence for name, sentence in SENTENCES.items()}


def test_a_note_stays_one_on_its_way_to_another_process():
    import pickle

    from glasswork.data.note import Note

    note = pickle.loads(pickle.dumps(Note("constant", column="'x'")))
    assert (note, note.name, note.values) == (Note("constant", column="'x'"), "constant", {"column": "'x'"})
