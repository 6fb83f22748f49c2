"""The main job on embedded and on real data, as the README promises it."""

import json
import statistics

import pytest

import glasswork as gw
from glasswork.cli.main import main


def trained(capsys, *tokens):
    assert main(["train", *map(str, tokens), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_lenet_reads_at_least_97_percent_of_held_out_digits_untouched(capsys):
    result = trained(capsys, "digits")
    assert result["test"]["accuracy"] >= 0.97
    assert result["test"]["n"] == 359


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("linear", {}),
        ("mlp", {}),
        ("mlp", {"form": "textbook"}),
        ("lenet", {"form": "textbook", "epochs": 20}),
        ("alexnet", {"width": 0.25, "image_size": 32}),
        ("vgg11", {"width": 0.1, "image_size": 32}),
        ("googlenet", {"width": 0.25, "image_size": 32, "epochs": 8}),
    ],
)
def test_every_kind_of_network_learns_digits_with_its_own_defaults(network, settings):
    examples = gw.read_examples("digits")
    model = gw.fit(examples, network, **{"epochs": 4, **settings})
    assert model.evaluate(examples.test).accuracy > 0.7  # chance is 0.1


def test_the_photographs_train_as_they_are(capsys, shared_data):
    result = trained(capsys, shared_data / "ants-bees.zip", "--image-size", "32", "--epochs", "2", "--network", "vgg11",
                     "--width", "0.1", "--out", "run")  # fmt: skip
    assert {name: result[name]["n"] for name in ("train", "validation", "test")} == {
        "train": 196, "validation": 153, "test": 49,
    }  # fmt: skip


@pytest.mark.slow
def test_lenet_on_mnist_reaches_99_percent_in_the_median_over_three_seeds(capsys, shared_data):
    tokens = [shared_data / "mnist", "--network", "lenet", "--epochs", "10"]
    accuracies = [trained(capsys, *tokens, "--seed", seed)["test"]["accuracy"] for seed in (0, 1, 2)]
    assert statistics.median(accuracies) >= 0.990


@pytest.mark.slow
@pytest.mark.parametrize("network", ["alexnet", "vgg11", "googlenet"])
def test_losses_fall_on_cifar10_as_it_is(shared_data, network):
    history = []
    gw.fit(gw.read_examples(shared_data / "cifar10.zip"), network, width=0.25, epochs=2, watch=[history.append])
    losses = [record.train_loss for record in history if hasattr(record, "train_loss")]
    assert losses[1] < losses[0]
    assert losses[1] < 2.303  # log 10, a guess among ten; the first epoch begins above it
