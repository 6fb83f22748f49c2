"""Images and targets in memory: NumPy arrays, torch tensors, and anything that becomes an array.

Images are `(N, H, W)`, `(N, C, H, W)` or `(N, H, W, C)`. Of four axes, the last is taken for the channels where it is
1, 3 or 4 long and the second is not; in every other case the second is.

Pixels become 8 bits. Bytes and integers within 0..255 stay as they are, booleans become 0 and 255, `uint16` is scaled
by 1/257, and floating-point numbers within 0..1 by 255. Anything else is refused rather than guessed at.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from glasswork.data.frame import eight_bits
from glasswork.data.images import ArrayImages
from glasswork.data.sources.found import Found, as_parts, refuse_unknown_classes
from glasswork.errors import DataError

KEYS = {
    "train": (("x", "y"), ("x_train", "y_train"), ("train_images", "train_labels")),
    "validation": (("x_val", "y_val"), ("x_valid", "y_valid"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
KNOWN_KEYS = tuple(key for pairs in KEYS.values() for pair in pairs for key in pair)

QUANTISED_AT_ONCE = 4096  # images: a whole data set in floating point need not fit in memory twice


class Labelled(NamedTuple):
    """Images uint8 `(N, C, H, W)` and the label of each, under the name that its examples are called by."""

    name: str
    images: np.ndarray
    labels: np.ndarray


def read_arrays(arrays: Mapping[str, Any], name: str = "arrays") -> Found:
    """The examples in `x` and `y`, and in `x_val`, `y_val`, `x_test`, `y_test` where they are given.

    `x_train` and `y_train` stand for `x` and `y`, and `train_images`, `train_labels` and so on are known as well.
    Classes are the values of `y`, sorted. Raises `DataError` for what cannot be taken as images and classes.
    """
    parts = {}
    for part, (x, y) in pairs_in(arrays).items():
        images, labels = as_images(arrays[x], x), as_labels(arrays[y], y)
        refuse_unequal(x, len(images), y, len(labels))
        parts[part] = Labelled(x, images, labels)
    return found_parts(name, parts)


def pairs_in(keys: Mapping[str, Any] | Sequence[str]) -> dict[str, tuple[str, str]]:
    """Which keys hold the images and targets of each part.

    >>> pairs_in(["x", "y", "x_test", "y_test"])
    {'train': ('x', 'y'), 'test': ('x_test', 'y_test')}
    """
    found = {}
    for part, pairs in KEYS.items():
        for pair in pairs:
            present = [key for key in pair if key in keys]
            if len(present) == 1:
                missing = next(key for key in pair if key not in keys)
                raise DataError(f"there is {present[0]} but no {missing}; images and targets come in pairs, so add it")
            if present and part in found:
                raise DataError(f"both {found[part][0]} and {pair[0]} are given for the {part} part; keep one")
            if present:
                found[part] = pair
    for key in keys:
        near = [] if key in KNOWN_KEYS else difflib.get_close_matches(str(key), KNOWN_KEYS, n=1, cutoff=0.8)
        if near:
            raise DataError(f"there is no use for an array named {key!r}; did you mean {near[0]!r}?")
    if "train" not in found:
        raise DataError(f"expected arrays named x and y, got {', '.join(map(str, keys)) or 'none'}; rename them")
    return found


def found_parts(name: str, parts: Mapping[str, Labelled], class_names: Sequence[str] | None = None) -> Found:
    """The examples of all parts, one after the other. `class_names`: for the sorted labels, if not their values."""
    known = np.unique(parts["train"].labels)
    for part, (_, _, labels) in parts.items():
        unknown = [str(label) for label in np.unique(labels) if label not in known]
        refuse_unknown_classes(part, unknown, [str(label) for label in known])
    refuse_different_shapes(parts)
    images = [labelled.images for labelled in parts.values()]
    labels = np.concatenate([labelled.labels for labelled in parts.values()])
    return Found(
        name=name,
        inputs=ArrayImages(images[0] if len(images) == 1 else np.concatenate(images)),
        targets=np.searchsorted(known, labels).astype(np.int64),
        class_names=tuple(class_names or map(str, known)),
        sources=tuple(f"{part.name}[{index}]" for part in parts.values() for index in range(len(part.labels))),
        supplied=as_parts([name if len(parts) > 1 else "" for name, part in parts.items() for _ in part.labels]),
    )


def as_images(values: Any, key: str = "the array") -> np.ndarray:
    """uint8 `(N, C, H, W)`, writable and contiguous; a copy only where it must be one. `key`: its name in messages."""
    array = as_array(values)
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(
            f"{key} has shape {array.shape}, expected images as (N, H, W), (N, C, H, W) or (N, H, W, C); reshape it"
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    # Writable, because torch warns when it is handed memory that is not; nobody writes to it.
    return np.require(as_bytes(array, key), requirements=["C", "W"])


def as_bytes(array: np.ndarray, key: str) -> np.ndarray:
    """The pixels in 8 bits. Raises `DataError` where it is not clear how."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return eight_bits(array)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{key} holds {array.dtype}, expected numbers; give pixels as uint8, or as floats within 0..1")
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        raise DataError(f"{key} holds values that are not finite (NaN or infinity); replace or remove those images")
    top = 1 if array.dtype.kind == "f" else 255
    if low < 0 or high > top:
        remedy = f"divide it by {high:g}" if low >= 0 and top == 1 else "rescale it"
        raise DataError(f"{key} holds {array.dtype} values from {low:g} to {high:g}, expected 0..{top}; {remedy}")
    return quantised(array) if top == 1 else array.astype(np.uint8)


def quantised(array: np.ndarray) -> np.ndarray:
    """Floating-point 0..1 as 0..255, rounded."""
    pixels = np.empty(array.shape, dtype=np.uint8)
    for start in range(0, len(array), QUANTISED_AT_ONCE):
        block = array[start : start + QUANTISED_AT_ONCE].astype(np.float32)
        pixels[start : start + len(block)] = np.rint(block * 255)
    return pixels


def as_labels(values: Any, key: str) -> np.ndarray:
    """Class numbers or names, `(N,)`. Raises `DataError` for anything else."""
    labels = as_array(values)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{key} has shape {labels.shape}, expected (N,): one class per image; take argmax(axis=1) of scores"
        )
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(np.str_)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels.astype(np.bytes_), "utf-8")
    if labels.dtype.kind not in "iubU":
        raise DataError(
            f"{key} holds {labels.dtype}, expected classes as integers or names; convert it with astype(int)"
        )
    return labels


def as_array(values: Any) -> np.ndarray:
    """The values as an array; torch is looked at only if somebody has already imported it."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() else values).numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(
            "the arrays are ragged, expected images of one size; give a folder of pictures instead"
        ) from None


def refuse_unequal(x: str, images: int, y: str, labels: int) -> None:
    """Every image has one target."""
    if images != labels:
        raise DataError(
            f"{x} holds {images:,} images and {y} holds {labels:,} targets; give as many of one as of the other"
        )


def refuse_different_shapes(parts: Mapping[str, Labelled]) -> None:
    """One collection of arrays has one shape."""
    first, *others = parts.values()
    for other in others:
        if other.images.shape[1:] != first.images.shape[1:]:
            raise DataError(
                f"images in {first.name} are {first.images.shape[1:]} and in {other.name} {other.images.shape[1:]}, "
                "as channels, height and width; bring them to one shape"
            )
