"""The command line as a user meets it: one JSON object on stdout, one sentence on stderr, an exit code."""

import csv
import gc
import io
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from glasswork.cli.main import COMMANDS, main


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path):
    """Forty small pictures of two classes, one dark and one bright, under names that try us."""
    generator = np.random.default_rng(0)
    for label, level in (("dark side", 0), ("bright\n☀", 120)):
        folder = tmp_path / "my photos" / label
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(level, level + 100, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number} 📷.png")
    return "my photos"


def run(capsys, *tokens):
    """Exit code, stdout and stderr of a command."""
    code = main([str(token) for token in tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def complaint(capsys, *tokens):
    """The one sentence of a command that fails, and its exit code."""
    code, out, err = run(capsys, *tokens)
    lines = [line for line in err.splitlines() if line.startswith("glasswork: ")]
    assert out == ""
    assert "Traceback" not in err
    assert len(lines) == 1, err
    return code, lines[0]


def test_train_prints_one_json_object_and_nothing_else_on_stdout(capsys, photos):
    code, out, err = run(capsys, "train", photos, "--epochs", "3", "--json")
    assert code == 0
    result = json.loads(out)
    assert out.count("\n") == 1
    assert result["run"] == "runs/my photos-lenet-1"
    assert result["network"] == "lenet"
    assert isinstance(result["parameters"], int)
    assert 0 <= result["train"]["accuracy"] <= 1
    low, high = result["test"]["accuracy_ci95"]
    assert 0 <= low <= result["test"]["accuracy"] <= high <= 1
    assert result["test"]["looks"] == 1
    assert result["seconds"] > 0
    assert result["examples_per_second"] > 0
    assert err.count("epoch ") == 3  # one line per epoch, since stderr is no terminal


def test_train_evaluate_predict_and_data_agree(capsys, photos):
    code, out, _ = run(capsys, "train", photos, "--epochs", "20", "--name", "mine", "--json")
    trained = json.loads(out)
    code, out, _ = run(capsys, "evaluate", "runs/mine", photos, "--json")
    scored = json.loads(out)
    assert code == 0
    assert scored["part"] == "test"  # the same pictures are cut the same way again
    assert scored["looks"] == 2
    assert {**trained["test"], "looks": 2} == {name: scored[name] for name in trained["test"]}
    assert scored["accuracy"] == 1.0
    assert run(capsys, "evaluate", "runs/mine/model.safetensors", photos, "--part", "all")[0] == 0

    code, out, _ = run(capsys, "predict", "runs/mine", photos)
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert code == 0
    assert len(rows) == 40
    for row in rows:
        assert os.path.exists(row["source"])
        assert row["class"] in row["source"]
        assert float(row["probability"]) == max(float(row["dark side"]), float(row["bright\n☀"]))
    code, out, _ = run(capsys, "predict", "runs/mine", rows[0]["source"], rows[-1]["source"], "--json")
    assert [entry["class"] for entry in json.loads(out)["predictions"]] == [rows[0]["class"], rows[-1]["class"]]

    code, out, _ = run(capsys, "data", photos, "--json")
    assert json.loads(out)["train"]["parts"] == {name: trained[name]["n"] for name in ("train", "validation", "test")}


def test_what_people_read_says_the_same(capsys, photos):
    code, out, _ = run(capsys, "train", photos, "--epochs", "2", "--out", "here")
    assert code == 0
    assert "lenet (modern)" in out
    assert "95% interval" in out
    assert "Saved in here" in out
    code, out, _ = run(capsys, "train", photos, "--epochs", "2", "--out", "again")
    assert "has been looked at 2 times" in out
    code, out, _ = run(capsys, "data", photos)
    assert "40 pictures of 2 classes" in out
    assert "train would use 28 train, 4 validation, 8 test" in out
    code, out, _ = run(capsys, "evaluate", "here", photos)
    assert "precision" in out


def test_evaluation_takes_all_of_a_folder_that_is_not_the_training_data(capsys, photos):
    run(capsys, "train", photos, "--epochs", "1", "--out", "m")
    os.makedirs("new/dark side")
    Image.fromarray(np.zeros((12, 12, 3), dtype=np.uint8)).save("new/dark side/only.png")
    code, out, _ = run(capsys, "evaluate", "m", "new", "--json")
    assert code == 0
    assert json.loads(out)["part"] == "all"
    assert json.loads(out)["n"] == 1


def test_renamed_copies_of_the_training_data_are_cut_the_same_way(capsys, photos):
    code, out, _ = run(capsys, "train", photos, "--epochs", "1", "--out", "m", "--json")
    for folder in os.listdir(photos):
        for number, name in enumerate(sorted(os.listdir(f"{photos}/{folder}"), reverse=True)):
            os.makedirs(f"renamed/{folder}", exist_ok=True)
            os.rename(f"{photos}/{folder}/{name}", f"renamed/{folder}/{number:03}.png")
    code, again, _ = run(capsys, "evaluate", "m", "renamed", "--json")
    assert code == 0
    assert json.loads(again)["confusion"] == json.loads(out)["test"]["confusion"]
    assert json.loads(again)["looks"] == 2


def test_examples_a_run_has_learned_from_are_counted_in_its_evaluation(capsys, photos):
    run(capsys, "train", photos, "--epochs", "1", "--out", "m")
    Image.new("RGB", (12, 12)).save(f"{photos}/dark side/one more.png")
    code, out, err = run(capsys, "evaluate", "m", photos, "--json")
    assert code == 0
    assert json.loads(out)["part"] == "all"
    assert json.loads(out)["learned_from"] == 32  # 28 to train on, 4 for validation
    assert "32 of these 41 examples were in the training or validation part of the run" in err
    assert json.loads(run(capsys, "evaluate", "m/model.safetensors", photos, "--json")[1])["learned_from"] == 32


def test_evaluation_goes_on_without_broken_files(capsys, photos):
    run(capsys, "train", photos, "--epochs", "1", "--out", "m")
    os.makedirs("new/dark side")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save("new/dark side/a.png")
    with open("new/dark side/a.png", "rb") as file, open("new/dark side/b.png", "wb") as half:
        half.write(file.read()[:1500])
    assert complaint(capsys, "evaluate", "m", "new")[0] == 1
    code, out, err = run(capsys, "evaluate", "m", "new", "--skip-broken", "--json")
    assert code == 0
    assert "skipped dark side/b.png (" in err
    assert json.loads(out)["n"] == 1


def test_data_names_broken_files_and_copies_across_parts(capsys, photos):
    os.makedirs("parts/train/a"), os.makedirs("parts/train/b"), os.makedirs("parts/test/a"), os.makedirs("parts/test/b")
    for number in range(6):
        for label, level in (("a", 10), ("b", 90)):
            Image.fromarray(np.full((8, 8), level + number, dtype=np.uint8)).save(f"parts/train/{label}/{number}.png")
            Image.fromarray(np.full((8, 8), level + 20 + number, dtype=np.uint8)).save(
                f"parts/test/{label}/{number}.png"
            )
    with open("parts/train/a/0.png", "rb") as source, open("parts/test/a/copy.png", "wb") as copy:
        copy.write(source.read())
    with open("parts/train/b/broken.png", "wb"):
        pass
    code, out, _ = run(capsys, "data", "parts")
    assert code == 0
    assert "broken files: 1\n  train/b/broken.png (zero bytes)" in out
    assert "exact copies across parts: 1\n  test/a/copy.png (test) = train/a/0.png (train)" in out


def test_groups_are_cut_whole_and_the_test_part_is_found_again(capsys, photos):
    pattern = r"/(\d)\d? "  # 0, 1 with 10 to 19, 2, ..., of both classes
    code, out, _ = run(capsys, "train", photos, "--epochs", "1", "--group-pattern", pattern, "--out", "m", "--json")
    assert code == 0
    with open("m/split.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lies = {}
    for row in rows:
        lies.setdefault(row["source"].split("/")[1][0], set()).add(row["part"])
    assert len(lies) == 10 and all(len(parts) == 1 for parts in lies.values())
    code, again, _ = run(capsys, "evaluate", "m", photos, "--json")
    assert json.loads(again)["part"] == "test" and json.loads(again)["n"] == json.loads(out)["test"]["n"]
    assert "by 10 groups with split seed 0" in run(capsys, "data", photos, "--group-pattern", pattern)[1]


def test_flags_beat_the_file_which_beats_the_defaults(capsys, photos):
    with open("mine.yaml", "w") as file:
        file.write(f"data: {photos}\nepochs: 1\nbatch_size: 7\nseed: 5\n")
    code, out, _ = run(capsys, "train", "--config", "mine.yaml", "--batch-size", "9", "--out", "run", "--json")
    assert code == 0
    with open("run/config.yaml") as file:
        text = file.read()
    for line in ("epochs: 1", "batch_size: 9", "seed: 5", "momentum: 0.9", "network: lenet"):
        assert f"\n{line}\n" in text
    code, again, _ = run(capsys, "train", "--config", "run/config.yaml", "--out", "again", "--json")
    assert json.loads(again)["train"] == json.loads(out)["train"]


@pytest.mark.parametrize(
    ("tokens", "code", "words"),
    [
        (["train", "nowhere"], 1, "nowhere"),
        (["train", "./nowhere"], 1, "there is no file or folder"),
        (["train"], 2, "name the data, as in: glasswork train digits"),
        (["trian", "digits"], 2, 'Did you mean "train"?'),
        (["train", "digits", "--learnin-rate", "1"], 2, "Did you mean --learning-rate?"),
        (["train", "digits", "--network", "lenett"], 2, "lenet"),
        (["train", "digits", "--epochs", "0"], 2, "--epochs should be greater than or equal to 1, got 0"),
        (["train", "digits", "--epochs", "many"], 2, "many"),
        (["train", "digits", "--dropout", "1"], 2, "--dropout should be less than 1"),
        (["train", "digits", "--image-size", "huge"], 2, "--image-size should be written 32 or 32x48"),
        (["train", "digits", "--image-size", "8"], 1, "pass --image-size 12"),
        (["train", "digits", "--initialise", "constant"], 2, "--allow-symmetry"),
        (["train", "digits", "--augment", "flip,twist"], 2, "--augment"),
        (["train", "digits", "--class-weights", "1,2"], 2, "has 2 values, but there are 10 classes"),
        (["train", "digits", "--device", "tpu"], 2, "tpu"),
        (["train", "digits", "--config", "nowhere.yaml"], 2, "cannot be read"),
        (["train", "digits", "--name", "a/b"], 2, "plain folder name"),
        (["train", "digits", "--out", ""], 2, "--out is empty"),
        (["train", "digits", "--epochs", "1.5"], 2, "1.5"),
        (["train", "digits", "--batch-size", "1"], 2, "--batch-size 1 leaves batch normalisation"),
        (["train", "digits", "--width", "1e9"], 2, "--width should be less than or equal to 100"),
        (["train", "digits", "extra"], 2, "extra"),
        (["predict", "nowhere", "x.png"], 1, "nowhere cannot be read"),
        (["evaluate", "nowhere", "digits"], 1, "nowhere cannot be read"),
        (["data", "nowhere"], 1, "nowhere"),
        (["train", "digits", "--group-pattern", "(p"], 2, "--group-pattern '(p' is not a regular expression"),
        (
            ["train", "digits", "--group-pattern", "(p)"],
            1,
            "finds no group in 1797 of 1797 paths: digits[0], digits[1]",
        ),
    ],
)
def test_bad_input_is_answered_in_one_sentence(capsys, tokens, code, words):
    found, sentence = complaint(capsys, *tokens)
    assert found == code
    assert words in sentence
    assert os.listdir() == []  # nothing half-written


def test_bad_folders_are_answered_in_one_sentence(capsys, photos):
    os.mkdir("empty")
    assert complaint(capsys, "train", "empty")[0] == 1
    os.makedirs("single/only")
    Image.new("L", (8, 8)).save("single/only/a.png")
    code, sentence = complaint(capsys, "train", "single")
    assert code == 1
    assert "one class" in sentence
    os.makedirs("rare/a"), os.makedirs("rare/b")
    for number in range(5):
        Image.new("L", (8, 8), number).save(f"rare/a/{number}.png")
    Image.new("L", (8, 8)).save("rare/b/0.png")
    code, sentence = complaint(capsys, "train", "rare")
    assert code == 1
    assert "class 'b' has one example" in sentence
    run(capsys, "train", photos, "--epochs", "1", "--out", "held")
    before = sorted(os.listdir("held"))
    code, sentence = complaint(capsys, "train", photos, "--out", "held")
    assert code == 1
    assert "holds a run already" in sentence
    assert sorted(os.listdir("held")) == before


def test_a_file_of_another_kind_is_no_model(capsys, photos):
    with open("model.safetensors", "wb") as file:
        file.write(b"not a model")
    assert complaint(capsys, "predict", "model.safetensors", photos)[0] == 1


def test_a_diverged_training_fails_and_keeps_its_weights(capsys, photos):
    tokens = [
        "--optimiser",
        "sgd",
        "--learning-rate",
        "1e30",
        "--schedule",
        "constant",
        "--no-batch-norm",
        "--out",
        "run",
    ]
    code, _, err = run(capsys, "train", photos, *tokens)
    assert code == 1
    assert "are kept in run/model.safetensors" in err
    assert os.path.exists("run/model.safetensors")


def test_names_that_look_like_markup_are_printed_as_they_are(capsys, photos):
    os.rename(f"{photos}/dark side", f"{photos}/[bold]x")
    os.rename(photos, "[red]photos")
    code, out, _ = run(capsys, "train", "[red]photos", "--epochs", "1", "--out", "m")
    assert code == 0
    assert "[red]photos" in out
    assert "[bold]x" in run(capsys, "data", "[red]photos")[1]


def test_too_little_memory_is_a_sentence(capsys, photos, monkeypatch):
    def exhausted(*_arguments, **_named):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("glasswork.training.prepare.build", exhausted)
    code, sentence = complaint(capsys, "train", photos)
    assert code == 1
    assert "there is not enough memory; reduce --batch-size" in sentence


WORK_ONLY = ("torch", "pandas", "sklearn", "scipy", "matplotlib", "PIL", "optuna", "captum", "pyarrow")


@pytest.mark.parametrize("tokens", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_and_version_wait_for_no_library_that_only_work_needs(tokens):
    code = (
        "import sys; from glasswork.cli.main import main; code = main(sys.argv[1:]); "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert "cyclopts" in imported  # so that these are the names of modules
    assert not imported & {*WORK_ONLY, *(("numpy", "pydantic") if len(tokens) == 1 else ())}


def test_the_list_of_commands_says_of_each_what_its_own_help_says(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    listed = " ".join(out.replace("│", " ").split())
    for name, does in COMMANDS.items():
        command = getattr(import_module(f"glasswork.cli.{name}"), name)
        assert does.split() == command.__doc__.split()
        assert f"{name} {' '.join(does.splitlines()[0].split())}" in listed


def test_help_tells_every_setting_with_its_default():
    done = subprocess.run([sys.executable, "-m", "glasswork", "train", "--help"], capture_output=True, text=True)
    assert "--learning-rate" in done.stdout
    assert "Did you mean" not in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_best_weights_and_gives_its_exit_code(photos, number, code):
    command = [sys.executable, "-m", "glasswork", "train", photos, "--epochs", "100000", "--out", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch") and line.split("/")[0].split()[-1] == "3":
            break
    time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the test part was not looked at" in err
    with open("run/summary.json") as file:
        assert json.load(file)["stopped"] == "interrupted"
    assert os.path.exists("run/model.safetensors")


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_python_carries_out_a_text_gives_the_same_exit_code(tmp_path, number, code):
    # As dataclasses are made while modules are imported.
    (tmp_path / "started.py").write_text(
        "import runpy\n"
        "import glasswork.cli.main as cli\n"
        f"cli.create_app = lambda: exec('import signal; signal.raise_signal(signal.{number})')\n"
        "runpy.run_module('glasswork', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-m", "started"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")


def test_skipped_files_are_named_on_the_screen(capsys, photos):
    folder = f"{photos}/dark side"
    os.truncate(f"{folder}/{sorted(os.listdir(folder))[0]}", 60)
    os.mkfifo(f"{folder}/pipe.png")
    code, _, err = run(capsys, "train", photos, "--epochs", "1", "--skip-broken", "--out", "m")
    assert code == 0
    assert err.count("skipped dark side/") == 2
    assert "pipe.png (not a regular file)" in err


def test_a_closed_stdout_is_no_disaster(photos):
    command = f"{sys.executable} -m glasswork data '{photos}' >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_help_tells_the_defaults_of_tables_from_those_of_pictures():
    done = subprocess.run([sys.executable, "-m", "glasswork", "train", "--help"], capture_output=True, text=True)
    words = " ".join(done.stdout.replace("│", " ").split())
    assert "Default: lenet for pictures, mlp for tables." in words
    for field, general in (("--epochs", "20"), ("--batch-size", "64"), ("--keep", "best")):
        text = words[words.index(f"{field} ") :]
        assert text[: text.index("Default: ") + 60].count(f"Default: {general}, unless the network has its own") == 1


REPORT_ONLY = ("matplotlib", "mpl_toolkits", "jinja2", "captum", "optuna", "triton", "joblib")
VERDICT_ONLY = ("sklearn", "scipy", "pandas", "pyarrow")


def test_a_training_waits_for_no_library_before_its_model_is_saved_that_it_needs_later_or_never(photos):
    """Digits of other sources are read with NumPy and Pillow; the verdict alone fits rules of scikit-learn's."""
    code = """if True:
        import sys
        from glasswork.cli.main import main
        from glasswork.models.trained import Model

        def told(moment):
            print(moment, *{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)

        def save(model, path, save=Model.save):
            save(model, path)
            told("saved")

        Model.save = save
        code = main(sys.argv[1:])
        told("ended")
        sys.exit(code)
    """
    given = ["train", photos, "--network", "lenet", "--epochs", "1", "--no-report", "--image-size", "28"]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stderr.splitlines()]
    imported = {line[0]: set(line[1:]) for line in lines if line and line[0] in ("saved", "ended")}
    assert "torch" in imported["saved"]
    assert not imported["saved"] & {*REPORT_ONLY, *VERDICT_ONLY}
    assert "sklearn" in imported["ended"]
    assert not imported["ended"] & {*REPORT_ONLY} - {"joblib"}  # which scikit-learn imports


def in_new_process(code, *tokens):
    """The last line that this code says on stderr in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "tokens",
    [
        ["train", "nowhere.csv"],
        ["crossval", "nowhere.csv"],
        ["compare", "nowhere.csv", "--vary", "seed=1,2"],
        ["tune", "nowhere.csv"],
        ["evaluate", "nowhere", "digits"],
        ["predict", "nowhere", "a.png"],
        ["explain", "lenet"],
        ["data", "nowhere.csv"],
    ],
    ids=" ".join,
)
def test_no_garbage_is_looked_for_in_what_a_command_imports(tokens):
    code = (
        "import gc, sys; from glasswork.cli.main import main; main(sys.argv[1:]); "
        "print(gc.get_freeze_count(), gc.isenabled(), file=sys.stderr)"
    )
    frozen, enabled = in_new_process(
        code, *tokens
    ).split()  # the last line: nobody complains of what is left at the end
    assert int(frozen) > 100_000 and enabled == "True"


def test_a_process_that_has_torch_already_has_its_garbage_looked_for_as_ever():
    import torch  # noqa: F401 - so that it is there

    from glasswork.cli.importing import importing

    before = gc.get_freeze_count()
    with importing():
        assert gc.isenabled()
    assert gc.get_freeze_count() == before
