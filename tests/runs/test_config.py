"""Configuration: defaults, then a file, then flags; saved resolved."""

import pytest

from glasswork.errors import SettingError
from glasswork.runs.config import read_config, resolve_config


def test_a_saved_configuration_resolves_to_itself(tmp_path):
    given = {"network": "mlp", "width": 0.5, "augment": "flip,shift", "image_size": "16x20", "class_weights": (1, 2.5)}
    config = resolve_config("digits", given)
    path = tmp_path / "config.yaml"
    path.write_text(config.as_yaml(), encoding="utf-8")
    values = read_config(path)
    assert values.pop("data") == "digits"
    assert resolve_config("digits", values) == config
    assert values["epochs"] == 20  # defaults are written out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs: [", "is not YAML"),
        ("- epochs", "must hold lines such as `epochs: 10`, got list"),
        ("", "got NoneType"),
        ("epoch: 3", "there is no setting 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_a_bad_file_is_answered_in_one_sentence(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        read_config(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"nowhere.yaml cannot be read \(No such file or directory\)"):
        read_config(tmp_path / "nowhere.yaml")
