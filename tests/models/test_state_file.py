"""Weights as others save them: read, or refused in one sentence, and never run."""

import io
import os
import pickle
import warnings
import zipfile

import pytest
import safetensors.torch
import torch
from torch import nn

import glasswork as gw
from glasswork.errors import FileError
from glasswork.models.state_file import read_state

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}


class Runs:
    """A pickled object that, if it is ever built, leaves a file behind."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def refusal(path):
    with pytest.raises(FileError) as caught, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        read_state(path)
    assert not warned  # each would be a second sentence
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path))
    return message


def test_safetensors_both_formats_of_pytorch_and_our_own_are_told_by_content(tmp_path):
    writers = {
        "a.pth": lambda path: torch.save(TENSORS, path),
        "b.safetensors": lambda path: torch.save(TENSORS, path),  # a name decides nothing
        "c.pt": lambda path: torch.save(TENSORS, path, _use_new_zipfile_serialization=False),
        "d.safetensors": lambda path: safetensors.torch.save_file(TENSORS, path),
        "e.pth": lambda path: gw.save(TENSORS, path),
    }
    for name, write in writers.items():
        write(tmp_path / name)
        found = read_state(tmp_path / name)
        assert found.keys() == TENSORS.keys()
        assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("disguise", ["alone", "inside"])
def test_a_malicious_pickle_does_not_run(tmp_path, zipped, disguise):
    mark, path = tmp_path / "ran", tmp_path / "weights.pth"
    value = Runs(mark) if disguise == "alone" else {**TENSORS, "state": Runs(mark)}
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    message = refusal(path)
    assert not mark.exists()
    assert f"asks for {os.name}.mkdir, and running what a file asks for is not safe; save its tensors only" in message
    torch.load(path, weights_only=False)  # it would have
    assert mark.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_plain_pickle_does_not_run_either_and_costs_one_sentence(tmp_path, protocol):
    mark, path = tmp_path / "ran", tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(Runs(mark), protocol))
    message = refusal(path)
    assert not mark.exists()
    assert "is not safe; save its tensors only, with torch.save" in message
    assert "Weights only load failed" not in message  # PyTorch's own advice is to run it


def test_a_torchscript_program_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "program.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch would rather have it exported
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    assert "holds a TorchScript program, no state dictionary; save its tensors only" in refusal(path)


def test_what_the_environment_says_about_unsafe_loading_is_not_heeded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark, path = tmp_path / "ran", tmp_path / "weights.pth"
    torch.save(Runs(mark), path)
    refusal(path)
    assert not mark.exists()


def test_a_whole_module_is_refused_with_what_to_save_instead(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    assert "asks for torch.nn.modules.linear.Linear" in refusal(tmp_path / "module.pth")


def test_every_truncation_is_refused(tmp_path):
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(TENSORS, buffer, _use_new_zipfile_serialization=zipped)
        content = buffer.getvalue()
        for length in range(0, len(content) - 1, max(1, len(content) // 40)):
            path = tmp_path / "cut.pth"
            path.write_bytes(content[:length])
            refusal(path)


def test_damage_inside_an_archive_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(TENSORS, path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    content = path.read_bytes().replace(b"data.pkl", b"data.pXl")
    path.write_bytes(content)
    assert any(name.endswith("data.pkl") for name in names)
    assert "is damaged or no PyTorch file" in refusal(path)


def test_truncated_safetensors_are_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(safetensors.torch.save(TENSORS)[:-3])
    assert "not laid out as a safetensors file" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"GIF89a...", b"weights", b"\x00" * 100])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    assert "is no file of weights; expected a Glasswork model" in refusal(path)


def test_a_missing_file_is_named(tmp_path):
    assert "cannot be read (No such file or directory); check the path" in refusal(tmp_path / "nowhere.pth")
