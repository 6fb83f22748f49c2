"""Pictures in different parts that are copies of one another though their bytes differ: resized, or encoded anew.

A picture's fingerprint are the lowest frequencies of its cosine transform, channel by channel, each channel's mean
left out, scaled to length 1. This is the transform of the perceptual hash pHash (Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions"), which keeps one bit of each frequency; here the
values are kept, since products of matrices compare them as fast and they tell look-alikes apart. Similarity is the
product of two fingerprints: the correlation of the blurred pictures, 1 for the same picture whatever its brightness
and contrast.

Honest look-alikes (two handwritten ones) can be as similar as copies of a photograph are. What gives a copy away is
that it is much nearer than all others: its distance, 1 - similarity, is at most a tenth of that to the eleventh
nearest, in the spirit of the ratio test of Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints",
section 7.1. Eleventh, not second, since a few copies of one picture may lie in the same part. Where more do, only
copies that agree in every detail are found. `benchmarks/near_duplicates.py` chose the limits on one half of CIFAR-10
and measures them on the other.

What cannot be found: crops and shifts beyond a pixel or so, mirrored and turned pictures, strong changes of colour,
texts and frames laid over; of pictures of 8 x 8 pixels about one re-encoded copy in six; and flat pictures, in
which there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glasswork.data.images import Progress
from glasswork.data.splits import PARTS, TRAIN

FREQUENCIES = 8  # each way, as in pHash
DETAILS = 32  # frequencies each way of the second look
FLAT = 1.0  # grey levels, root mean square: below it there is noise only
_PIXELS = 2**22  # transformed at a time, so that memory stays flat
_PRODUCTS = 2**23  # similarities computed at a time


@dataclass(frozen=True)
class Limits:
    """From where on two pictures are near copies.

    `similarity`: the least. `stands_out`: the distance to a copy over that to the nearest beyond the `crowd`, at most.
    `in_detail`: the similarity, of details too, from which on a copy need not stand out.
    """

    similarity: float = 0.98
    crowd: int = 10
    stands_out: float = 0.1
    in_detail: float = 0.995


LIMITS = Limits()


@dataclass(frozen=True)
class NearGroup:
    """Pictures that are near copies of one another, by index, and the least similarity that links one of them."""

    indices: tuple[int, ...]
    similarity: float


@dataclass(frozen=True)
class NearPair:
    """Two pictures in different parts, by index, the smaller one first."""

    first: int
    second: int
    similarity: float


def near_groups(
    pixels: np.ndarray,
    parts: np.ndarray,
    hashes: Sequence[str],
    progress: Progress | None = None,
    limits: Limits = LIMITS,
) -> list[NearGroup]:
    """Which pictures of different parts are near copies of one another?

    `pixels`: uint8 `(N, C, H, W)`, as the network sees them. `parts`: `(N,)` names. `hashes`: of the content of each;
    pictures of the same content are exact copies, which are found more simply, and only the first of them in each part
    is compared. Time grows with the product of the sizes of the parts, memory with N.
    """
    group = list(range(len(pixels)))

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = index = group[group[index]]
        return index

    pairs = near_pairs(pixels, parts, hashes, progress, limits)
    for pair in pairs:
        first, second = sorted((root(pair.first), root(pair.second)))
        group[second] = first
    members: dict[int, set[int]] = {}
    least: dict[int, float] = {}
    for pair in pairs:
        top = root(pair.first)
        members.setdefault(top, set()).update((pair.first, pair.second))
        least[top] = min(least.get(top, 1.0), pair.similarity)
    return [NearGroup(tuple(sorted(members[top])), least[top]) for top in sorted(members)]


def near_pairs(
    pixels: np.ndarray,
    parts: np.ndarray,
    hashes: Sequence[str],
    progress: Progress | None = None,
    limits: Limits = LIMITS,
) -> list[NearPair]:
    """All pairs of near copies in different parts, in order, each once."""
    firsts = first_of_each(parts, hashes)
    asking = np.flatnonzero(parts[firsts] != TRAIN)  # each pair has a member outside the training part
    if len(asking) == 0 or len(set(parts[firsts])) == 1:
        return []
    prints_NF = fingerprints(pixels, firsts)
    pairs: dict[tuple[int, int], NearPair] = {}
    rows = max(1, _PRODUCTS // len(firsts))
    for start in range(0, len(asking), rows):
        block = asking[start : start + rows]
        similarity_BN = prints_NF[block] @ prints_NF.T
        for row in np.flatnonzero((similarity_BN >= limits.similarity).sum(axis=1) > 1):  # one is the picture itself
            index = int(firsts[block[row]])
            near, standing_out = nearest_elsewhere(index, similarity_BN[row], firsts, parts, hashes, limits)
            if not standing_out:
                near = [pair for pair in near[:1] if likeness(pixels, pair.first, pair.second) >= limits.in_detail]
            pairs |= {(pair.first, pair.second): pair for pair in standing_out or near}
        if progress is not None:
            progress("comparing", start + len(block), len(asking))
    return [pairs[couple] for couple in sorted(pairs)]


def first_of_each(parts: np.ndarray, hashes: Sequence[str]) -> np.ndarray:
    """Of the examples in use the first of each content in each part, in order."""
    seen: dict[tuple[str, str], int] = {}
    for index in np.flatnonzero(np.isin(parts, PARTS)).tolist():
        seen.setdefault((parts[index], hashes[index]), index)
    return np.array(list(seen.values()), dtype=np.int64)


def nearest_elsewhere(
    index: int, similarity_N: np.ndarray, firsts: np.ndarray, parts: np.ndarray, hashes: Sequence[str], limits: Limits
) -> tuple[list[NearPair], list[NearPair]]:
    """One picture with those of its crowd that lie in other parts, nearest first; and those of them that stand out.

    `similarity_N`: of the picture to each of `firsts`.
    """
    many = min(limits.crowd + len(PARTS), len(firsts) - 1)  # itself and its exact copies are among the nearest
    nearest = np.argpartition(-similarity_N, many)[: many + 1]
    nearest = nearest[np.argsort(-similarity_N[nearest], kind="stable")]
    others = [(int(firsts[n]), float(similarity_N[n])) for n in nearest if hashes[firsts[n]] != hashes[index]]
    beyond = others[limits.crowd][1] if len(others) > limits.crowd else 0.0
    near = [
        NearPair(min(index, other), max(index, other), min(value, 1.0))
        for other, value in others[: limits.crowd]
        if parts[other] != parts[index] and value >= limits.similarity
    ]
    return near, [pair for pair in near if 1 - pair.similarity <= limits.stands_out * (1 - beyond)]


def likeness(pixels: np.ndarray, first: int, second: int) -> float:
    """The similarity of two pictures, details and all."""
    one, other = fingerprints(pixels, np.array([first, second]), DETAILS)
    return float(one @ other)


def fingerprints(pixels: np.ndarray, indices: np.ndarray, frequencies: int = FREQUENCIES) -> np.ndarray:
    """The low frequencies of these pictures: float32 `(n, F)`, of length 1, or 0 where a picture is flat.

    Of a side of `n` pixels come at most `n / 2` frequencies, or all where `frequencies` asks for details: above,
    JPEG changes most.
    """
    channels, *sides = pixels.shape[1:]
    detailed = frequencies > FREQUENCIES
    rows_KH, columns_LW = (cosines(side, min(frequencies, side if detailed else (side + 1) // 2)) for side in sides)
    prints_nF = np.empty((len(indices), channels * len(rows_KH) * len(columns_LW)), dtype=np.float32)
    step = max(1, _PIXELS // int(np.prod(pixels.shape[1:])))
    for start in range(0, len(indices), step):
        images_nCHW = pixels[indices[start : start + step]].astype(np.float32)
        spectra_nCKL = rows_KH @ (images_nCHW @ columns_LW.T)
        spectra_nCKL[:, :, 0, 0] = 0
        prints_nF[start : start + step] = spectra_nCKL.reshape(len(images_nCHW), -1)
    lengths_n1 = np.linalg.norm(prints_nF, axis=1, keepdims=True)
    flat_n1 = lengths_n1 < FLAT * np.sqrt(np.prod(pixels.shape[1:]))  # the transform keeps lengths
    return np.where(flat_n1, 0, prints_nF / np.maximum(lengths_n1, 1e-6)).astype(np.float32)


def cosines(side: int, frequencies: int) -> np.ndarray:
    """The first rows of the orthonormal cosine transform (DCT-II): float32 `(frequencies, side)`.

    >>> np.allclose(cosines(5, 5) @ cosines(5, 5).T, np.eye(5), atol=1e-6)
    True
    """
    angles = np.pi / side * np.arange(frequencies)[:, None] * (np.arange(side) + 0.5)
    rows = np.cos(angles) * np.sqrt(2 / side)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)
