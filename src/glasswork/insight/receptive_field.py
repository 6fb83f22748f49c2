"""How far does a unit see, and how far does it look? The receptive field from the formula, and from gradients.

What a unit may depend on follows from the windows before it. How much it does depend on each position is the gradient
of that unit with respect to the input, averaged over inputs: strong in the middle and weak towards the edges, so that
the effective field is much smaller than the computed one (Luo, Li, Urtasun & Zemel 2016, "Understanding the effective
receptive field in deep convolutional neural networks").
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glasswork import seeds
from glasswork.errors import NetworkError, SettingError
from glasswork.networks.anatomy import Anatomy, Layer, anatomy_of
from glasswork.networks.anatomy_text import field_text, sides
from glasswork.notebook import html_table

WITHIN_TWO_DEVIATIONS = 0.9545  # of a normal distribution
Box = tuple[tuple[int, int], tuple[int, int]]
"""First position and the one after the last, down and across."""


@dataclass(frozen=True, eq=False)
class ReceptiveFieldMap:
    """Where one unit in the middle of a layer looks, on the network's input.

    `path`: the layer. `unit`: row and column. `computed`: height and width of its receptive field by the formula, None
    where no positions are left; `computed_box`: where that lies within the input. `heat_HW`: float64 `(H, W)`, the mean
    absolute gradient, as a share of the largest. `inputs`: over how many it is the mean. `box`: where the heat is above
    0, None if it is nowhere. `effective_width`: in input positions, the side of a square as large as all positions
    whose heat is above 1 - 95.45% of the largest (section 3 of the paper, which takes the share from a Gaussian's two
    standard deviations, and compares with the central position instead of the largest).
    """

    path: str
    input_shape: tuple[int, ...]
    unit: tuple[int, int]
    computed: tuple[int, ...] | None
    computed_box: Box
    heat_HW: np.ndarray
    inputs: int

    @property
    def box(self) -> Box | None:
        """The smallest that holds all heat."""
        rows, columns = np.nonzero(self.heat_HW.any(axis=1))[0], np.nonzero(self.heat_HW.any(axis=0))[0]
        if not len(rows):
            return None
        return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)

    @property
    def measured(self) -> tuple[int, int]:
        """Height and width of `box`."""
        if self.box is None:
            return 0, 0
        (top, bottom), (left, right) = self.box
        return bottom - top, right - left

    @property
    def effective_width(self) -> float:
        """In input positions."""
        return float(np.sqrt((self.heat_HW > 1 - WITHIN_TWO_DEVIATIONS).sum()))

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; the heat is rounded to four digits."""
        return {
            "path": self.path,
            "input_shape": self.input_shape,
            "unit": self.unit,
            "computed": self.computed,
            "computed_box": self.computed_box,
            "measured": self.measured,
            "box": self.box,
            "effective_width": self.effective_width,
            "inputs": self.inputs,
            "heat": np.round(self.heat_HW, 4).tolist(),
        }

    def _repr_html_(self) -> str:
        rows = [
            ("computed", field_text(self.computed)),
            ("measured", sides(self.measured)),
            ("effective width", f"{self.effective_width:.1f}"),
            ("mean over inputs", self.inputs),
        ]
        return html_table(f"Receptive field of {self.path}, in positions of the input", ("", "positions"), rows)


def measure_receptive_field(
    network: nn.Module,
    shape: Sequence[int],
    path: str | None = None,
    *,
    inputs: int | Tensor = 16,
    seed: int = 0,
    anatomy: Anatomy | None = None,
) -> ReceptiveFieldMap:
    """How strongly does the unit in the middle of a layer depend on each position of the input?

    `shape`: of one input, `(C, H, W)`. `path`: a layer or a block of layers; by default the last whose receptive field
    is known. `inputs`: how many to draw from a standard normal distribution, or inputs `(N, C, H, W)`, standardised as
    the network takes them. All channels of the unit count, with signs drawn at random, so that none cancel for good.
    The network is looked at in evaluation mode, and left as it is. `anatomy`: its own, if it is known already.

    Raises `SettingError` for a layer that is not there, `NetworkError` for one without positions.
    """
    anatomy = anatomy or anatomy_of(network, shape, batch_size=2)
    if len(shape) != 3:
        raise NetworkError(f"a receptive field needs inputs of shape (C, H, W), got {tuple(shape)}; pass images")
    still = _held(network)
    layer, path = _chosen(anatomy, still, path)
    _, rows, columns = (*layer.output_shape, 0, 0)[:3]
    if len(layer.output_shape) != 3:
        raise NetworkError(f"the outputs of {path} are {sides(layer.output_shape)}, without positions; choose another")
    unit = rows // 2, columns // 2
    generator = seeds.torch_stream(seed, "probe")
    if not isinstance(inputs, Tensor) and inputs < 1:
        raise SettingError(f"inputs={inputs} show nothing; take at least 1")
    drawn = inputs if isinstance(inputs, Tensor) else torch.randn(inputs, *shape, generator=generator)
    heat_HW = np.zeros(tuple(shape[1:]))
    for input_CHW in drawn:  # one by one: a deep network's maps of many inputs would not fit in memory
        signs_C = torch.randint(0, 2, (layer.output_shape[0],), generator=generator) * 2 - 1
        heat_HW += _pull(still, path, input_CHW[None], unit, signs_C)
    largest = heat_HW.max()
    return ReceptiveFieldMap(
        path=path,
        input_shape=tuple(shape),
        unit=unit,
        computed=layer.receptive_field,
        computed_box=_box(layer, unit, shape[1:]),
        heat_HW=heat_HW / largest if largest > 0 else heat_HW,
        inputs=len(drawn),
    )


def _held(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode on the same weights, which take no gradients."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    memo |= {id(buffer): buffer for buffer in network.buffers()}
    return copy.deepcopy(network, memo).eval()


def _chosen(anatomy: Anatomy, network: nn.Module, path: str | None) -> tuple[Layer, str]:
    """The layer that is asked for, and the module whose output is looked at: it may be a block that ends there."""
    modules = dict(network.named_modules())
    if path is None:
        for layer in reversed(anatomy.layers):
            block = layer.path.rpartition(".")[0]
            if layer.receptive_field and layer.path in modules:
                return layer, layer.path
            if layer.receptive_field and block and _inside(anatomy, block)[-1] is layer:
                return layer, block
        raise NetworkError(f"no layer of {anatomy.name} has outputs with positions; it has no receptive fields")
    inside = _inside(anatomy, path)
    if path not in modules or not inside:
        known = ", ".join(layer.path for layer in anatomy.layers if layer.receptive_field)
        raise SettingError(f"there is no layer {path!r} at work in {anatomy.name}; choose one of {known}")
    return inside[-1], path


def _inside(anatomy: Anatomy, path: str) -> list[Layer]:
    """The layer of this name, or those of the block, in order."""
    return [layer for layer in anatomy.layers if f"{layer.path}.".startswith(f"{path}.")]


def _pull(network: nn.Module, path: str, input_1CHW: Tensor, unit: tuple[int, int], signs_C: Tensor) -> np.ndarray:
    """The absolute gradient of one unit with respect to the input, summed over its channels: float64 `(H, W)`."""
    seen: list[Tensor] = []
    handle = network.get_submodule(path).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    weight = next(network.parameters(), input_1CHW)
    input_1CHW = input_1CHW.to(weight).requires_grad_()
    try:
        network(input_1CHW)
    finally:
        handle.remove()
    centre_C = seen[0][0, :, unit[0], unit[1]]
    (gradient,) = torch.autograd.grad((centre_C * signs_C.to(centre_C)).sum(), input_1CHW)
    return gradient[0].double().abs().sum(dim=0).cpu().numpy()


def _box(layer: Layer, unit: tuple[int, int], sizes: Sequence[int]) -> Box:
    """What the unit sees of the input, the padding left out; all of it where no formula says less."""
    if layer.receptive_field is None or layer.jump is None or layer.start is None:
        return (0, sizes[0]), (0, sizes[1])
    firsts = [start + jump * place for start, jump, place in zip(layer.start, layer.jump, unit, strict=True)]
    ends = [first + field for first, field in zip(firsts, layer.receptive_field, strict=True)]
    (top, left), (bottom, right) = firsts, ends
    return (max(0, top), min(sizes[0], bottom)), (max(0, left), min(sizes[1], right))
