"""Examples that belong together (pictures of one patient, frames of one video) and are cut into parts as a whole.

Whole groups cannot give every class its exact share: finding the subset that comes nearest is a knapsack problem of
many dimensions. As scikit-learn's `StratifiedGroupKFold` does, groups are taken one after the other by how the counts
of classes then deviate from what is wanted; other than there, the order is random, not by size, so that large groups
do not always fall to the same part, and single changes are made as long as they bring the counts nearer.

Copies of one picture belong together as well, named or not: cut apart, one would be learned from and the other tested.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from glasswork import seeds
from glasswork.errors import DataError, SettingError, one_line

_NAMED = 3  # examples of a complaint
_CHANGES = 100  # single changes at the end; each is the best of all, and few are needed


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression. Raises `SettingError` where it is none."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise SettingError(
            f"--group-pattern {pattern!r} is not a regular expression ({one_line(error)}); "
            "write one such as (patient\\d+)"
        ) from None


def groups_from_pattern(sources: Sequence[str], pattern: str) -> np.ndarray:
    r"""Which examples belong together, by their names: `(N,)` strings.

    `sources`: paths from the root of the data, with forward slashes. `pattern`: a regular expression, searched anywhere
    in the path; its first capturing group, or else all that matches, is what the group is called. Raises `SettingError`
    for an invalid expression, and `DataError` if a path does not match it.

    >>> groups_from_pattern(["cats/tom_1.png", "cats/tom_2.png", "dogs/rex_1.png"], r"([^/]+)_\d").tolist()
    ['tom', 'tom', 'rex']
    """
    compiled = compiled_pattern(pattern)
    names = [(match[1 if compiled.groups else 0] or "") if (match := compiled.search(s)) else "" for s in sources]
    missed = [one_line(source) for source, name in zip(sources, names, strict=True) if not name]
    if missed:
        shown = ", ".join(missed[:_NAMED]) + (", ..." if len(missed) > _NAMED else "")
        raise DataError(
            f"--group-pattern {pattern!r} finds no group in {len(missed)} of {len(sources)} paths: {shown}; change the "
            "pattern, or rename them"
        )
    return np.array(names, dtype=object)


def group_numbers(groups: np.ndarray) -> np.ndarray:
    """int64 `(N,)`: the same number for examples of one group; those whose group is `""` or None are on their own.

    >>> group_numbers(np.array(["a", None, "a", "", ""], dtype=object)).tolist()
    [0, 1, 0, 2, 3]
    """
    numbers: dict[object, int] = {}
    return np.array(
        [numbers.setdefault(g or (i,), len(numbers)) for i, g in enumerate(groups.tolist())], dtype=np.int64
    )


def with_copies(groups: np.ndarray | None, contents: Sequence[Hashable], sources: Sequence[str]) -> np.ndarray | None:
    """The same groups, and examples of the same content in one: `(N,)`; `None` where nothing belongs together.

    What shares a group with a copy is drawn into its group, and so on: groups are the components of both relations,
    called after the first example of each.

    >>> with_copies(None, ["a", "b", "a", "c"], ["1.png", "2.png", "3.png", "4.png"]).tolist()
    ['copies of 1.png', '', 'copies of 1.png', '']
    >>> with_copies(np.array(["", "x", "x", ""]), ["a", "b", "c", "a"], ["1.png", "2.png", "3.png", "4.png"]).tolist()
    ['copies of 1.png', 'with 2.png', 'with 2.png', 'copies of 1.png']
    """
    if len(set(contents)) == len(contents):
        return groups
    parents = list(range(len(contents)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    own = range(len(contents)) if groups is None else group_numbers(groups).tolist()
    for keys in (own, contents):
        firsts: dict[Hashable, int] = {}
        for index, key in enumerate(keys):
            first, other = sorted((root(firsts.setdefault(key, index)), root(index)))
            parents[other] = first
    roots = [root(index) for index in range(len(contents))]
    sizes, copies = Counter(roots), Counter(contents)
    named = [
        "" if sizes[r] == 1 else f"{'copies of' if copies[contents[r]] > 1 else 'with'} {sources[r]}" for r in roots
    ]
    return np.array(named, dtype=object)


def group_contents(groups: np.ndarray, hashes: Sequence[str]) -> list[str]:
    """For each example a digest of all that its group holds, whatever it is called; `""` for an example on its own."""
    members = members_of(group_numbers(groups))
    contents = [""] * len(hashes)
    for indices in members:
        if len(indices) > 1:
            digest = hashlib.sha256("\n".join(sorted(hashes[i] for i in indices)).encode()).hexdigest()
            for index in indices:
                contents[index] = digest
    return contents


def members_of(numbers: np.ndarray) -> list[list[int]]:
    """The indices of each group, in the order of the groups' numbers."""
    order = np.argsort(numbers, kind="stable")
    return [part.tolist() for part in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)]


def group_sums(values_NM: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The sums over each group, and at last its size, whose ratio is a mean over examples: float64 `(G, M + 1)`."""
    sums = np.zeros((int(numbers.max()) + 1, values_NM.shape[1] + 1))
    np.add.at(sums, numbers, np.column_stack([values_NM, np.ones(len(values_NM))]))
    return sums


def sampled_groups(
    strata: np.ndarray,
    eligible: np.ndarray,
    numbers: np.ndarray,
    hashes: Sequence[str],
    fraction: float,
    split_seed: int,
    cut: int,
    keep_each: bool,
) -> np.ndarray:
    """Indices of whole groups that hold about `fraction` of the eligible examples, and of each stratum.

    `strata`: int64 `(N,)`, the class of each example, or the bin of its target. `numbers`: from `group_numbers`.
    `keep_each`: something of each stratum is left; else something is left at all. Groups are ordered by content before
    they are shuffled, so that names do not matter. Each in turn is taken if that brings the counts nearer to what is
    wanted, by the sum over strata, and for the total, of (count - wanted)^2 / size; then single groups are added
    or given back while that helps. If none came near, the best single one is taken: an uneven part is better
    than none. There is none only where every group is needed.
    """
    indices = np.flatnonzero(eligible)
    if len(indices) == 0:
        return indices
    members = [indices[group].tolist() for group in members_of(numbers[indices])]
    members.sort(key=lambda group: sorted((hashes[index], int(strata[index])) for index in group))
    members = [members[number] for number in seeds.numpy_stream(split_seed, "split", cut).permutation(len(members))]
    present, sizes = np.unique(strata[indices], return_counts=True)
    counts_GK = np.zeros((len(members), len(present)), dtype=np.int64)
    for number, group in enumerate(members):
        np.add.at(counts_GK[number], np.searchsorted(present, strata[group]), 1)
    wanted = np.where(sizes > cut + 1, np.maximum(fraction * sizes, 1), 0)  # a class of two gives one to the first cut
    taken = chosen_rows(counts_GK, wanted, keep_each)
    return np.sort(np.array([index for number in np.flatnonzero(taken) for index in members[number]], dtype=np.int64))


def chosen_rows(counts_GK: np.ndarray, wanted_K: np.ndarray, keep_each: bool) -> np.ndarray:
    """Which groups are taken: bool `(G,)`.

    `counts_GK`: how many examples of each stratum are in each group. `wanted_K`: how many of each are to be taken.

    >>> chosen_rows(np.array([[4, 0], [1, 1], [0, 4], [5, 5]]), np.array([1, 1]), keep_each=True).tolist()
    [False, True, False, False]
    """
    counts = np.column_stack([counts_GK, counts_GK.sum(axis=1)]).astype(np.float64)  # the total is one more stratum
    sizes, wanted = counts.sum(axis=0), np.append(wanted_K, wanted_K.sum())
    taken, have = np.zeros(len(counts), dtype=bool), np.zeros(len(sizes))

    def deviation(after: np.ndarray) -> np.ndarray:
        return ((after - wanted) ** 2 / sizes).sum(axis=-1)

    def possible(after: np.ndarray) -> np.ndarray:
        left = sizes - after
        return (left >= 1).all(axis=-1) if keep_each else left[..., -1] >= 1

    for number, row in enumerate(counts):
        if possible(have + row) and deviation(have + row) < deviation(have):
            taken[number], have = True, have + row
    for _ in range(_CHANGES):
        after = have + np.where(taken, -1, 1)[:, None] * counts
        costs = np.where(possible(after) & (after[:, -1] > 0), deviation(after), np.inf)
        best = int(costs.argmin())
        if not np.isfinite(costs[best]) or (taken.any() and costs[best] >= deviation(have) - 1e-9):
            break
        taken[best], have = not taken[best], after[best]
    return taken
