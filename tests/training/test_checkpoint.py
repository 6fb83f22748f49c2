"""Two slots, of which one is always whole; when the state is saved, and what happens if it cannot be."""

import errno
import os
import warnings

import pytest
import torch

import glasswork as gw
from glasswork.errors import RunError, SettingError
from glasswork.intervals import Interval
from glasswork.settings import made
from glasswork.training.checkpoint import CHECKPOINTS, Slots, history_as_tensor, history_from_tensor
from glasswork.training.keeper import Keeper
from glasswork.training.options import PlanOptions
from glasswork.training.save_every import SaveEvery
from glasswork.training.watch import EpochRecord


def state(value):
    return {"weights": torch.full((100,), float(value)), "step": value}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_is_read_and_the_older_removed(tmp_path):
    slots = Slots(tmp_path)
    assert slots.read() is None
    for value in range(5):
        slots.write(state(value))
        assert len(names(tmp_path)) == 1
        assert Slots(tmp_path).read()["step"] == value
    slots.remove()
    assert names(tmp_path) == []


def test_the_older_stands_until_the_new_one_has_been_read_back(tmp_path, monkeypatch):
    slots = Slots(tmp_path)
    slots.write(state(1))
    seen = []
    monkeypatch.setattr(
        "glasswork.training.checkpoint.require_whole", lambda path: seen.append((path.name, names(tmp_path)))
    )
    slots.write(state(2))
    assert seen == [(CHECKPOINTS[1], list(CHECKPOINTS))]
    assert names(tmp_path) == [CHECKPOINTS[1]]


def test_of_two_the_newer_is_read_and_the_older_is_written_over(tmp_path):
    slots = Slots(tmp_path)
    slots.write(state(1))
    older = (tmp_path / CHECKPOINTS[0]).read_bytes()
    slots.write(state(2))
    (tmp_path / CHECKPOINTS[0]).write_bytes(older)  # as if killed just before the older was removed
    again = Slots(tmp_path)
    assert again.read()["step"] == 2
    again.write(state(3))
    assert names(tmp_path) == [CHECKPOINTS[0]]


def test_a_checkpoint_damaged_on_the_disk_gives_way_to_the_other(tmp_path, monkeypatch):
    slots = Slots(tmp_path)
    slots.write(state(1))
    monkeypatch.setattr("glasswork.training.checkpoint.Path.unlink", lambda *_, **__: None)
    slots.write(state(2))
    damage(tmp_path / CHECKPOINTS[1])
    with pytest.warns(UserWarning, match=r"checkpoint-2.safetensors is damaged.*; going on from the other checkpoint"):
        assert Slots(tmp_path).read()["step"] == 1
    damage(tmp_path / CHECKPOINTS[0])
    with pytest.raises(RunError, match=r"no checkpoint of .* is whole .*; restore one from a copy, or delete them"):
        Slots(tmp_path).read()


def test_what_does_not_come_back_as_written_is_not_relied_on(tmp_path, monkeypatch):
    slots = Slots(tmp_path)
    slots.write(state(1))
    replace = os.replace
    monkeypatch.setattr("pathlib.Path.replace", lambda path, target: (replace(path, target), damage(target)))
    with pytest.raises(Exception, match="is damaged"):
        slots.write(state(2))
    assert names(tmp_path) == [CHECKPOINTS[0]]
    monkeypatch.undo()
    slots.write(state(3))
    assert Slots(tmp_path).read()["step"] == 3


@pytest.mark.parametrize("value", [torch.zeros(3), {"number": 5}, [1, 2]])
def test_a_file_of_something_else_is_no_checkpoint(tmp_path, value):
    gw.save(value, tmp_path / CHECKPOINTS[1])
    with pytest.raises(RunError, match=r"is whole \(.*checkpoint-2.safetensors holds no checkpoint\)"):
        Slots(tmp_path).read()
    gw.save({"number": 1, "state": state(1)}, tmp_path / CHECKPOINTS[0])
    with pytest.warns(UserWarning, match="holds no checkpoint; going on from the other checkpoint"):
        assert Slots(tmp_path).read()["step"] == 1


def damage(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def keeper(folder, every, stop=lambda: False):
    return Keeper(Slots(folder), every, lambda: {"plan": "p"}, stop)


def test_a_full_disk_keeps_the_state_saved_before_and_says_so_once(tmp_path, monkeypatch):
    kept = keeper(tmp_path, SaveEvery(steps=1))
    kept.after_step(lambda: state(1))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("glasswork.files.os.fsync", full)
    with pytest.warns(UserWarning) as caught:
        for value in (2, 3, 4):
            kept.after_step(lambda value=value: state(value))
    assert len(caught) == 1
    sentence = str(caught[0].message)
    assert sentence.startswith("the state of the training could not be saved (")
    assert "cannot be written: the disk is full" in sentence
    assert "\n" not in sentence
    assert Slots(tmp_path).read()["about"] == {"plan": "p"}
    assert Slots(tmp_path).read()["training"]["step"] == 1
    assert len(names(tmp_path)) == 1
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.after_step(lambda: state(5))
    assert Slots(tmp_path).read()["training"]["step"] == 5
    monkeypatch.setattr("glasswork.files.os.fsync", full)
    with pytest.warns(UserWarning, match="the disk is full"):  # a second time is news again
        kept.after_step(lambda: state(6))


def test_it_saves_every_so_many_steps(tmp_path):
    kept, saved = keeper(tmp_path, SaveEvery(steps=3)), []
    for value in range(1, 8):
        kept.after_step(lambda value=value: (saved.append(value), state(value))[1])
    assert saved == [3, 6]


def test_seconds_are_stretched_where_saving_takes_more_than_a_hundredth_of_them(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("glasswork.training.keeper.time.perf_counter", lambda: now[0])
    kept, saved = keeper(tmp_path, SaveEvery(seconds=30)), []
    seconds = 2.0  # for each saving

    def write(value):
        saved.append(now[0])
        now[0] += seconds

    kept._slots.write = write
    for _ in range(1000):
        now[0] += 1
        kept.after_step(lambda: state(1))
    assert saved == [30, 232, 434, 636, 838]  # then 200 seconds of work for each 2 of saving


def test_the_first_saving_of_a_large_state_waits_by_its_size(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("glasswork.training.keeper.time.perf_counter", lambda: now[0])
    kept, saved = keeper(tmp_path, SaveEvery(seconds=30)), []
    kept._slots.write = lambda value: saved.append(now[0])
    large = {"weights": torch.empty(300_000_000, dtype=torch.uint8)}  # 4 s at the 75 MB/s that are expected
    for _ in range(450):
        now[0] += 1
        kept.after_step(lambda: large)
    assert saved[0] == 400


def test_asked_to_stop_it_saves_first(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        keeper(tmp_path, SaveEvery(steps=100), stop=lambda: True).after_step(lambda: state(7))
    assert Slots(tmp_path).read()["training"]["step"] == 7


def test_a_history_comes_back_exactly():
    history = [
        EpochRecord(1, 0.1, 1 / 3, 0.5, None, None, None, 1.5, 10.0),
        EpochRecord(2, 1e-17, float("nan"), 0.7, 2 / 7, 0.9, Interval(0.1, 2 / 3), 1.5, float("inf")),
    ]
    back = history_from_tensor(history_as_tensor(history))
    assert back[0] == history[0]
    assert repr(back[1]) == repr(history[1])
    assert history_from_tensor(history_as_tensor([])) == []


@pytest.mark.parametrize("text", ["0", "0s", "-1", "s", "", "5m", "1e3", "3.5", "nan", "٣", True, 2.5, None])
def test_how_often_is_steps_or_seconds_above_0(text):
    with pytest.raises(SettingError, match="--save-every should be steps, such as 500, or seconds, such as 30s"):
        made(PlanOptions, {"save_every": text})


def test_how_often_may_come_as_a_number_from_a_file():
    assert made(PlanOptions, {"save_every": 500}).save_every == "500"
    assert SaveEvery.parsed("0.5s").seconds == 0.5
