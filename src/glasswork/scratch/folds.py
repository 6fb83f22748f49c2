"""Training, validation and test parts, and k-fold cross-validation.

A network is *trained* on one part, its hyperparameters are chosen on the *validation* part, and the *test* part is
looked at once, at the end: whatever was chosen by looking at it is flattered by it. With k folds, each example is held
out exactly once:

    fold i:  train on all folds but the i-th, score on the i-th;     the score is the mean over i

Stratified: each part has the classes in the same shares as the whole, but for rounding. Source: Hastie, Tibshirani &
Friedman 2009, sections 7.2 and 7.10.
"""

import numpy as np

from glasswork.scratch.tape import Array


def split(targets_N: Array, shares: tuple[float, ...], generator: np.random.Generator) -> list[Array]:
    """Indices of parts with these shares, and last of the rest; stratified and in a random order.

    >>> [len(part) for part in split(np.arange(100) % 2, (0.2, 0.1), np.random.default_rng(0))]
    [20, 10, 70]
    """
    parts: list[list[Array]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(targets_N):
        members = generator.permutation(np.flatnonzero(targets_N == label))
        cuts = np.round(np.cumsum(shares) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, cuts), strict=True):
            part.append(chosen)
    if not all(map(np.size, map(np.concatenate, parts))):
        raise ValueError("a part would be empty; take other shares, or fewer classes (np.zeros(N) for a regression)")
    return [generator.permutation(np.concatenate(part)) for part in parts]


def k_folds(count: int, k: int, generator: np.random.Generator) -> list[Array]:
    """`count` indices shuffled and cut into k folds, whose sizes differ by one at most."""
    return stratified_folds(np.zeros(count), k, generator)


def stratified_folds(targets_N: Array, k: int, generator: np.random.Generator) -> list[Array]:
    """K folds with every class spread evenly: a class's counts in any two folds differ by one at most.

    The members of all classes are dealt out one after another like cards, so that the folds' sizes differ by one too.
    """
    if not 2 <= k <= len(targets_N):
        raise ValueError(f"{len(targets_N)} examples can be cut into 2 to {len(targets_N)} folds, got {k}")
    by_class = [generator.permutation(np.flatnonzero(targets_N == label)) for label in np.unique(targets_N)]
    dealt = np.concatenate(by_class)
    return [dealt[fold::k] for fold in range(k)]


def training_part(folds: list[Array], held_out: int) -> Array:
    """All folds but one."""
    return np.concatenate([fold for place, fold in enumerate(folds) if place != held_out])
