"""A model: predicts the same wherever it is loaded, and only what it knows."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import glasswork as gw
from glasswork.errors import BrokenFilesError, DataError, FileError
from glasswork.models.file import tensors_as_bytes, write_tensors
from glasswork.models.trained import model_from_bytes


def drawn(count=60, channels=1):
    return np.random.default_rng(0).integers(0, 256, (count, channels, 12, 12), dtype=np.uint8)


@pytest.fixture(scope="module")
def examples():
    return gw.read_examples(drawn(), np.array(["cat", "dog", "eel"] * 20))


@pytest.fixture(scope="module")
def model(examples):
    return gw.fit(examples, "lenet", epochs=1)


PREDICT = """
import sys, numpy as np, glasswork as gw
np.save(sys.argv[3], gw.load(sys.argv[1]).predict(np.load(sys.argv[2])).probabilities)
"""


@pytest.mark.parametrize("settings", [{"network": "lenet"}, {"network": "mlp", "tied_hidden": True}])
def test_predictions_are_bit_equal_in_a_new_process(examples, tmp_path, settings):
    model = gw.fit(examples, epochs=1, **settings)
    model.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "images.npy", drawn())
    files = [str(tmp_path / name) for name in ("model.safetensors", "images.npy", "out.npy")]
    subprocess.run([sys.executable, "-c", PREDICT, *files], check=True)
    assert (np.load(tmp_path / "out.npy") == model.predict(drawn()).probabilities).all()


def test_everything_about_a_model_survives_its_file(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    loaded = gw.load(tmp_path / "model.safetensors")
    assert loaded.preprocessing == model.preprocessing
    assert loaded.class_names == ("cat", "dog", "eel")
    assert loaded.options == model.options
    assert json.dumps(loaded.config) == json.dumps(model.config)  # tuples have become lists
    assert loaded.provenance == json.loads(json.dumps(model.provenance))
    assert loaded.parameters == model.parameters


def test_shared_weights_are_saved_once_and_still_shared_after_loading(examples, tmp_path):
    model = gw.fit(examples, "mlp", epochs=1, tied_hidden=True, form="textbook", width=0.1)
    gw.save(model, tmp_path / "m.safetensors")
    network = gw.load(tmp_path / "m.safetensors").network
    assert sum(p.numel() for p in network.parameters()) == model.parameters
    names = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    assert len(names) > len(list(network.parameters()))
    weights = sum(value.numel() for value in network.parameters())
    assert (tmp_path / "m.safetensors").stat().st_size < 4 * weights + 10_000


def test_a_network_of_ones_own_is_loaded_into_a_module_that_is_passed(examples, tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(144, 8, bias=False), nn.Linear(144, 8, bias=False)
            self.decode.weight = self.encode.weight
            self.last = nn.Linear(16, 3)

        def forward(self, images):
            flat = images.flatten(1)
            return self.last(torch.cat([self.encode(flat), self.decode(-flat)], dim=1).relu())

    model = gw.fit(examples, Tied(), epochs=1)
    model.save(tmp_path / "own.safetensors")
    with pytest.raises(FileError, match=r"which only your own code can build; pass it: load\(path, network=module\)"):
        gw.load(tmp_path / "own.safetensors")
    loaded = gw.load(tmp_path / "own.safetensors", network=Tied())
    assert loaded.network.encode.weight is loaded.network.decode.weight
    assert (loaded.predict(drawn()).probabilities == model.predict(drawn()).probabilities).all()
    with pytest.raises(FileError, match="do not fit the network"):
        gw.load(tmp_path / "own.safetensors", network=nn.Linear(2, 2))


def test_a_value_is_no_model_and_a_model_no_value(model, tmp_path):
    gw.save({"a": torch.arange(3)}, tmp_path / "value.safetensors")
    assert gw.load(tmp_path / "value.safetensors")["a"].tolist() == [0, 1, 2]
    with pytest.raises(FileError, match="holds no model"):
        gw.load(tmp_path / "value.safetensors", network=nn.Linear(1, 1))


def test_every_way_of_giving_pictures_gives_the_same(tmp_path):
    pixels = drawn(60, channels=3)
    model = gw.fit(gw.read_examples(pixels, np.arange(60) % 2), "lenet", epochs=1)
    picture = Image.fromarray(pixels[7].transpose(1, 2, 0))
    picture.save(tmp_path / "seven.png")
    expected = model.predict(pixels[7:8]).probabilities
    for given in (
        tmp_path / "seven.png",
        str(tmp_path / "seven.png"),
        [tmp_path / "seven.png"],
        tmp_path,
        picture,
        [picture],
        pixels[7],
        pixels[7].transpose(1, 2, 0),
        [pixels[7]],
        torch.from_numpy(pixels[7:8]),
    ):
        predictions = model.predict(given)
        assert len(predictions) == 1
        assert (predictions.probabilities == expected).all()
    assert model.predict(tmp_path / "seven.png").sources == (str(tmp_path / "seven.png"),)
    assert model.predict([picture, pixels[7]]).sources == ("input[0]", "input[1]")


def test_probabilities_are_the_softmax_of_the_networks_logits(model):
    predictions = model.predict(drawn())
    logits = model.network(model.preprocessing.standardise(torch.from_numpy(drawn())))
    expected = torch.softmax(logits, dim=1).detach().numpy()
    assert predictions.probabilities == pytest.approx(expected, abs=1e-5)
    assert predictions.classes == tuple(("cat", "dog", "eel")[label] for label in expected.argmax(axis=1))


def test_prediction_does_not_depend_on_the_batch_size(model):
    whole, pieces = (model.predict(drawn(), batch_size=size).probabilities for size in (60, 7))
    assert whole == pytest.approx(pieces, abs=1e-6)


def test_all_broken_files_are_named_or_skipped(model, tmp_path):
    Image.fromarray(drawn()[0, 0]).save(tmp_path / "good.png")
    (tmp_path / "bad\n😀.png").write_bytes(b"")
    (tmp_path / "worse.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    with pytest.raises(BrokenFilesError) as caught:
        model.predict(tmp_path)
    assert len(caught.value.broken) == 2
    assert "\n" not in str(caught.value)
    assert r"bad\n😀.png (zero bytes)" in str(caught.value)
    predictions = model.predict(tmp_path, skip_broken=True)
    assert predictions.sources == (str(tmp_path / "good.png"),)
    assert len(predictions.broken) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "nothing to predict"),
        ("nowhere.png", "there is no file or folder nowhere.png"),
        (np.zeros((2, 2, 2, 2, 2)), "expected images as"),
    ],
)
def test_what_cannot_be_predicted_is_said(model, given, words):
    with pytest.raises(DataError, match=words):
        model.predict(given)


def test_what_is_neither_path_nor_picture_is_said(model):
    for given in (None, [3], 5):
        with pytest.raises(DataError, match="expected a path, a PIL image or an array"):
            model.predict(given)
    with pytest.raises(DataError, match="one entry of the list holds 7 pictures"):
        model.predict([drawn()[:7]])
    with pytest.raises(DataError, match="evaluate takes examples, got ndarray"):
        model.evaluate(drawn())


def test_grey_arrays_of_three_axes_are_as_many_pictures(model):
    assert len(model.predict(drawn()[:3, 0])) == 3
    assert len(model.predict(drawn()[0])) == 1
    assert len(model.predict(drawn()[0, 0])) == 1


def test_if_no_file_is_left_there_is_nothing_to_skip_to(model, tmp_path):
    (tmp_path / "only.png").write_bytes(b"")
    with pytest.raises(BrokenFilesError, match="none is left, so give others"):
        model.predict(tmp_path, skip_broken=True)


def test_a_file_that_describes_no_model_is_refused(tmp_path):
    write_tensors(tmp_path / "odd.safetensors", {"a": torch.zeros(1)}, {"network": None}, kind="model")
    with pytest.raises(FileError, match="does not describe a model"):
        gw.load(tmp_path / "odd.safetensors")


def test_an_empty_folder_holds_no_pictures(model, tmp_path):
    with pytest.raises(DataError, match="holds no pictures"):
        model.predict(tmp_path)


def test_looks_at_a_test_part_are_counted_by_content(model, examples):
    assert model.evaluate(examples.validation).looks is None
    assert model.evaluate(examples.test).looks == 1
    again = gw.read_examples(drawn(), np.array(["cat", "dog", "eel"] * 20))
    assert model.evaluate(again.test).looks == 2
    assert model.evaluate(again.part("all")).looks == 3  # the test part among them
    alone = gw.read_examples(
        drawn()[examples.test.indices], np.array(["cat", "dog", "eel"] * 20)[examples.test.indices]
    )
    assert model.evaluate(alone.part("all")).looks == 4  # the test part, given by itself
    own = gw.Part(examples, "mine", examples.test.indices[:3])
    assert model.evaluate(own).looks == 5


def test_a_ledger_that_cannot_be_written_is_said(model, examples, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLASSWORK_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="was not counted"):
        assert model.evaluate(examples.test).looks is None


def test_classes_are_matched_by_name(model, examples):
    renamed = gw.read_examples(drawn()[:40], np.array(["dog", "eel"] * 20))
    confusion = model.evaluate(renamed.part("all")).confusion
    assert confusion.sum(axis=1).tolist() == [0, 20, 20]
    with pytest.raises(DataError, match=r"has the class 'fox', which the model does not know; it knows cat, dog, eel"):
        model.evaluate(gw.read_examples(drawn()[:40], np.array(["dog", "fox"] * 20)))


def test_examples_are_scored_on_their_test_part(model, examples):
    assert model.evaluate(examples).part == "test"


def test_a_part_without_examples_cannot_be_scored(model, examples):
    with pytest.raises(DataError, match="has no examples"):
        model.evaluate(examples.part("nonsense"))


def test_folding_batch_normalisation_leaves_the_models_network_alone(model):
    before = [value.clone() for value in model.network.state_dict().values()]
    model.predict(drawn())
    assert all(torch.equal(a, b) for a, b in zip(before, model.network.state_dict().values(), strict=True))
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in model.network.modules())


def test_a_model_in_memory_is_its_file_and_damage_to_it_is_noticed(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    content = model.as_bytes()
    assert content == (tmp_path / "model.safetensors").read_bytes()
    images = drawn(5)
    assert np.array_equal(model_from_bytes(content).predict(images).probabilities, model.predict(images).probabilities)
    with pytest.raises(FileError, match="the model in memory is damaged"):
        model_from_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(FileError, match="the model in memory carries no digest"):
        model_from_bytes(b"")
    other = tensors_as_bytes({"weight": torch.zeros(2)}, {}, kind="value")
    with pytest.raises(FileError, match="the model in memory holds a value, not a model"):
        model_from_bytes(other)
