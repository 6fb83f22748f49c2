"""Which pixels does an answer hang on? Three maps, each with the check that it depends on what the network has learned.

saliency               the largest absolute gradient of the logit over a pixel's channels (Simonyan, Vedaldi &
                       Zisserman 2014, "Deep inside convolutional networks", section 3)
integrated gradients   gradients on the way from a black picture, times what the pixel has come (Sundararajan, Taly &
                       Yan 2017, "Axiomatic attribution for deep networks", equation 1), summed over channels; over all
                       pixels they add up to the logit less the black picture's
Grad-CAM               the last maps, weighted by the mean gradient of the logit, where positive (Selvaraju et al. 2017,
                       equations 1 and 2), brought to the size of the picture

Computed by Captum. A map may look plausible and say nothing of the network: edges of the picture are found by any. So
the weights are shuffled, and the map must change (Adebayo et al. 2018, "Sanity checks for saliency maps").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from glasswork.data.examples import Part
from glasswork.errors import NetworkError, SettingError, one_line
from glasswork.insight.pictures import MOST, Pictures, chosen_pictures, watched_copy
from glasswork.insight.sanity import SHUFFLES, Sanity, check_sanity
from glasswork.models.trained import Model
from glasswork.notebook import html_table

Method = Literal["saliency", "integrated_gradients", "grad_cam"]
STEPS = 32  # on the way from black, Gauss-Legendre
_VALUES_AT_ONCE = 2**22  # pixel values in a batch of integrated gradients


@dataclass(frozen=True, eq=False)
class Attribution:
    """One method's map of each picture.

    `maps`: float32 `(n, H, W)`, in logits per standard deviation of a pixel (saliency), logits (integrated gradients),
    or, for Grad-CAM, the weighted activation, whose unit is the layer's. `layer`: whose maps Grad-CAM weighs.
    `incompleteness`: of integrated gradients, by how much the maps' sums miss the logits less the black pictures', as a
    share of these, which more `steps` would mend; `None` for the others. `sanity`: what became of the maps when the
    weights were shuffled.
    """

    method: Method
    maps: np.ndarray = field(repr=False)
    layer: str | None
    incompleteness: float | None
    sanity: Sanity


@dataclass(frozen=True, eq=False)
class Attributions:
    """Which pixels the answers to n pictures hang on.

    `classes`: int64 `(n,)`, the output that each map explains, in the model's numbers: the most probable class.
    `class_names`: empty where a number is predicted.
    """

    pictures: Pictures
    classes: np.ndarray
    class_names: tuple[str, ...]
    found: tuple[Attribution, ...]

    def of(self, method: Method) -> Attribution:
        """The maps of one method. Raises `SettingError` if it is not among them."""
        for one in self.found:
            if one.method == method:
                return one
        known = ", ".join(one.method for one in self.found)
        raise SettingError(f"there are no maps of {method!r}, only of {known}; ask for it in methods")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the maps."""
        methods = [
            {
                "method": one.method,
                "layer": one.layer,
                "incompleteness": one.incompleteness,
                "sanity": one.sanity.as_dict(),
            }
            for one in self.found
        ]
        return {"indices": self.pictures.indices.tolist(), "classes": self.classes.tolist(), "methods": methods}

    def _repr_html_(self) -> str:
        rows = [(one.method, one.layer or "", one.sanity.sentence()) for one in self.found]
        title = f"Attribution: maps of {len(self.pictures)} pictures"
        return html_table(title, ["method", "layer", "when the weights are shuffled"], rows)


def attributions(
    model: Model,
    part: Part,
    *,
    methods: Sequence[Method] | None = None,
    most: int = MOST,
    shuffles: int = SHUFFLES,
    steps: int = STEPS,
    seed: int = 0,
) -> Attributions:
    """Which pixels do the answers to the first `most` pictures of this part hang on, and can these maps be believed?

    `methods`: all that the network allows, unless said otherwise. `shuffles`: how often the weights are shuffled for
    the check, with `seed`. Nothing is scored: of a test part this is no look. Raises `DataError` for tables,
    `NetworkError` where Grad-CAM is asked for and no convolution has more than one position, or where gradients cannot
    be taken through a module of the user's own.
    """
    for method in methods or ():
        if method not in get_args(Method):
            raise SettingError(f"there is no method {method!r}; choose one of {', '.join(get_args(Method))}")
    if shuffles < 2 or steps < 1:
        raise SettingError(f"shuffles={shuffles} and steps={steps} tell nothing; take at least 2 and 1")
    pictures = chosen_pictures(model, part, most)
    network = watched_copy(model.network).requires_grad_(True)
    with torch.no_grad():
        classes_n = network(pictures.images).argmax(dim=1)
    layer = last_maps(network, pictures.images)
    if layer is None and methods is not None and "grad_cam" in methods:
        raise NetworkError("Grad-CAM needs a convolution with more than one position, and this network has none")
    wanted = methods or [method for method in get_args(Method) if method != "grad_cam" or layer is not None]
    black = _black(model, pictures)
    found = []
    for method in wanted:

        def explain(one: nn.Module, method: Method = method) -> np.ndarray:
            return _explain(one, method, pictures.images, classes_n, black, layer, steps)

        try:
            maps = explain(network)
            incompleteness = None
            if method == "integrated_gradients":
                incompleteness = _incompleteness(network, maps, pictures.images, classes_n, black)
            sanity = check_sanity(network, maps, explain, shuffles, seed)
        except RuntimeError as error:
            if model.options is not None:
                raise
            reason = one_line(str(error).split("\n")[0])
            raise NetworkError(
                f"{method} cannot be computed through this {type(network).__name__} ({reason}); write its forward "
                "without writing in place"
            ) from error
        found.append(Attribution(method, maps, layer if method == "grad_cam" else None, incompleteness, sanity))
    return Attributions(pictures, classes_n.cpu().numpy(), model.class_names, tuple(found))


def last_maps(network: nn.Module, images_NCHW: torch.Tensor) -> str | None:
    """The name of the layer whose maps Grad-CAM weighs: the last that still have more than one position.

    That is where the last convolution with more than one position has led before anything changes the size: after its
    norm and activation, and where branches run side by side, after they are joined. `None` without such a convolution.
    """
    sizes: list[tuple[str, bool, tuple[int, int]]] = []
    hooks = []
    for name, layer in network.named_modules():

        def note(layer: nn.Module, _: Any, output: Any, name: str = name) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                sizes.append((name, isinstance(layer, nn.Conv2d), (output.shape[2], output.shape[3])))

        hooks.append(layer.register_forward_hook(note))
    with torch.no_grad():
        network(images_NCHW[:1])
    for hook in hooks:
        hook.remove()
    wide = [size for _, convolution, size in sizes if convolution and size != (1, 1)]
    return [name for name, _, size in sizes if size == wide[-1]][-1] if wide else None


def _explain(
    network: nn.Module,
    method: Method,
    images_NCHW: torch.Tensor,
    classes_N: torch.Tensor,
    black_NCHW: torch.Tensor,
    layer: str | None,
    steps: int,
) -> np.ndarray:
    """The maps of one method, float32 `(N, H, W)`."""
    # Here, since importing Captum takes a second or two that nothing else should wait for.
    from captum.attr import IntegratedGradients, LayerGradCam, Saliency

    images_NCHW = images_NCHW.clone().requires_grad_(True)
    if method == "saliency":
        maps_NHW = Saliency(network).attribute(images_NCHW, target=classes_N, abs=True).amax(dim=1)
    elif method == "integrated_gradients":
        at_once = max(len(images_NCHW), _VALUES_AT_ONCE // images_NCHW[0].numel())
        gradients_NCHW: Any = IntegratedGradients(network).attribute(
            images_NCHW, baselines=black_NCHW, target=classes_N, n_steps=steps, internal_batch_size=at_once
        )
        maps_NHW = gradients_NCHW.sum(dim=1)
    else:
        assert layer is not None
        where = network.get_submodule(layer)
        coarse_N1HW: Any = LayerGradCam(network, where).attribute(images_NCHW, target=classes_N, relu_attributions=True)
        size = images_NCHW.shape[2:]
        maps_NHW = F.interpolate(coarse_N1HW, size=size, mode="bilinear", align_corners=False).squeeze(1)
    return maps_NHW.detach().float().cpu().numpy()


def _black(model: Model, pictures: Pictures) -> torch.Tensor:
    """Black pictures, standardised as all are."""
    zeros = torch.zeros(pictures.pixels.shape, dtype=torch.uint8, device=pictures.images.device)
    return model.preprocessing.standardise(zeros)


def _incompleteness(
    network: nn.Module,
    maps_NHW: np.ndarray,
    images_NCHW: torch.Tensor,
    classes_N: torch.Tensor,
    black_NCHW: torch.Tensor,
) -> float:
    """Sundararajan, Taly & Yan 2017, proposition 1: the attributions add up to the difference of the outputs."""
    with torch.no_grad():
        rises_NK = network(images_NCHW) - network(black_NCHW)
    rises_N = rises_NK.gather(1, classes_N[:, None]).squeeze(1).cpu().numpy()
    missed_N = np.abs(maps_NHW.sum(axis=(1, 2)) - rises_N)
    return float(missed_N.sum() / max(np.abs(rises_N).sum(), 1e-12))
