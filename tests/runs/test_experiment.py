"""The next experiment: a command that can be pasted, and that changes one thing."""

import shlex

import pytest
import yaml

import glasswork.cli.train as cli
from glasswork.cli.main import create_app
from glasswork.runs.config import resolve_config
from glasswork.runs.experiment import next_command


def following(remedy, table=False, channels=1, data="digits", **given):
    return next_command(resolve_config(data, given, table), remedy, channels, table)


@pytest.mark.parametrize(
    ("remedy", "given", "command"),
    [
        ("epochs", {}, "glasswork train digits --epochs 40"),
        ("epochs", {"epochs": 3}, "glasswork train digits --epochs 10"),
        ("learning_rate", {}, "glasswork train digits --learning-rate 0.001"),
        ("repeat", {"seed": 4}, "glasswork train digits --seed 5"),
        ("examples", {"width": 0.5}, "glasswork crossval digits --width 0.5"),
        ("regularise", {}, "glasswork train digits --augment shift"),
        ("regularise", {"augment": "flip"}, "glasswork train digits --augment flip --weight-decay 0.1"),
        ("regularise", {"augment": "flip", "weight_decay": 1},
         "glasswork train digits --augment flip --weight-decay 1 --dropout 0.5"),
        ("capacity", {"network": "linear"}, "glasswork train digits --network lenet"),
        ("capacity", {"network": "mlp", "tied_hidden": True}, "glasswork train digits --network lenet"),
        ("capacity", {}, "glasswork train digits --network vgg11"),
        ("capacity", {"image_size": 12}, "glasswork train digits --image-size 12 --width 2"),  # VGG-11 needs 32
        ("capacity", {"width": 0.1}, "glasswork train digits"),
        ("capacity", {"weight_decay": 5.0}, "glasswork train digits --weight-decay 0.01"),
        ("capacity", {"initialise": "constant", "allow_symmetry": True}, "glasswork train digits"),
    ],
)  # fmt: skip
def test_the_command_changes_one_thing(remedy, given, command):
    assert following(remedy, **given) == command


def test_colour_pictures_are_mirrored_too():
    assert following("regularise", channels=3) == "glasswork train digits --augment flip,crop"


def test_tables_get_what_tables_take():
    house = {"data": "houses.csv", "table": True, "target": "price"}
    assert following("capacity", network="linear", **house) == "glasswork train houses.csv --network mlp --target price"
    assert following("capacity", **house) == "glasswork train houses.csv --target price --width 4"
    assert following("regularise", **house) == "glasswork train houses.csv --target price --weight-decay 0.1"


def test_of_a_whole_configuration_only_what_is_not_the_default_is_typed():
    config = resolve_config("digits", {"batch_norm": False, "grey": True, "learning_rate": 0.01})
    given = yaml.safe_load(config.as_yaml())
    assert len(given) > 30
    words = shlex.split(following("epochs", **given))
    assert words[:3] == ["glasswork", "train", "digits"]
    assert sorted(words[3:]) == ["--epochs", "--grey", "--no-batch-norm", "40"]


@pytest.mark.parametrize("remedy", ["epochs", "capacity", "learning_rate", "regularise", "repeat"])
@pytest.mark.parametrize(
    "given",
    [
        {"augment": "flip,crop", "image_size": "48x32", "class_weights": "1,2.5"},
        {"batch_norm": False, "grey": True, "patience": 3, "fit": "pad"},
        {"network": "googlenet", "auxiliary_weight": 0.3, "image_size": 224},
    ],
)
def test_the_command_can_be_pasted(remedy, given, monkeypatch):
    """Parsed by the real command line, it is the configuration meant: all that was given, and one thing more."""
    data = "my photos/it's"
    command = following(remedy, data=data, **given)
    seen = []
    monkeypatch.setattr(
        cli, "resolved_config", lambda data, config, given, example: seen.append((data, given)) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        create_app()(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert seen[0][0] == data
    pasted, before = resolve_config(data, seen[0][1]).as_dict(), resolve_config(data, given).as_dict()
    changed = {name for name in pasted if pasted[name] != before[name]}
    assert 0 < len(changed) <= 4  # a network brings its own learning rate


def test_columns_with_commas_are_pasted_whole():
    command = following("epochs", data="t.csv", table=True, target="y", ignore='"city, country",zip')
    words = shlex.split(command)
    pasted = resolve_config("t.csv", {"target": "y", "ignore": words[words.index("--ignore") + 1]}, table=True)
    assert pasted.columns.ignore == ("city, country", "zip")
