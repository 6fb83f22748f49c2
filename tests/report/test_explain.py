"""The report of what was trained before: of a run as its own, of a model alone, of folds and of comparisons."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

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


def test_a_score_that_chose_the_epoch_is_said_to_be_too_good(run, data, tmp_path):
    too_good = "The epoch was chosen by these examples, so the number is somewhat too good."
    shutil.copy(run.folder / "model.safetensors", tmp_path / "alone.safetensors")
    assert too_good in explain(tmp_path / "alone.safetensors").html()
    assert too_good not in explain(run.folder).html()  # there it is the test part that is headlined
    others = gw.read_examples(pictures(12, 12), np.arange(120) % 2)
    assert too_good not in gw.explain(gw.load(run.folder / "model.safetensors"), others).html()


def test_damaged_files_beside_a_model_cost_a_sentence_or_their_part_of_the_page(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    for text in ("{}", json.dumps({**summary, "epochs": None}).replace('"epochs"', '"epoch"')):
        (folder / "summary.json").write_text(text)
        with pytest.raises(
            RunError, match=r"summary\.json is damaged, or was edited \(see (data|epochs)\); put it back"
        ):
            explain(folder)
    (folder / "summary.json").write_text(json.dumps(summary))
    metrics, signals = (folder / "metrics.csv").read_text(), folder / "signals.csv"
    header, row = metrics.splitlines()[:2]
    for text in (metrics[:200], f"{header}\n{row.split(',')[0]}\n", f"{header}\n{row.split(',')[0]}{10 * ','}\n"):
        (folder / "metrics.csv").write_text(text)
        assert explain(folder).report.history == ()
    for content in (b"\xff\xfe\x00", b"a" * 200_000):
        signals.write_bytes(content)
        report = explain(folder)
        assert report.report.inside.watched is None
    assert report.html()


def test_a_model_whose_data_is_gone_is_shown_without_it(run, data, tmp_path):
    model = gw.load(run.folder / "model.safetensors")
    elsewhere = replace(model, config={**model.config, "data": str(tmp_path / "gone.npz")})
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


def pictures(*shape):
    return np.random.default_rng(0).integers(0, 256, (120, *shape), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (2, 8, 8), (4, 8, 8)])
def test_pictures_of_a_pixel_a_row_or_two_channels_have_a_report_too(shape):
    examples = gw.read_examples(pictures(*shape), np.arange(120) % 2)
    inside = gw.explain(gw.fit(examples, "linear", epochs=1), examples)
    assert inside.report.inside.invariance.outcomes
    assert inside.html()


class Own(nn.Module):
    """Draws, or writes into what it is given, as nobody's business."""

    def __init__(self, draws):
        super().__init__()
        self.conv, self.out, self.draws = nn.Conv2d(1, 3, 3), nn.Linear(300, 2), draws

    def forward(self, images):
        if not self.draws:
            images -= 0.5
        x = torch.relu(self.conv(images)).flatten(1)
        return self.out(F.dropout(x, 0.2) if self.draws else x)


@pytest.mark.parametrize("draws", [True, False])
def test_what_cannot_be_seen_in_a_module_of_ones_own_is_left_out_and_said_where_it_is_asked_for(draws):
    examples = gw.read_examples(pictures(1, 12, 12), np.arange(120) % 2)
    model = gw.fit(examples, Own(draws), epochs=1)
    inside = gw.explain(model, examples).report.inside
    assert inside.mistakes is not None and inside.anatomy is not None
    if draws:
        assert inside.pulls is None and inside.attributions is not None
        with pytest.raises(gw.NetworkError, match=r"single examples cannot be computed through this Own .*; write its"):
            gw.hardest_pulls(model, examples)
    else:
        assert inside.attributions is None
        with pytest.raises(gw.NetworkError, match=r"saliency cannot be computed through this Own .*; write its"):
            gw.attributions(model, examples.validation)


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
    assert "--language is that of a page; say where it goes: --out" in capsys.readouterr().err
    assert main(["explain", "lenet", "alexnet", "--out", str(tmp_path / "two.html")]) == 2
    assert "a page is of one network" in capsys.readouterr().err


def test_a_network_never_trained_has_a_page_without_a_verdict(tmp_path, capsys):
    out = tmp_path / "vgg.html"
    flags = ["--form", "textbook", "--classes", "1000", "--image-size", "224", "--out", str(out), "--json"]
    assert main(["explain", "vgg16", *flags]) == 0
    assert json.loads(capsys.readouterr().out) == {"network": "vgg16", "report": str(out), "language": "en"}
    html = out.read_text(encoding="utf-8")
    assert "<h1>VGG-16, never trained</h1>" in html
    assert "138,357,544 parameters, inputs of 3x224x224" in html
    assert 'id="verdict"' not in html and 'href="#verdict"' not in html
    assert "glasswork explain vgg16 --form textbook --classes 1000 --image-size 224" in re.sub("</?span>", "", html)
    assert "15.47G" in html  # among the classic networks


def test_only_a_page_of_our_own_is_written_over(run, tmp_path, capsys):
    model = tmp_path / "digits.safetensors"
    shutil.copy(run.folder / "model.safetensors", model)
    theirs = tmp_path / "digits.html"
    theirs.write_text("<html>my notes</html>")
    assert main(["explain", str(model)]) == 1
    assert f"{theirs} is there already and is no page of Glasswork; say with --out where" in capsys.readouterr().err
    with pytest.raises(RunError, match=r"model\.safetensors is there already and is no page of Glasswork"):
        explain(model).save(shutil.copy(model, tmp_path / "model.safetensors"))
    assert theirs.read_text() == "<html>my notes</html>"
    assert main(["explain", str(model), "--out", str(tmp_path / "page.html")]) == 0
    assert main(["explain", str(model), "--out", str(tmp_path / "page.html"), "--language", "zh"]) == 0
    assert "zh-Hans" in (tmp_path / "page.html").read_text(encoding="utf-8")


def moved(run, data, folder):
    """A copy of the run, and its data in another place than its configuration says."""
    shutil.copytree(run.folder, folder / "run")
    model = gw.load(folder / "run" / "model.safetensors")
    replace(model, config={**model.config, "data": str(folder / "gone.npz")}).save(folder / "run" / "model.safetensors")
    return folder / "run"


def test_the_command_says_that_its_page_was_made_without_the_data(run, data, tmp_path, capsys):
    folder = moved(run, data, tmp_path)
    assert main(["explain", str(folder), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["examples"] == "gone"
    assert f"{tmp_path / 'gone.npz'} is not there any more. The page was made without the examples" in told.err
    assert "--data PATH" in told.err


def test_weights_that_no_epoch_was_finished_for_are_called_the_initial_ones(tmp_path, capsys):
    out = tmp_path / "run"
    wild = ["--optimiser", "sgd", "--learning-rate", "1e8", "--epochs", "3", "--examples", "300"]
    main(["train", "digits", *wild, "--out", str(out)])
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "so these are the initial weights" in html
    assert "chose the epoch" not in html + capsys.readouterr().out


def test_a_page_without_the_data_says_what_is_missing_and_how_to_get_it_back(run, data, tmp_path, capsys):
    folder = moved(run, data, tmp_path)
    html = explain(folder).html()
    assert 'href="#missing"' in html and f"{tmp_path / 'gone.npz'} is not there any more." in html
    parts = "Mistakes, What the layers make of one picture, Which pixels the answer hangs on, How far it sees"
    assert f"Missing without them: {parts}, When the picture moves, Data." in html
    assert f"glasswork explain {folder} --data PATH" in re.sub("</?span>", "", html)
    for section in ("mistakes", "receptive", "invariance", "data"):
        assert f'<section id="{section}"' not in html
    (tmp_path / "gone.npz").write_bytes(b"no data any more")
    assert f"{tmp_path / 'gone.npz'} cannot be read." in explain(folder).html()
    np.savez(tmp_path / "gone.npz", x=pictures(12, 12), y=np.arange(120) % 2)
    assert f"{tmp_path / 'gone.npz'} holds other examples now" in explain(folder).html()
    assert main(["explain", str(folder), "--data", str(tmp_path / "gone.npz")]) == 1
    assert "gone.npz does not hold the examples that the model learned from" in capsys.readouterr().err
    assert main(["explain", str(folder), "--data", str(data)]) == 0
    whole = (folder / "report.html").read_text(encoding="utf-8")
    assert 'href="#missing"' not in whole and '<section id="mistakes"' in whole


def test_a_model_that_does_not_know_its_data_says_so():
    examples = gw.read_examples(pictures(8, 8), np.arange(120) % 2)
    html = gw.explain(gw.fit(examples, "linear", epochs=1)).html()
    assert "It was trained in Python, on examples of which the model does not know where they are." in html
    assert "gw.explain(model, examples)" in html and "Missing without them: Scores, Mistakes, Which pixels" in html


def test_a_comparison_whose_data_has_moved_asks_where_it_is(data, tmp_path, capsys):
    here, there = shutil.copy(data, tmp_path / "here.npz"), tmp_path / "there.npz"
    folder = tmp_path / "run"
    vary = {"network": ["linear", "mlp"]}
    run_comparison(str(here), vary, {"epochs": 1, "report": False}, folds=2, processes=1, out=folder)
    (tmp_path / "here.npz").rename(there)
    assert main(["explain", str(folder)]) == 1
    assert f"say where: glasswork explain {folder} --data PATH" in capsys.readouterr().err
    assert main(["explain", str(folder), "--data", str(there)]) == 0
    assert main(["explain", str(folder / "arms" / "01"), "--data", str(there)]) == 0


def test_the_page_tells_of_the_looks_as_of_now_and_takes_none(data, tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSWORK_HOME", str(tmp_path / "home"))
    again = run_training(resolve_config(str(data), {"network": "linear", "epochs": 1}), tmp_path / "run")
    assert "The test part was looked at once, after training was over." in explain(again.folder).html()
    model = gw.load(again.folder / "model.safetensors")
    for _ in range(2):
        model.evaluate(gw.read_examples(data).test)
    for _ in range(2):  # the page itself counts as none
        html = explain(again.folder).html()
        assert "This test part has now been looked at 3 times." in html and "looked at 3 times</td>" in html
    shutil.copy(again.folder / "model.safetensors", tmp_path / "alone.safetensors")
    alone = explain(tmp_path / "alone.safetensors").html()
    assert "The test part was not scored for this page. It has been looked at 3 times before." in alone
    monkeypatch.setenv("GLASSWORK_HOME", str(tmp_path / "elsewhere"))  # where the ledger knows of none
    assert "The test part was looked at once, after training was over." in explain(again.folder).html()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_newer_version_may_have_written_costs_no_page(run, tmp_path, language):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    newer = {
        "verdict": {**summary["verdict"], "name": "grokking", "remedy": "patience"},
        "stopped": "enough",
        "form": "futuristic",
        "plan": {**summary["plan"], "quantum": True},
    }
    (folder / "summary.json").write_text(json.dumps({**summary, **newer}))
    html = explain(folder).html(language)
    said = {"en": 'knows no verdict "grokking"', "zh": "不认识结论“grokking”"}[language].replace('"', "&#34;")
    assert said in html and "enough" in html and "futuristic" in html and "quantum" in html


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"verdict": {"name": "healthy"}}, "verdict.sentence"),
        ({"train": {"part": "train", "n": 96}}, "train.accuracy"),
        ({"epochs": "many"}, "epochs"),
        ({"versions": []}, "versions"),
    ],
)
def test_an_edited_summary_is_answered_with_the_place_of_the_fault(run, tmp_path, change, place):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, **change}))
    with pytest.raises(RunError, match=rf"is damaged, or was edited \(see {place}\); put it back, or run again"):
        explain(folder)


@pytest.mark.parametrize("network", ["linear", "lenet"])
def test_a_page_of_large_noisy_pictures_stays_under_three_megabytes(network):
    noise = np.random.default_rng(0).integers(0, 256, (120, 224, 224, 3), dtype=np.uint8)
    examples = gw.read_examples(noise, np.arange(120) % 12)
    html = gw.explain(gw.fit(examples, network, epochs=1, width=0.2 if network == "lenet" else 1), examples).html()
    assert "each point is the mean of 2 × 2" in html
    assert 500_000 < len(html.encode()) < 3_000_000
