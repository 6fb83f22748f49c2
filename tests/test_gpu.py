"""The main job on a GPU: `uv run pytest -m gpu -n 0`."""

import pytest
import torch

import glasswork as gw

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.mark.parametrize("network", ["mlp", "lenet", "googlenet"])
def test_a_gpu_trains_evaluates_and_predicts_as_the_cpu_does(network, tmp_path):
    examples = gw.read_examples("digits")
    settings = {"epochs": 2, "image_size": 32, "width": 0.5, "augment": "flip,shift,crop,erase"}
    losses = {}
    for device in ("cpu", "cuda"):
        records = []
        model = gw.fit(examples, network, device=device, watch=[records.append], **settings)
        losses[device] = next(record.train_loss for record in records if hasattr(record, "train_loss"))
        model.save(tmp_path / "model.safetensors")
        on_cpu = gw.load(tmp_path / "model.safetensors")
        pixels = examples.framed(model.preprocessing.frame).pixels[:50]
        assert on_cpu.predict(pixels).probabilities == pytest.approx(model.predict(pixels).probabilities, abs=1e-3)
    # The same order, draws and initial weights; the generators of dropout differ.
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.1)


def test_training_on_a_gpu_leaves_its_generator_as_it_was():
    before = torch.cuda.get_rng_state()
    gw.fit(gw.read_examples("digits"), "mlp", device="cuda", epochs=1)
    assert torch.equal(torch.cuda.get_rng_state(), before)
