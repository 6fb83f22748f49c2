"""An anatomy in words: a layer as a row of a table, shapes and receptive fields as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glasswork.networks.anatomy import Anatomy, Layer

LAYER_COLUMNS = (
    *("layer", "kind", "arguments", "output", "parameters", "multiply-adds", "sees", "kept bytes"),
    "padding and stride",
)
# Said where they differ from this.
_USUAL: dict[str, Any] = {
    **dict.fromkeys(("stride", "dilation"), (1, 1)),
    **dict.fromkeys(("padding", "output_padding"), (0, 0)),
    **dict.fromkeys(("ceil_mode", "return_indices", "inplace"), False),
    **dict.fromkeys(("count_include_pad", "affine", "track_running_stats"), True),
    "groups": 1,
    "padding_mode": "zeros",
    "momentum": 0.1,
    "eps": 1e-5,
}
_SEEN_IN_SHAPES = ("in_channels", "out_channels", "in_features", "out_features", "num_features")
_WORDS = {"kernel_size": "kernel", "ceil_mode": "rounded up", "output_size": "onto"}


def anatomy_rows(anatomy: Anatomy) -> list[tuple[str, ...]]:
    """All layers as rows of a table with the columns `LAYER_COLUMNS`; it is said which only training calls."""
    heads = [layer_row(layer) for layer in anatomy.training_layers]
    return [*map(layer_row, anatomy.layers), *((f"{row[0]} (training only)", *row[1:]) for row in heads)]


def layer_row(layer: Layer) -> tuple[str, ...]:
    """The layer as a row of a table with the columns `LAYER_COLUMNS`."""
    shared = f" (shared with {', '.join(layer.shares_with)})" if layer.shares_with else ""
    return (
        layer.path,
        layer.kind,
        arguments_text(layer),
        sides(layer.output_shape),
        f"{layer.parameters:,}{shared}",
        f"{layer.multiply_adds:,}",
        "?" if layer.sees_unknown else field_text(layer.receptive_field),
        f"{layer.kept_bytes:,}",
        layer.arithmetic,
    )


def arguments_text(layer: Layer) -> str:
    """What the layer was made with, as far as it is not the usual and not seen elsewhere in its row."""
    told = {
        name: _short(value)
        for name, value in layer.arguments.items()
        if name not in _SEEN_IN_SHAPES and (name not in _USUAL or _short(value) != _short(_USUAL[name]))
    }
    first = ["kernel_size"] if "kernel_size" in told else []
    ordered = dict.fromkeys([*first, *told])
    return ", ".join(f"{_WORDS.get(name, name)} {told[name]}".removesuffix(" True") for name in ordered)


def sides(shape: Sequence[int]) -> str:
    """A shape as people write it.

    >>> sides((3, 224, 224))
    '3x224x224'
    """
    return "x".join(map(str, shape)) or "one number"


def field_text(field: tuple[int, ...] | None) -> str:
    """A receptive field: one number where all sides agree, a dash where there is none.

    >>> field_text((16, 16)), field_text((3, 5)), field_text(None)
    ('16', '3x5', '-')
    """
    if field is None:
        return "-"
    return str(field[0]) if len(set(field)) == 1 else sides(field)


def _short(value: Any) -> str:
    return field_text(value) if isinstance(value, tuple) else str(value)
