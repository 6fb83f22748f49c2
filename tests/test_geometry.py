"""Window arithmetic against PyTorch's own, against counting by hand, and against literals everyone knows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glasswork.errors import NetworkError
from glasswork.geometry import (
    Window,
    arithmetic,
    fits,
    output_size,
    receptive_field,
    same_padding,
    smallest_input,
    trace,
    written_out,
)

windows = st.builds(Window, st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))


def size_in_torch(size, window):
    """What PyTorch makes of it; 0 where it refuses. Pooling pads by half a kernel at most."""
    pooling = torch.nn.MaxPool2d((1, window.kernel), (1, window.stride), (0, window.padding), ceil_mode=window.ceil)
    try:
        return pooling(torch.zeros(1, 1, 1, size)).shape[-1]
    except RuntimeError:
        return 0


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_output_sizes_are_those_of_pytorch(size, kernel, stride, padding, ceil):
    window = Window(kernel, stride, min(padding, kernel // 2), ceil)
    expected = size_in_torch(size, window)
    if expected:
        assert output_size(size, window.kernel, window.stride, window.padding, window.ceil) == expected
    assert fits([window], size) == (expected > 0)


@pytest.mark.parametrize(
    ("size", "window", "out"),
    [
        (28, Window(5, padding=2), 28),
        (28, Window(5), 24),
        (224, Window(11, stride=4, padding=2), 55),  # floor((224 + 4 - 11) / 4) + 1 = floor(54.25) + 1
        (112, Window(3, stride=2, ceil=True), 56),  # ceil(109 / 2) + 1
        (4, Window(2, stride=3, padding=1, ceil=True), 2),  # a third window would start at 6, beyond 4 + 1
    ],
)
def test_output_sizes_worked_by_hand(size, window, out):
    assert trace([window], size) == (out,)


def test_same_padding_keeps_the_size():
    for kernel in (1, 3, 5, 7, 11):
        assert output_size(28, kernel, padding=same_padding(kernel)) == 28


@pytest.mark.parametrize("kernel", [0, 2, 4])
def test_an_even_kernel_has_no_same_padding(kernel):
    with pytest.raises(NetworkError, match=r"\(kernel - 1\) / 2 .* kernel \d .* use an odd kernel"):
        same_padding(kernel)


def inputs_of(windows, output):
    """The input positions one output depends on, by walking back; padding only shifts them."""
    positions = {output}
    for window in reversed(windows):
        positions = {place * window.stride + offset for place in positions for offset in range(window.kernel)}
    return positions


@given(st.lists(windows, max_size=4))
def test_the_receptive_field_spans_every_input_position_an_output_depends_on(chain):
    first, second = inputs_of(chain, 0), inputs_of(chain, 1)
    field = receptive_field(chain)
    assert field.size == max(first) - min(first) + 1
    assert field.jump == min(second) - min(first)


@given(st.lists(windows, max_size=4))
def test_the_smallest_input_fits_and_one_less_does_not(chain):
    least = smallest_input(chain)
    assert len(trace(chain, least)) == len(chain)
    assert not fits(chain, least - 1)


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(NetworkError, match=r"kernel 5 does not fit into 2 \+ 2 x 1 of padding; use a larger input"):
        output_size(2, kernel=5, padding=1)


def test_a_chain_that_does_not_fit_shows_its_arithmetic():
    chain = [Window(2, stride=2, name="pool"), Window(5), Window(1)]
    with pytest.raises(NetworkError) as caught:
        trace(chain, 8)
    message = "an input of 8 is too small: 8 -> pool 4 -> kernel 5 does not fit into 4; use at least 10"
    assert str(caught.value) == message


def test_the_arithmetic_of_a_chain_that_fits_ends_with_its_output():
    assert arithmetic([Window(5, name="conv"), Window(2, stride=2)], 28) == "28 -> conv 24 -> 12"
    assert arithmetic([Window(1), Window(3, padding=1)], 28) == "28"  # nothing changed


@pytest.mark.parametrize("numbers", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_a_window_of_impossible_numbers_is_refused(numbers):
    with pytest.raises(NetworkError, match="at least 1 and padding of at least 0, got kernel"):
        Window(*numbers)


@pytest.mark.parametrize(
    ("window", "size", "text"),
    [
        (Window(5, padding=2), 28, "(28 + 2*2 - 5) / 1 + 1 = 28"),
        (Window(3, stride=2), 112, "floor((112 - 3) / 2) + 1 = floor(54.5) + 1 = 55"),
        (Window(3, stride=2, ceil=True), 112, "ceil((112 - 3) / 2) + 1 = ceil(54.5) + 1 = 56"),
        (
            Window(2, stride=3, padding=1, ceil=True),
            4,
            "ceil((4 + 2*1 - 2) / 3) + 1 - 1 (one would see only padding) = ceil(1.333) + 1 - 1 = 2",
        ),
    ],
)
def test_the_arithmetic_of_a_window_is_written_as_a_person_would(window, size, text):
    assert written_out(window, size) == text


@given(windows, st.integers(1, 30))
def test_what_is_written_out_ends_with_the_output_size(window, size):
    if fits([window], size):
        outputs = output_size(size, window.kernel, window.stride, window.padding, window.ceil)
        assert written_out(window, size).endswith(f" = {outputs}")
