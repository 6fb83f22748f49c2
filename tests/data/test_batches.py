"""The order of examples: seed and epoch decide it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from glasswork.data.batches import shuffled_batches


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 3), st.integers(0, 3))
def test_every_example_comes_once_an_epoch_and_never_alone_at_the_end(count, batch_size, seed, epoch):
    indices = torch.arange(count) * 3
    batches = shuffled_batches(indices, batch_size, seed, epoch)
    assert sorted(torch.cat(batches).tolist()) == indices.tolist()
    if batch_size > 1 and count > 1:
        assert min(map(len, batches)) > 1
        assert max(map(len, batches)) <= batch_size + 1


def test_epochs_and_seeds_shuffle_differently_and_repeatably():
    indices = torch.arange(50)
    order = [torch.cat(shuffled_batches(indices, 7, *key)).tolist() for key in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert order[0] == order[1]
    assert order[0] != order[2] != order[3] != order[0]
