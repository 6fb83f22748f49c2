import hashlib
import json
import math
import random
from collections import OrderedDict, namedtuple

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glasswork.errors import FileError, RunError
from glasswork.models import file as module
from glasswork.models.file import kind_of, load, read_tensors, require_whole, save, write_tensors
from glasswork.models.sharing import DTYPES as DTYPES_BY_NAME

DTYPES = tuple(DTYPES_BY_NAME.values())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "saved.safetensors"


def after(value, path):
    save(value, path)
    return load(path)


def bits(tensor):
    """Dtype, shape and bytes, so that NaN equals NaN and 0.0 differs from -0.0."""
    return tensor.dtype, tensor.shape, tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def comparable(value):
    if isinstance(value, torch.Tensor):
        return bits(value)
    if isinstance(value, list | tuple):
        return type(value), [comparable(child) for child in value]
    if isinstance(value, dict):
        return [(key, comparable(child)) for key, child in value.items()]
    return type(value), repr(value)


def header(path):
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def note(path):
    return json.loads(header(path)["__metadata__"]["glasswork"])


def stored(path):
    return {name: value.shape for name, value in safetensors.torch.load_file(path).items()}


def refusal(call, *arguments, **options):
    with pytest.raises(FileError) as caught:
        call(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# What goes in comes out


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape) * dtype.itemsize
    values = st.integers(0, 1 if dtype == torch.bool else 255)
    content = torch.tensor(draw(st.lists(values, min_size=count, max_size=count)), dtype=torch.uint8)
    return content.view(dtype).reshape(shape).transpose(0, -1) if shape else content.view(dtype)[0]


leaves = tensors() | st.none() | st.booleans() | st.integers() | st.floats() | st.text()
nested = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.just("a.b"), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=nested)
def test_any_nested_value_comes_back_equal_in_type_order_and_bits(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("value") / "saved"
    assert comparable(after(value, path)) == comparable(value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_comes_back(dtype, path):
    value = torch.arange(24).to(torch.uint8).remainder(2).view(dtype)
    assert bits(after(value, path)) == bits(value)


def test_a_view_into_a_transposed_matrix_keeps_shape_and_values(path):
    value = torch.arange(6.0).reshape(2, 3).T
    assert after(value, path).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_conjugated_tensor_keeps_its_values(path):
    value = torch.tensor([1 + 2j])
    back = after({"z": value, "conjugate": value.conj(), "imaginary": value.conj().imag}, path)
    assert (back["z"].item(), back["conjugate"].item(), back["imaginary"].item()) == (1 + 2j, 1 - 2j, -2)


def test_a_value_may_be_nested_ten_thousand_deep(path):
    value = leaf = []
    for _ in range(10_000):
        leaf.append([])
        leaf = leaf[0]
    leaf.append("bottom")
    back, depth = after(value, path), 0
    while back != ["bottom"]:
        (back,), depth = back, depth + 1
    assert depth == 10_000


def test_what_comes_back_is_of_the_plain_type(path):
    pair = namedtuple("pair", "left right")
    layer = nn.Linear(2, 1)
    back = after([pair(1, 2), OrderedDict(a=1), layer.weight], path)
    assert [type(child) for child in back] == [tuple, dict, torch.Tensor]
    assert not back[2].requires_grad
    assert torch.equal(back[2], layer.weight)


def test_what_comes_back_can_be_written_to_and_trained(path):
    back = after(torch.zeros(2), path)
    back += 1
    back.requires_grad_().sum().backward()
    assert back.grad.tolist() == [1, 1]


# Other tools


def test_other_tools_find_a_flat_dictionary_under_exactly_its_keys(path):
    value = {
        "b.weight": torch.ones(2),
        "a": torch.zeros(3).bfloat16(),
        "": torch.tensor(1),
        "#2": torch.empty(3, 0),
        "c": torch.empty(2, 0),
    }
    save(value, path)
    assert {name: bits(tensor) for name, tensor in safetensors.torch.load_file(path).items()} == {
        name: bits(tensor) for name, tensor in value.items()
    }


def test_other_tools_find_a_nested_tensor_under_its_path(path):
    save({"layers": [{"weight": torch.ones(2)}, (torch.ones(3),)]}, path)
    assert stored(path) == {"layers.0.weight": (2,), "layers.1.0": (3,)}


def test_a_tensor_alone_is_named_value(path):
    save(torch.ones(2), path)
    assert stored(path) == {"value": (2,)}


def test_of_two_equal_paths_the_later_gets_a_number(path):
    value = {"a": {"b": torch.ones(1)}, "a.b": torch.ones(2), "a.b#2": torch.ones(3)}
    back = after(value, path)
    assert stored(path) == {"a.b": (1,), "a.b#2": (2,), "a.b#2#2": (3,)}
    assert [len(back["a"]["b"]), len(back["a.b"]), len(back["a.b#2"])] == [1, 2, 3]


@pytest.mark.parametrize("key", ["__metadata__", "\ud800"])
def test_a_key_that_safetensors_cannot_name_comes_back_all_the_same(path, key):
    assert after({key: torch.ones(2)}, path)[key].tolist() == [1, 1]
    assert "rename it" in refusal(write_tensors, path, {key: torch.ones(2)}, {})


def test_the_metadata_has_one_key_and_the_same_value_gives_the_same_bytes(path, tmp_path):
    def value():
        noise = torch.full((4, 4), random.random())  # what lies between two views must not show
        noise[:, [0, 2]] = 1.0
        return {"x": [noise[:, 0], noise[:, 2]], "rate": 0.1, "name": "é"}

    save(value(), path, about={"when": None})
    save(value(), tmp_path / "again", about={"when": None})
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
    assert list(header(path)["__metadata__"]) == ["glasswork"]
    assert list(note(path)) == ["sha256", "format", "kind", "tensors", "structure", "about"]


# Shared memory


def test_a_tensor_in_two_places_is_stored_once_and_is_one_tensor_after_loading(path):
    weight = torch.arange(3.0)
    write_tensors(path, {"a.weight": weight, "bias": torch.ones(1), "b.weight": weight}, {})
    assert stored(path) == {"a.weight": (3,), "bias": (1,)}
    back = read_tensors(path).tensors
    assert list(back) == ["a.weight", "bias", "b.weight"]
    assert back["a.weight"] is back["b.weight"]


def test_tied_parameters_of_a_network_are_tied_after_loading(path):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    save(network.state_dict(), path)
    assert set(stored(path)) == {"0.weight", "0.bias", "1.bias"}
    back = load(path)
    back["0.weight"][0, 0] = 7
    assert back["1.weight"][0, 0] == 7


def test_writing_through_one_view_is_seen_in_the_other(path):
    whole = torch.arange(12.0).reshape(3, 4)
    back = after({"row": whole[1], "whole": whole, "column": whole[:, 2], "bits": whole.view(torch.int32)}, path)
    assert stored(path) == {"whole": (3, 4)}
    back["row"][2] = 0.0
    assert back["whole"][1].tolist() == [4, 5, 0, 7]
    assert back["column"].tolist() == [2, 0, 10]
    assert back["bits"][1, 2] == 0


def test_overlapping_views_without_a_whole_are_stored_from_the_first_element_used_to_the_last(path):
    base = torch.arange(1000.0)
    back = after([base[100:104], base[103:110:2]], path)  # elements 100 to 103, and 103, 105, 107, 109
    assert stored(path) == {"0.storage": (10,)}
    kept = [100, 101, 102, 103, 0, 105, 0, 107, 0, 109]
    assert safetensors.torch.load_file(path)["0.storage"].tolist() == kept
    back[0][3] = -1
    assert back[1].tolist() == [-1, 105, 107, 109]


def test_overlapping_views_of_several_dtypes_stay_shared(path):
    memory = torch.arange(40, dtype=torch.uint8)
    value = [memory[3:20], memory[8:32].view(torch.int64), memory[28:36].view(torch.float16)]
    back = after(value, path)
    assert [bits(tensor) for tensor in back] == [bits(tensor) for tensor in value]
    back[1][0] = 0
    assert back[0].tolist() == [3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0, 16, 17, 18, 19]


def test_a_repeated_element_and_a_sliding_window_stay_shared(path):
    base = torch.arange(5.0)
    back = after({"windows": base[1:].unfold(0, 2, 1), "repeated": base[2:3].expand(4), "start": base[:2]}, path)
    assert stored(path) == {"start.storage": (5,)}
    back["repeated"][0] = 9
    assert back["windows"].tolist() == [[1, 9], [9, 3], [3, 4]]


def test_views_that_do_not_overlap_are_stored_alone_however_large_their_storage(path):
    flat = torch.arange(1_000_000.0)
    assert [tensor.tolist() for tensor in after([flat[2:4], flat[4:5]], path)] == [[2, 3], [4]]
    assert stored(path) == {"0": (2,), "1": (1,)}
    save(flat[::100_000], path)
    assert stored(path) == {"value": (10,)}
    assert path.stat().st_size < 1000


def test_a_tensor_that_repeats_itself_is_stored_dense_when_alone(path):
    back = after(torch.ones(1).expand(3), path)
    back[0] = 5
    assert back.tolist() == [5, 1, 1]


# Rows at least 4 apart and columns at most 3: no element twice in one view.
views = st.tuples(st.integers(0, 20), st.integers(0, 4), st.integers(4, 6), st.integers(1, 3))


@settings(max_examples=200, deadline=None)
@given(places=st.lists(views, max_size=5), change=st.integers(0, 4))
def test_any_views_of_one_storage_keep_their_values_and_what_they_share(places, change, tmp_path_factory):
    base = torch.arange(60)
    value = [base.as_strided((size, 2), (stride, step), start) for start, size, stride, step in places]
    back = after(value, tmp_path_factory.mktemp("views") / "saved")
    assert [tensor.tolist() for tensor in back] == [tensor.tolist() for tensor in value]
    for either in (value, back):
        for tensor in either[change : change + 1]:
            tensor.mul_(-1)
    assert [tensor.tolist() for tensor in back] == [tensor.tolist() for tensor in value]


# Damage


@pytest.fixture
def model_file(path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    write_tensors(path, network.state_dict(), {"classes": ["one", "two", "three"], "mean": 0.5})
    return path


def test_the_digest_is_sha256_of_the_file_with_its_own_place_set_to_zeros(model_file):
    content = model_file.read_bytes()
    digest = note(model_file)["sha256"]
    assert content.count(digest.encode()) == 1
    assert hashlib.sha256(content.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


def test_every_one_of_a_thousand_flipped_bits_is_noticed(model_file):
    content = model_file.read_bytes()
    draw = random.Random(0)
    start = [(byte, bit) for byte in range(8) for bit in range(8)]  # the length of the header, in full
    for byte, bit in start + [(draw.randrange(len(content)), draw.randrange(8)) for _ in range(1000)]:
        damaged = bytearray(content)
        damaged[byte] ^= 1 << bit
        model_file.write_bytes(damaged)
        refusal(read_tensors, model_file)


def test_every_one_of_two_hundred_truncations_is_noticed(model_file):
    content = model_file.read_bytes()
    for length in [0, 1, 7, 8, len(content) - 1, *random.Random(0).sample(range(len(content)), 195)]:
        model_file.write_bytes(content[:length])
        refusal(read_tensors, model_file)


@pytest.mark.parametrize("extra", [b"\0", b" ", b"{}", b"\0" * 10_000])
def test_appended_bytes_are_noticed(model_file, extra):
    model_file.write_bytes(model_file.read_bytes() + extra)
    assert refusal(read_tensors, model_file) == (
        f"{model_file} is damaged: its bytes do not match their digest; restore it from a copy or save it again"
    )
    assert "is damaged" in refusal(read_tensors, model_file, unverified=True)


def test_a_file_is_found_whole_or_damaged_piece_by_piece_too(model_file, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 100)
    require_whole(model_file)
    content = model_file.read_bytes()
    for damaged in (content[:-1], content[:50], b"", content + b"\0", content[:300] + b"?" + content[301:]):
        model_file.write_bytes(damaged)
        assert refusal(require_whole, model_file) == (
            f"{model_file} is damaged: its bytes do not match their digest; restore it from a copy or save it again"
        )
    model_file.unlink()
    assert "cannot be read (No such file or directory)" in refusal(require_whole, model_file)


def test_a_digest_in_capitals_is_not_the_digest(model_file):
    content = model_file.read_bytes()
    digest = note(model_file)["sha256"].encode()
    model_file.write_bytes(content.replace(digest, digest.upper()))
    assert "is damaged" in refusal(read_tensors, model_file)


def test_damage_of_a_file_read_unverified_is_a_sentence_or_a_value_but_never_a_traceback(path):
    draw = random.Random(1)
    inside = {"format": 1, "kind": "value", "tensors": {"a": ["a", "int16", 1, [2], [1]]}, "about": {}}
    text = json.dumps({**inside, "structure": [["list", 2], ["tensor", "a"], ["float", "inf"]]})
    content = safetensors.torch.save({"a": torch.ones(3)}, {"glasswork": text})
    for _ in range(2000):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged[: draw.choice([len(content), draw.randrange(len(content))])])
        try:
            load(path, unverified=True)
        except FileError as error:
            assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 10**8 + 1])
def test_a_header_longer_than_the_file_is_refused_before_it_is_read(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    assert "not laid out as a safetensors file" in refusal(load, path, unverified=True)


# Files that are not ours


def test_a_file_without_digest_is_read_only_when_asked_for(path):
    safetensors.torch.save_file({"a": torch.ones(2), "b": torch.zeros(1)}, path, {"format": "pt"})
    assert refusal(load, path) == (
        f"{path} carries no digest, so damage would go unnoticed; "
        "restore it from a copy or save it again, or pass unverified=True to read it all the same"
    )
    assert {name: value.tolist() for name, value in load(path, unverified=True).items()} == {"a": [1, 1], "b": [0]}
    contents = read_tensors(path, unverified=True)
    assert (contents.about, contents.kind) == ({}, "tensors")


def test_a_value_and_a_model_are_not_taken_for_one_another(path):
    write_tensors(path, {"a": torch.ones(1)}, {"classes": 2})
    assert refusal(load, path) == f"{path} holds a model, not a value; read it with glasswork.load"
    contents = read_tensors(path)
    assert (contents.about, contents.kind) == ({"classes": 2}, "model")
    save({"a": torch.ones(1)}, path, about={"who": "I"})
    expected = f"{path} holds a value, not a model; read it with glasswork.load"
    assert refusal(read_tensors, path) == expected
    assert read_tensors(path, kind="value").about == {"who": "I"}
    write_tensors(path, {}, {}, kind="checkpoint")
    assert refusal(load, path) == f"{path} holds a checkpoint, not a value; give a file that holds a value"


def test_the_tensors_of_a_file_from_elsewhere_come_sorted_by_name(path):
    names = [str(number) for number in range(100, 120)]
    safetensors.torch.save_file({name: torch.ones(1) for name in names}, path)
    assert list(load(path, unverified=True)) == names


def test_the_kind_of_a_file_is_read_from_its_header_alone(path):
    assert kind_of(path) is None
    save({}, path)
    assert kind_of(path) == "value"
    write_tensors(path, {"a": torch.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:-400])
    assert kind_of(path) == "model"
    assert "is damaged" in refusal(load, path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"__metadata__":{"glasswork":7}}', "[" * 100_000, "\xff"])
def test_a_file_with_any_other_header_has_no_kind(path, text):
    content = text.encode("latin-1")
    path.write_bytes(len(content).to_bytes(8, "little") + content)
    assert kind_of(path) is None
    path.write_bytes((2**63).to_bytes(8, "little") + content)
    assert kind_of(path) is None


def test_a_file_of_a_newer_format_asks_for_a_newer_glasswork(path, monkeypatch):
    monkeypatch.setattr(module, "FORMAT", 2)
    save(1, path)
    monkeypatch.setattr(module, "FORMAT", 1)
    assert refusal(load, path) == (
        f"{path} has format 2, and this Glasswork reads formats up to 1; install a newer Glasswork"
    )


def test_a_path_that_cannot_be_read_is_refused(path, tmp_path):
    remedy = "give the path of a saved file"
    assert refusal(load, path) == f"{path} cannot be read (No such file or directory); {remedy}"
    assert refusal(load, tmp_path) == f"{tmp_path} cannot be read (Is a directory); {remedy}"
    path.write_bytes(b"")
    assert refusal(load, path).startswith(f"{path} is empty; restore it from a copy")


# What cannot be saved


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ({"a": [0, 1, 2, {4}]}, "value['a'][3] is a set; a file holds tensors, lists, tuples, dictionaries"),
        (nn.Linear(1, 1), "value is a Linear; a file holds tensors"),
        ([1j], "value[0] is a complex; a file holds"),
        ({"a": {3: 1}}, "value['a'] has the key 3 of type int; make it a string"),
        (torch.ones(1).to_sparse(), "the tensor 'value' is sparse, nested or quantized; convert it"),
        ({"w": torch.ones(1, dtype=torch.complex128)}, "the tensor 'w' is torch.complex128; convert it to one of bool"),
        ([torch.ones(1, device="meta")], "the tensor '0' has no values yet; initialise it before saving"),
        ([nn.LazyLinear(1).weight], "the tensor '0' has no values yet; initialise it before saving"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_a_value_that_cannot_be_saved_is_named_with_its_place(path, value, start):
    assert refusal(save, value, path).startswith(start)
    assert not path.exists()


def test_a_list_inside_itself_is_refused_and_a_list_in_two_places_is_not(path):
    cycle: list = [1]
    cycle.append({"again": cycle})
    assert refusal(save, cycle, path).startswith("value[1]['again'] contains itself, which no file can hold")
    twice = [1]
    assert after([twice, twice], path) == [[1], [1]]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"a": [{1}]}, "about['a'][0] is a set;"),
        ({"a": {1: 2}}, "about['a'] has the key 1 of type int;"),
        ({"mean": math.nan}, "this is not JSON (Out of range float values are not JSON compliant"),
        ({"mean": torch.ones(1)}, "about holds a tensor at 'mean'; put it among the tensors"),
        ({"big": 10**5000}, "this is not JSON (Exceeds the limit"),
    ],
)
def test_about_that_is_not_json_is_refused(path, about, message):
    assert refusal(save, 1, path, about=about).startswith(message)
    assert refusal(write_tensors, path, {}, about).startswith(message)


def test_a_header_that_no_reader_would_take_is_not_written(path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_HEADER", 1000)
    assert refusal(save, [1] * 1000, path).endswith("put long lists of numbers into tensors")


def test_a_full_disk_keeps_the_model_that_was_there(model_file, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = model_file.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="the disk is full; free some space"):
        save([1], model_file)
    assert model_file.read_bytes() == before
