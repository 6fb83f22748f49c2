"""Training from trained weights: the same features as where they came from, and just what may move does."""

import copy
import hashlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torchvision.transforms.functional import normalize

import glasswork as gw
from glasswork.data.frame import Frame
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.networks.foreign import TORCHVISION, recognised
from glasswork.networks.transfer import head_names, transferred
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare

WRITERS = {".pth": torch.save, ".safetensors": safetensors.torch.save_file}


def pictures(count=24, classes=2, side=32, channels=3, seed=0):
    """Pictures whose class is how bright they are."""
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    pixels = generator.integers(0, 100, (count, side, side, channels)) + 60 * targets[:, None, None, None]
    return gw.read_examples(pixels.astype(np.uint8), targets)


def torchvisions(name):
    """A network of torchvision's with norms that do something, in evaluation mode."""
    init = {"init_weights": False} if name != "alexnet" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.get_model(name, weights=None, **init).eval()
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.weight.data.uniform_(0.5, 1.5)
                layer.bias.data.normal_()
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 1.5)
    return network


def entering(network, layer, images):
    """What enters a layer, and what the network gives."""
    seen = []
    hook = network.get_submodule(layer).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        outputs = network.eval()(images)
    hook.remove()
    return seen[0], outputs


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A narrow VGG-11 with batch norm that has learned three classes."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    gw.fit(pictures(30, classes=3), network="vgg11", width=0.05, epochs=2, batch_size=8).save(path)
    return path


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("name", ["alexnet", pytest.param("vgg11_bn", marks=pytest.mark.slow), "googlenet"])
def test_features_and_logits_at_224_pixels_are_torchvisions_own(name, suffix, tmp_path):
    reference = torchvisions(name)
    file = tmp_path / f"weights{suffix}"
    WRITERS[suffix](reference.state_dict(), file)
    examples = pictures(6, side=40)
    settings = resolve_settings({"weights": str(file), "image_size": 224})
    task = prepare(examples, settings, choose_plan("cpu")).task
    (head,) = head_names(task.network)
    assert task.network.get_submodule(head).out_features == 2

    ours = task.preprocessing.standardise(task.values[:2])
    theirs = normalize(task.values[:2] / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert ours.shape == (2, 3, 224, 224)
    features, _ = entering(task.network, head, ours)
    expected, expected_logits = entering(reference, head, theirs)
    assert expected.std() > 1e-3  # features that tell pictures apart
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)

    task.network.set_submodule(head, copy.deepcopy(reference.get_submodule(head)))
    torch.testing.assert_close(entering(task.network, head, ours)[1], expected_logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vgg11_bn"])
def test_wider_vggs_features_too(name):
    """What the slow test does through files, here in memory."""
    reference = torchvisions(name)
    found = recognised(reference.state_dict(), "memory")
    assert found.options == TORCHVISION[name]
    network = transferred(
        found.options, found.tensors, channels=3, classes=2, image_size=(224, 224), generator=torch.Generator()
    )
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    ours, theirs = entering(network, "classifier.6", images)[0], entering(reference, "classifier.6", images)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_from_glasswork_to_glasswork_the_body_starts_bit_equal_and_the_scaling_follows(small):
    base = gw.load(small)
    task = prepare(pictures(seed=1), resolve_settings({"weights": str(small)}), choose_plan("cpu")).task
    for name, tensor in base.network.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(tensor, task.network.state_dict()[name])
    assert task.network.classifier[1].out_features == 2
    assert task.preprocessing == base.preprocessing


def test_frozen_every_tensor_of_the_body_stays_and_the_head_learns(small):
    body = gw.load(small).network.state_dict()
    examples = pictures(40, seed=1)
    before = prepare(examples, resolve_settings({"weights": str(small), "freeze": True}), choose_plan("cpu")).task
    model = gw.fit(examples, weights=small, freeze=True, epochs=3, batch_size=8)
    for name, tensor in model.network.state_dict().items():
        if name.startswith("classifier."):
            assert not torch.equal(tensor, before.network.state_dict()[name])
        else:
            assert torch.equal(tensor, body[name]), name  # running statistics and their counters included
    assert all(parameter.requires_grad for parameter in model.network.parameters())
    assert not model.network.training


def test_not_frozen_every_layer_of_the_body_moves(small):
    body = gw.load(small).network.state_dict()
    model = gw.fit(pictures(40, seed=1), weights=small, epochs=3, batch_size=8)
    for name, tensor in model.network.state_dict().items():
        if not name.startswith("classifier."):
            assert not torch.equal(tensor, body[name]), name


def test_weights_on_disk_are_not_touched_and_the_same_settings_start_again_from_them(small):
    before = small.read_bytes()
    settings, examples = resolve_settings({"weights": str(small), "epochs": 1}), pictures(seed=1)
    runs = [gw.fit(examples, weights=small, epochs=2, batch_size=8).network.state_dict() for _ in range(2)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert small.read_bytes() == before
    first, second = (prepare(examples, settings, choose_plan("cpu")).task.network for _ in range(2))
    assert all(p.data_ptr() != q.data_ptr() for p, q in zip(first.parameters(), second.parameters(), strict=True))


def test_the_head_is_drawn_from_the_seed(small):
    heads = [
        prepare(pictures(), resolve_settings({"weights": str(small), "seed": seed}), choose_plan("cpu")).task
        for seed in (0, 0, 1)
    ]
    weights = [task.network.classifier[1].weight for task in heads]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_grey_pictures_become_colour_for_a_body_that_sees_colour(small):
    grey = pictures(channels=1, side=16)
    model = gw.fit(grey, weights=small, epochs=1)
    assert model.preprocessing.frame.shape == (3, 32, 32)
    assert len(model.predict(np.zeros((20, 20), dtype=np.uint8))) == 1


def test_a_fine_tuned_model_names_its_weights_and_is_the_same_in_a_new_process(tmp_path):
    weights, saved = tmp_path / "googlenet.pth", tmp_path / "tuned.safetensors"
    torch.save(torchvisions("googlenet").state_dict(), weights)
    model = gw.fit(pictures(20), weights=weights, image_size=32, epochs=1, batch_size=8)
    assert model.options.form == "torchvision"
    assert model.parameters == 6_624_904 - 998 * 1_025  # 2 classes in place of 1000, from 1024 features and a bias
    assert model.provenance["weights"] == {
        "weights": str(weights),
        "file": "googlenet.pth",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "format": "torchvision googlenet",
        "seen_in_test": None,  # nobody knows what it learned from
    }
    assert (model.config["weights"], model.config["freeze"]) == (str(weights), False)
    model.save(saved)
    probe = np.random.default_rng(5).integers(0, 256, (3, 50, 40, 3), dtype=np.uint8)
    np.save(tmp_path / "probe.npy", probe)
    program = (
        "import sys, numpy as np, glasswork as gw; model = gw.load(sys.argv[1]); "
        "sys.stdout.write(model.predict(np.load(sys.argv[2])).probabilities.tobytes().hex())"
    )
    arguments = [sys.executable, "-c", program, str(saved), str(tmp_path / "probe.npy")]
    found = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert found == model.predict(probe).probabilities.tobytes().hex()
    # And it may itself be started from.
    again = prepare(pictures(8), resolve_settings({"weights": str(saved)}), choose_plan("cpu")).task
    assert torch.equal(again.network.conv1.conv.weight, gw.load(saved).network.conv1.conv.weight)


def test_auxiliary_heads_of_the_weights_are_loaded_if_asked_for(tmp_path):
    reference = torchvisions("googlenet")
    torch.save(reference.state_dict(), tmp_path / "googlenet.pth")
    given = {"weights": str(tmp_path / "googlenet.pth"), "image_size": 32}
    without = prepare(pictures(8), resolve_settings(given), choose_plan("cpu")).task.network
    assert without.aux1 is None
    network = prepare(
        pictures(8), resolve_settings({**given, "auxiliary_weight": 0.3}), choose_plan("cpu")
    ).task.network
    assert torch.equal(network.aux1.fc1.weight, reference.aux1.fc1.weight)
    assert network.aux2.fc2.out_features == 2


def test_a_body_sized_from_its_pictures_takes_no_other_size(tmp_path):
    gw.fit(pictures(side=28), "lenet", epochs=1).save(tmp_path / "lenet.safetensors")
    with pytest.raises(NetworkError, match=r"the weights cannot be used at 32x32 pixels: .*; leave out --image-size"):
        gw.fit(pictures(side=28), weights=tmp_path / "lenet.safetensors", image_size=32, epochs=1)


def test_weights_that_saw_this_test_part_are_refused_unless_allowed(small):
    same, other = pictures(30, classes=3), pictures(30, classes=3, seed=9)
    pixels = same.images.framed(Frame(3, 32, 32)).pixels
    with pytest.raises(
        DataError, match=r"learned from examples of this test part, .* good; pass --split-seed 0, or pass"
    ):
        gw.fit(gw.read_examples(pixels, same.targets, split_seed=1), weights=small, epochs=1)
    recut = gw.read_examples(pixels, same.targets, split_seed=1, allow_seen_test=True)
    with pytest.warns(UserWarning, match=r"learned from examples of this test part, .* honest one pass --split-seed 0"):
        assert gw.fit(recut, weights=small, epochs=1).provenance["weights"]["seen_in_test"] is None  # how many?
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gw.fit(same, weights=small, epochs=1)
        gw.fit(other, weights=small, epochs=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"freeze": True}, "--freeze holds the weights a training starts from, and there are none; pass --weights too"),
        ({"weights": "SMALL", "freeze": True, "auxiliary_weight": 0.3}, "--auxiliary-weight sends gradient to the mid"),
        ({"weight": "x"}, "there is no setting 'weight'; did you mean 'weights'"),
    ],
)
def test_what_makes_no_sense_together_is_refused(small, given, message):
    given = {name: str(small) if value == "SMALL" else value for name, value in given.items()}
    with pytest.raises(SettingError, match=message):
        resolve_settings(given)


@pytest.mark.parametrize("given", [{"weights": "x.pth"}, {"freeze": True}])
def test_a_module_of_the_users_own_brings_its_own_weights(given):
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    with pytest.raises(SettingError, match="is for the networks Glasswork builds; load weights into your own module"):
        gw.fit(pictures(), own, **given)


def test_single_example_batches_are_refused_only_where_a_norm_would_train(small):
    with pytest.raises(SettingError, match="--batch-size 1 leaves batch normalisation no variance"):
        gw.fit(pictures(10), weights=small, epochs=1, batch_size=1)
    gw.fit(pictures(10), weights=small, epochs=1, batch_size=1, freeze=True)


def test_a_trained_body_takes_smaller_steps_and_a_head_alone_larger_ones(small):
    def rate(**given):
        return resolve_settings(given).recipe.learning_rate

    assert rate(weights=str(small)) < rate(network="vgg11") < rate(weights=str(small), freeze=True)
    assert rate(weights=str(small), learning_rate=0.1) == 0.1
