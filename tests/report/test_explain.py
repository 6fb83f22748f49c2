"""The report of what was trained before: of a run as its own, of a model alone, of folds and of comparisons."""

import json
import re
import shutil

import numpy as np
import pytest

import glasswork as gw
from glasswork.cli.main import main
from glasswork.errors import RunError, SettingError
from glasswork.runs.comparison import run_comparison
from glasswork.runs.config import resolve_config
from glasswork.runs.explained import explain
from glasswork.runs.training import run_training


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    targets = np.arange(120) % 2
    x = (generator.normal(60, 30, (120, 12, 12)) + 90 * targets[:, None, None]).clip(0, 255)
    np.savez(path, x=x.astype(np.uint8), y=targets)
    return path


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("GLASSWORK_HOME", str(tmp_path_factory.mktemp("home")))
    yield run_training(
        resolve_config(str(data), {"network": "lenet", "epochs": 2}), tmp_path_factory.mktemp("r") / "run"
    )
    patch.undo()


def text_of(html):
    return re.sub(r'<span class="varies">.*?</span>', "", html)


def test_the_report_of_a_run_is_the_one_the_run_has_written(run):
    own = (run.folder / "report.html").read_text(encoding="utf-8")
    assert text_of(explain(run.folder).html()) == text_of(own)


def test_no_further_look_is_taken_at_the_test_part(run, data):
    model = gw.load(run.folder / "model.safetensors")
    explain(run.folder)
    gw.explain(model, gw.read_examples(data))
    assert model.evaluate(gw.read_examples(data).test).looks == 1  # in the home of this test nobody has looked before


def test_a_model_without_its_run_shows_what_is_inside(run, tmp_path):
    shutil.copy(run.folder / "model.safetensors", tmp_path / "alone.safetensors")
    report = explain(tmp_path / "alone.safetensors").report
    assert report.kind == "model"
    assert not report.history
    assert report.inside.anatomy.parameters == run.summary["parameters"]
    assert report.summary["validation"]["accuracy"] == run.validation.accuracy


def test_a_model_whose_data_is_gone_is_shown_without_it(run, data, tmp_path):
    model = gw.load(run.folder / "model.safetensors")
    elsewhere = gw.Model(**{**vars(model), "config": {**model.config, "data": str(tmp_path / "gone.npz")}})
    elsewhere.save(tmp_path / "gone.safetensors")
    report = explain(tmp_path / "gone.safetensors").report
    assert report.data is None
    assert report.inside.mistakes is None
    html = explain(tmp_path / "gone.safetensors").html("zh")
    assert "手头没有训练用的数据" in html


def test_a_model_fitted_in_python_is_explained_with_its_examples(data, tmp_path):
    examples = gw.read_examples(data)
    model = gw.fit(examples, network="linear", epochs=1)
    gw.explain(model, examples).save(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "linear, trained on tiny" in html
    assert gw.explain(model).report.data is None


def test_a_comparison_and_its_cross_validations_are_explained(data, tmp_path):
    vary = {"network": ["linear", "lenet"]}
    result = run_comparison(str(data), vary, {"epochs": 1}, folds=2, processes=1, out=tmp_path / "run")
    own = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert result.summary["report"] == str(tmp_path / "run" / "report.html")
    assert text_of(explain(tmp_path / "run").html()) == text_of(own)
    arm = tmp_path / "run" / "arms" / "01"
    assert text_of(explain(arm).html()) == text_of((arm / "report.html").read_text(encoding="utf-8"))


def test_the_command_writes_beside_the_run_or_where_it_is_told(run, tmp_path, capsys):
    (run.folder / "report.html").unlink()
    assert main(["explain", str(run.folder)]) == 0
    assert (run.folder / "report.html").exists()
    out = tmp_path / "hier.html"
    assert (
        main(["explain", str(run.folder / "model.safetensors"), "--out", str(out), "--language", "zh", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["report"] == str(out)
    assert 'lang="zh-Hans"' in out.read_text(encoding="utf-8")


def test_what_is_no_model_is_answered_in_a_sentence(tmp_path, run, capsys):
    with pytest.raises(RunError, match="holds no model, no cross-validation and no comparison"):
        explain(tmp_path)
    with pytest.raises(SettingError, match="there is no language 'fr'; choose one of en, zh"):
        explain(run.folder).html("fr")
    assert main(["explain", str(run.folder), "--width", "2"]) == 2
    assert "knows its network; leave out --width" in capsys.readouterr().err
    assert main(["explain", str(run.folder), "--batch-size", "2", "--repeats", "3"]) == 2
    assert "knows its network; leave out --batch-size, --repeats" in capsys.readouterr().err
    assert main(["explain", str(run.folder), "lenet"]) == 2
    assert "a report is of one model" in capsys.readouterr().err
    assert main(["explain", "lenet", "--language", "zh"]) == 2
    assert "--out and --language are for the report of a model" in capsys.readouterr().err
