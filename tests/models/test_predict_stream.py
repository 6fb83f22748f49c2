"""A folder is predicted while it is read: few pictures are in memory, and the answers are those of all at once."""

import io
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

import glasswork as gw
from glasswork.data import inputs
from glasswork.data.sources import threads
from glasswork.data.sources.threads import BLOCK
from glasswork.errors import BrokenFilesError
from glasswork.models import trained

LABELS = np.array(["cat", "dog", "eel"] * 20)


def drawn(count):
    return np.random.default_rng(0).integers(0, 256, (count, 1, 12, 12), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return gw.fit(gw.read_examples(drawn(60), LABELS), "lenet", epochs=1)


@pytest.fixture
def batches(monkeypatch):
    """The sizes of the batches that the network is given."""
    sizes = []

    def recorded(network, values, *rest):
        sizes.append(len(values))
        return compute_logits(network, values, *rest)

    compute_logits = trained.compute_logits
    monkeypatch.setattr(trained, "compute_logits", recorded)
    return sizes


class Live:
    """Decoded pictures that somebody still holds, and the most there were at once."""

    def __init__(self):
        self.now = self.most = self.all = 0
        self._lock = threading.RLock()

    def decoded(self, content, frame):
        pixels = decode(content, frame)
        self._count(1)
        weakref.finalize(pixels, self._count, -1)
        return pixels

    def _count(self, change):
        with self._lock:
            self.now += change
            self.all += change == 1
            self.most = max(self.most, self.now)


decode = inputs.decoded


def test_few_pictures_are_in_memory_at_once_however_many_are_predicted(model, tmp_path, monkeypatch, batches):
    Image.fromarray(drawn(1)[0, 0]).save(tmp_path / "one.png")
    live = Live()
    monkeypatch.setattr(inputs, "decoded", live.decoded)
    monkeypatch.setattr(threads, "cores", lambda: 2)
    for blocks in (20, 60):
        live.all = live.most = 0
        predictions = model.predict([tmp_path / "one.png"] * (blocks * BLOCK), batch_size=32)
        assert len(predictions) == live.all == blocks * BLOCK
        # A batch that fills up, the block it is filled from, and two for each of two threads with one more to choose.
        assert live.most <= 32 + (1 + 5) * BLOCK
        assert live.now == 0
    assert batches == [32] * (10 + 30)


def test_batches_hold_the_same_pictures_whether_these_are_files_or_an_array_and_whatever_is_skipped(
    model, tmp_path, batches
):
    pixels = drawn(50)
    for number, image in enumerate(pixels):
        Image.fromarray(image[0]).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05 broken.png").write_bytes(b"")
    (tmp_path / "49 broken.png").write_bytes(b"")
    files = model.predict(tmp_path, batch_size=7, skip_broken=True)
    array = model.predict(pixels, batch_size=7)
    pictures = model.predict([Image.fromarray(image[0]) for image in pixels], batch_size=7)
    assert batches == 3 * ([7] * 7 + [1])
    together = torch.softmax(model.logits(pixels, torch.arange(50), 7).double(), dim=1).float().numpy()
    for predictions in (files, array, pictures):
        assert (predictions.probabilities == together).all()
    assert files.sources == tuple(str(tmp_path / f"{number:02}.png") for number in range(50))
    assert [name for name, _ in files.broken] == [str(tmp_path / f"{number} broken.png") for number in ("05", "49")]


def test_after_a_broken_file_the_rest_is_only_read_to_name_the_others(model, tmp_path, batches):
    for number, image in enumerate(drawn(40)):
        Image.fromarray(image[0]).save(tmp_path / f"{number:02}.png")
    for number in ("00", "39"):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    with pytest.raises(BrokenFilesError, match=r"2 files cannot be read: .*00\.png .*39\.png .*mend or remove them"):
        model.predict(tmp_path, batch_size=4)
    assert batches == []


def test_a_broken_file_among_pictures_of_other_kinds_is_named(model, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(BrokenFilesError, match=r"bad\.png \(zero bytes\)"):
        model.predict([drawn(1)[0], tmp_path / "bad.png"])


def test_pictures_of_several_kinds_are_skipped_and_named_like_files(model, tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/a.png", "folder/b.png", "c.png"):
        Image.fromarray(drawn(1)[0, 0]).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"")
    content = (tmp_path / "c.png").read_bytes()
    cut = Image.open(io.BytesIO(content[: len(content) // 2]))  # its header is whole
    given = [drawn(1)[0], tmp_path / "bad.png", tmp_path / "folder", cut, tmp_path / "c.png"]
    predictions = model.predict(given, skip_broken=True)
    files = tuple(str(tmp_path / name) for name in ("folder/a.png", "folder/b.png", "c.png"))
    assert predictions.sources == ("input[0]", *files)
    assert len(set(predictions.classes)) == 1  # all are the same picture
    assert [name for name, _ in predictions.broken] == [str(tmp_path / "bad.png"), "input[4]"]
    with pytest.raises(
        BrokenFilesError, match=r"2 files cannot be read: .*bad\.png .*input\[4\] .*mend or remove them"
    ):
        model.predict(given)
    with pytest.raises(BrokenFilesError, match=r"input\[0\] \(.*\); none is left"):
        model.predict(cut)


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_batch_of_no_pictures_is_refused(model, size):
    for call in (model.predict, lambda *given, **sizes: model.evaluate(gw.read_examples(*given, LABELS), **sizes)):
        with pytest.raises(gw.SettingError, match=r"batch_size .* is not a number of examples"):
            call(drawn(60), batch_size=size)


def test_a_table_is_predicted_in_batches_too(batches):
    rows = np.random.default_rng(0).normal(size=(60, 3))
    model = gw.fit(gw.read_examples(rows, rows[:, 0], task="regression"), epochs=1)
    whole = model.predict(rows).values
    batches.clear()
    assert model.predict(rows, batch_size=25).values == pytest.approx(whole, rel=1e-5, abs=1e-6)
    assert batches == [25, 25, 10]
