"""`gw.anatomy` of whatever a person has."""

import numpy as np
import pytest
from torch import nn

import glasswork as gw


def test_of_a_name_the_papers_own_sizes_are_taken_where_none_are_given():
    anatomy = gw.anatomy("lenet", form="textbook")
    assert (anatomy.name, anatomy.input_shape, anatomy.parameters) == ("LeNet", (1, 28, 28), 61_706)
    coloured = gw.anatomy("lenet", form="textbook", channels=3, classes=2, image_size="32x48", batch_size=1)
    assert coloured.input_shape == (3, 32, 48)
    # 32 and 48 end in 6 and 10 positions; two channels more are 2 x 25 x 6 weights.
    assert coloured.parameters == (156 + 300) + 2_416 + (16 * 6 * 10 * 120 + 120) + 10_164 + (84 * 2 + 2)


def test_of_a_module_of_ones_own():
    assert gw.anatomy(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), shape=(3, 2, 2)).parameters == 26


def test_of_a_model_it_is_the_anatomy_of_its_network():
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 255, (40, 12, 12), dtype=np.uint8)
    model = gw.fit(gw.read_examples(pictures, np.arange(40) % 2), network="lenet", epochs=1)
    anatomy = gw.anatomy(model)
    assert (anatomy.input_shape, anatomy.parameters, anatomy.name) == ((1, 12, 12), model.parameters, "LeNet")
    rows = gw.fit(gw.read_examples(generator.normal(size=(40, 5)), np.arange(40) % 2), epochs=1)
    assert gw.anatomy(rows).input_shape == (5,)
    assert gw.anatomy(rows).parameters == rows.parameters


@pytest.mark.parametrize(
    ("network", "given", "message"),
    [
        ("lenett", {}, "there is no network 'lenett'; did you mean 'lenet'"),
        ("lenet", {"shape": (1, 28, 28)}, "said by channels= and image_size=, got shape"),
        ("lenet", {"image_size": "large"}, "--image-size should be written 32 or 32x48"),
        ("lenet", {"image_size": 8}, "LeNet needs images of at least 12x12 pixels, got 8x8"),
        (nn.Linear(2, 2), {}, r"of one input has to be known; pass shape=\(C, H, W\)"),
        (nn.Linear(2, 2), {"shape": (2,), "classes": 3}, "classes= belongs to the name of a network, got Linear"),
        (3, {}, "takes the name of a network, an nn.Module or a model, got int"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(network, given, message):
    with pytest.raises(gw.GlassworkError, match=message):
        gw.anatomy(network, **given)
