"""What may be asked of a network, and the sentence that answers what may not."""

import dataclasses
import subprocess
import sys

import pytest

from glasswork.errors import SettingError
from glasswork.networks.options import NETWORKS, NetworkOptions, Style, styled
from glasswork.settings import field_info, made, setting_names

OWN = Style(form="textbook", batch_norm=False, activation="sigmoid", dropout=0.4, initialise="xavier_uniform")


def refused(message, **options):
    with pytest.raises(SettingError, match=message):
        NetworkOptions(**options)
    with pytest.raises(SettingError, match=message):
        made(NetworkOptions, options)


def test_reading_the_options_does_not_import_torch():
    program = "import sys, glasswork.networks.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_what_is_not_given_is_as_the_form_has_it():
    assert styled(NetworkOptions(), OWN) == OWN


def test_what_is_given_wins_even_when_it_is_false_or_zero():
    own = dataclasses.replace(OWN, batch_norm=True)
    style = styled(NetworkOptions(batch_norm=False, dropout=0.0, activation="tanh", initialise="normal"), own)
    assert (style.batch_norm, style.dropout, style.activation, style.initialise) == (False, 0.0, "tanh", "normal")


def test_width_scales_counts_and_leaves_at_least_one():
    assert [dataclasses.replace(OWN, width=width).scaled(6) for width in (0.01, 0.5, 1, 2.5)] == [1, 3, 6, 15]


def test_only_the_modern_form_drops_the_bias_before_a_norm():
    styles = [
        dataclasses.replace(OWN, form=form, batch_norm=norm) for form in ("textbook", "modern") for norm in (0, 1)
    ]
    assert [style.bias for style in styles] == [True, True, True, False]


def test_a_misspelt_network_is_answered_with_the_nearest():
    refused("there is no network 'lennet'; did you mean 'lenet'", network="lennet")


def test_an_unknown_network_is_answered_with_all_of_them():
    refused("there is no network 'transformer'; known networks: " + ", ".join(NETWORKS), network="transformer")


def test_constant_initialisation_is_refused_with_the_reason():
    refused("equal gradients and stay equal for ever; .*--allow-symmetry", initialise="constant")


def test_constant_initialisation_is_allowed_when_asked_for_or_without_hidden_units():
    assert NetworkOptions(initialise="constant", allow_symmetry=True).initialise == "constant"
    assert NetworkOptions(network="linear", initialise="constant").initialise == "constant"


def test_a_replaced_option_is_checked_again():
    with pytest.raises(SettingError, match="constant initialisation cannot learn"):
        dataclasses.replace(NetworkOptions(), initialise="constant")


def test_only_googlenet_has_torchvisions_form():
    refused("only googlenet has a form of torchvision's own, got network 'vgg11'", form="torchvision", network="vgg11")
    assert NetworkOptions(network="googlenet", form="torchvision").form == "torchvision"


def test_tied_hidden_layers_are_for_the_mlp():
    refused("--tied-hidden shares .* got network 'lenet'; leave it out", tied_hidden=True)
    assert NetworkOptions(network="mlp", tied_hidden=True).tied_hidden


@pytest.mark.parametrize("asked", [{"batch_norm": True}, {"activation": "tanh"}, {"dropout": 0.5}, {"width": 2.0}])
def test_linear_refuses_what_acts_on_hidden_layers(asked):
    refused("acts on hidden layers and linear has none, got .*; leave it out", network="linear", **asked)


def test_linear_accepts_what_changes_nothing():
    NetworkOptions(network="linear", batch_norm=False, dropout=0.0, width=1.0)


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"dropout": -0.1}, {"width": 0.0}, {"activation": "swish"}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=r"^--(dropout|width|activation) .*, got "):
        made(NetworkOptions, wrong)


def test_every_option_has_a_line_of_help():
    for name in setting_names(NetworkOptions):
        help_text = field_info(NetworkOptions, name).description
        assert help_text and "\n" not in help_text
