"""Numbers as targets: standardised by the training part, and brought back."""

import numpy as np
import pytest

from glasswork.data.quantity import Quantity, fit_quantity
from glasswork.errors import DataError

TARGETS = np.random.default_rng(0).gamma(2, 50, 40)


@pytest.mark.parametrize("log", [False, True])
def test_training_targets_come_out_with_mean_0_and_deviation_1(log):
    seen = fit_quantity("price", TARGETS, np.arange(30), log).standardised(TARGETS)[:30]
    assert seen.mean() == pytest.approx(0, abs=1e-12)
    assert seen.std() == pytest.approx(1)


@pytest.mark.parametrize("log", [False, True])
def test_what_is_restored_is_what_was_standardised(log):
    quantity = fit_quantity("price", TARGETS, np.arange(30), log)
    assert quantity.restored(quantity.standardised(TARGETS)) == pytest.approx(TARGETS)


def test_held_out_targets_change_nothing():
    nonsense = np.where(np.arange(40) < 30, TARGETS, 1e9)
    assert fit_quantity("price", nonsense, np.arange(30)) == fit_quantity("price", TARGETS, np.arange(30))


def test_targets_that_never_vary_are_not_divided_by_zero():
    assert fit_quantity("price", np.full(5, 3.0), np.arange(5)) == Quantity("price", 3.0, 1.0)


def test_there_is_no_logarithm_of_nought():
    with pytest.raises(DataError, match=r"price has values down to 0, which have no logarithm; leave out --log-target"):
        fit_quantity("price", np.array([0.0, 1.0]), np.arange(2), log=True)


def test_it_survives_plain_values():
    quantity = Quantity("price", 1 / 3, 0.1, log=True)
    assert Quantity.from_dict(quantity.as_dict()) == quantity
