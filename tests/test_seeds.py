"""Streams are named, repeatable and independent of one another."""

import torch

from glasswork import seeds


def test_the_same_name_draws_the_same_and_another_draws_otherwise():
    one = seeds.numpy_stream(0, "order", 3).random(5)
    assert (one == seeds.numpy_stream(0, "order", 3).random(5)).all()
    for other in [(1, "order", 3), (0, "dropout", 3), (0, "order", 4), (0, "order")]:
        assert not (one == seeds.numpy_stream(*other).random(5)).any()


def test_numpy_and_torch_streams_are_pinned():
    # Literals: a change of these makes every recorded run unrepeatable.
    assert seeds.derive(0, "split", 0) == 8429291567602283016
    assert seeds.derive(7, "initialise") == 2698065165409554248


def test_the_global_generator_is_given_back_as_it_was_found():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    with seeds.borrowed_global_stream():
        seeds.seed_global_stream(1, "dropout", 2)
        torch.rand(10)
    assert torch.equal(torch.random.get_rng_state(), before)
