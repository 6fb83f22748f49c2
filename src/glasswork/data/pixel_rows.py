"""Pictures as rows of pixels, which is how scikit-learn counts and checks features, and back as pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from glasswork.data.sources.arrays import as_array, as_images
from glasswork.errors import SettingError

Shape = tuple[int, ...]


def shape_of(X: Any) -> Shape:
    """The lengths of its axes, whatever it is: an array, a sparse matrix, a DataFrame, nested lists."""
    return tuple(X.shape) if hasattr(X, "shape") else np.asarray(X).shape


def as_pixel_rows(X: Any) -> Any:
    """Each picture of an array of more than two axes as one row; everything else as it is."""
    shape = shape_of(X)
    return X if len(shape) < 3 else as_array(X).reshape(shape[0], math.prod(shape[1:]))


def as_pictures(rows_NF: np.ndarray, shape: Shape, image_shape: Shape | None = None) -> np.ndarray:
    """Pictures uint8 `(N, C, H, W)` of the rows that `as_pixel_rows` made of an array of this shape.

    `shape`: as `as_images` takes it, or `(N, F)`, which takes an `image_shape`: `(C, H, W)`, which pictures must have.
    Raises `ValueError`, as scikit-learn does, if they have not; `DataError` for pixels that are not in any known range.
    """
    if len(shape) == 2:
        assert image_shape is not None
        if rows_NF.shape[1] != math.prod(image_shape):
            pixels = math.prod(image_shape)
            raise ValueError(f"X has {rows_NF.shape[1]} features, and image_shape={image_shape} {pixels}; change one")
        shape = (len(rows_NF), *image_shape)
    pictures = as_images(rows_NF.reshape(shape), "X")
    if image_shape not in (None, pictures.shape[1:]):
        raise ValueError(f"X holds pictures of (C, H, W) = {pictures.shape[1:]}, expected {image_shape}; reshape X")
    return pictures


def checked_image_shape(given: Any) -> Shape | None:
    """The shape `(C, H, W)` that was given, or None. Raises `SettingError` for anything else."""
    if given is None:
        return None
    shape = tuple(np.asarray(given).tolist()) if np.ndim(given) == 1 else ()
    if len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise SettingError(f"image_shape is (channels, height, width), three whole numbers above 0, got {given!r}")
    return shape
