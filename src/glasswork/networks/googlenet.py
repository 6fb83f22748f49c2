"""GoogLeNet: 22 layers of inception blocks that look at several scales at once (Szegedy et al. 2015).

Source of the textbook form: Table 1 and Fig. 3, with 5x5 branches (torchvision has 3x3 there) and all poolings 3x3 at
stride 2, rounded up. Layers carry torchvision's names.

textbook     biases, local response normalisation, dropout 0.4; with batch norm it is without both of the former:
             6,998,552 parameters without auxiliary heads, 7,005,832 with batch norm
modern       batch norm, He initialisation, dropout 0.2, and two 3x3 in place of each 5x5 (Ioffe & Szegedy 2015,
             section 4.2.1): as wide a view with one more nonlinearity. Because the 1x1 in front leaves few channels,
             this is no saving here: 7,292,264 parameters
torchvision  what torchvision's weights were trained in: batch norm, one 3x3 in place of each 5x5, a fourth pooling of
             2x2, and auxiliary heads that average onto 4x4 positions at any image size: 6,624,904 parameters

Auxiliary heads carry gradient to the middle of the network while it trains. `forward` never returns theirs: ask
`forward_with_auxiliary`.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.geometry import Window, same_padding, trace
from glasswork.networks.blocks import ConvBlock, Inception, activation, average_pooling, max_pooling
from glasswork.networks.options import Form, Style

TITLE, PAPER, YEAR = "GoogLeNet", "Szegedy et al., Going deeper with convolutions", 2015
IMAGE_SIZE, CHANNELS, CLASSES = 224, 3, 1000
NORM_EPS = 1e-3  # as in torchvision, so that its weights give its outputs
AUXILIARY_DROPOUT = 0.7

# The paper does not say how weights were drawn; Dive into Deep Learning, section on GoogLeNet, draws them so.
TEXTBOOK = Style(form="textbook", batch_norm=False, activation="relu", dropout=0.4, initialise="xavier_uniform")
MODERN = Style(form="modern", batch_norm=True, activation="relu", dropout=0.2, initialise="he_normal")
TORCHVISION = dataclasses.replace(MODERN, form="torchvision")
STYLES: dict[Form, Style] = {"textbook": TEXTBOOK, "modern": MODERN, "torchvision": TORCHVISION}

CONV1, CONV2 = Window(7, stride=2, padding=same_padding(7), name="conv1"), Window(1, name="conv2")
CONV3 = Window(3, padding=same_padding(3), name="conv3")
POOLS = [Window(3, stride=2, ceil=True, name=f"pool{place}") for place in (1, 2, 3, 4)]
SMALL_POOL4 = Window(2, stride=2, ceil=True, name="pool4")
AUXILIARY_POOL = Window(5, stride=3, name="auxiliary pooling")
AUXILIARY_POSITIONS = 4  # along each side, in torchvision's heads; the paper's have as many at 224 pixels

KERNELS_5X5: dict[Form, tuple[int, ...]] = {"textbook": (5,), "modern": (3, 3), "torchvision": (3,)}


class Counts(NamedTuple):
    """Channels of one inception block, a row of Table 1; pairs are (reduced, out)."""

    ones: int
    threes: tuple[int, int]
    fives: tuple[int, int]
    pooled: int


TABLE_1 = {
    "3a": Counts(64, (96, 128), (16, 32), 32),
    "3b": Counts(128, (128, 192), (32, 96), 64),
    "4a": Counts(192, (96, 208), (16, 48), 64),
    "4b": Counts(160, (112, 224), (24, 64), 64),
    "4c": Counts(128, (128, 256), (24, 64), 64),
    "4d": Counts(112, (144, 288), (32, 64), 64),
    "4e": Counts(256, (160, 320), (32, 128), 128),
    "5a": Counts(256, (160, 320), (32, 128), 128),
    "5b": Counts(384, (192, 384), (48, 128), 128),
}


def widest_branch(form: Form, name: str = "") -> tuple[Window, ...]:
    """The windows of an inception block that see farthest: one 5x5, two 3x3, or torchvision's one 3x3."""
    return tuple(Window(kernel, padding=same_padding(kernel), name=name) for kernel in KERNELS_5X5[form])


def pools(form: Form) -> list[Window]:
    """The four poolings between the stages."""
    return [*POOLS[:3], SMALL_POOL4] if form == "torchvision" else POOLS


def windows(form: Form) -> tuple[Window, ...]:
    """The windows in order, through the widest branch of each inception block."""
    stages = {row: widest_branch(form, f"inception{row}") for row in TABLE_1}
    first, second, third, fourth = pools(form)
    return (
        *(CONV1, first, CONV2, CONV3, second),
        *(*stages["3a"], *stages["3b"], third),
        *(*stages["4a"], *stages["4b"], *stages["4c"], *stages["4d"], *stages["4e"], fourth),
        *(*stages["5a"], *stages["5b"]),
    )


def auxiliary_windows(form: Form) -> tuple[Window, ...]:
    """The windows up to inception 4d, where the deeper head sits, and its pooling; the size is the same at 4a.

    Torchvision's heads have no window there: they average whatever size comes onto 4x4 positions.
    """
    names = [window.name for window in windows(form)]
    before = windows(form)[: names.index("inception4e")]
    return before if form == "torchvision" else (*before, AUXILIARY_POOL)


class AuxiliaryLogits(NamedTuple):
    """Logits `(N, K)` of the network, and those of its auxiliary heads, shallowest first."""

    logits: torch.Tensor
    auxiliary: tuple[torch.Tensor, ...]


class AuxiliaryHead(nn.Module):
    """A small classifier on the features half way up (section 5): 5x5/3 pooling, 1x1 convolution, two linear layers.

    Dropout is the paper's 0.7 whatever the network's own, unless that is switched off altogether.
    """

    def __init__(self, channels: int, classes: int, positions: int, style: Style) -> None:
        super().__init__()
        reduced, units = style.scaled(128), style.scaled(1024)
        by_window = style.form != "torchvision"
        self.pool = average_pooling(AUXILIARY_POOL) if by_window else nn.AdaptiveAvgPool2d(AUXILIARY_POSITIONS)
        self.conv = _block(style)(Window(1), channels, reduced)
        self.fc1 = nn.Linear(reduced * positions, units)
        self.activation = activation(style.activation)
        self.dropout = nn.Dropout(AUXILIARY_DROPOUT if style.dropout else 0.0)
        self.fc2 = nn.Linear(units, classes)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`."""
        x_ND = self.conv(self.pool(x_NCHW)).flatten(1)
        return self.fc2(self.dropout(self.activation(self.fc1(x_ND))))


class GoogLeNet(nn.Module):
    """GoogLeNet; the image size matters to the auxiliary heads only."""

    def __init__(
        self,
        channels: int,
        classes: int,
        image_size: tuple[int, int],
        style: Style,
        auxiliary_heads: bool = False,
    ) -> None:
        super().__init__()
        block, first, third = _block(style), style.scaled(64), style.scaled(192)
        self.conv1 = block(CONV1, channels, first)
        self.maxpool1 = max_pooling(pools(style.form)[0])
        self.lrn1 = _response_norm(style)
        self.conv2 = block(CONV2, first, first)
        self.conv3 = block(CONV3, first, third)
        self.lrn2 = _response_norm(style)
        self.maxpool2 = max_pooling(pools(style.form)[1])

        self.inception3a = _inception("3a", third, style)
        self.inception3b = _inception("3b", self.inception3a.channels_out, style)
        self.maxpool3 = max_pooling(pools(style.form)[2])
        self.inception4a = _inception("4a", self.inception3b.channels_out, style)
        self.inception4b = _inception("4b", self.inception4a.channels_out, style)
        self.inception4c = _inception("4c", self.inception4b.channels_out, style)
        self.inception4d = _inception("4d", self.inception4c.channels_out, style)
        self.inception4e = _inception("4e", self.inception4d.channels_out, style)
        self.maxpool4 = max_pooling(pools(style.form)[3])
        self.inception5a = _inception("5a", self.inception4e.channels_out, style)
        self.inception5b = _inception("5b", self.inception5a.channels_out, style)

        # The paper pools 7x7 at stride 1: at 224 pixels that is everything, and so it is here at any size.
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(style.dropout)
        self.fc = nn.Linear(self.inception5b.channels_out, classes)

        self.aux1, self.aux2 = None, None
        if auxiliary_heads:
            positions = _auxiliary_positions(style.form, image_size)
            self.aux1 = AuxiliaryHead(self.inception4a.channels_out, classes, positions, style)
            self.aux2 = AuxiliaryHead(self.inception4d.channels_out, classes, positions, style)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`, with or without auxiliary heads."""
        return self._deep(self._middle(self._shallow(images_NCHW)))

    def forward_with_auxiliary(self, images_NCHW: torch.Tensor) -> AuxiliaryLogits:
        """The network's logits and those of both heads; `NetworkError` if it was built without them."""
        if self.aux1 is None or self.aux2 is None:
            raise NetworkError(
                "this GoogLeNet has no auxiliary heads; build it with auxiliary_heads=True, or call it without them"
            )
        x4a_NCHW = self._shallow(images_NCHW)
        x4d_NCHW = self._middle(x4a_NCHW)
        return AuxiliaryLogits(self._deep(x4d_NCHW), (self.aux1(x4a_NCHW), self.aux2(x4d_NCHW)))

    def _shallow(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """From the image to inception 4a, where the first head sits."""
        x_NCHW = self.lrn1(self.maxpool1(self.conv1(images_NCHW)))
        x_NCHW = self.maxpool2(self.lrn2(self.conv3(self.conv2(x_NCHW))))
        x_NCHW = self.maxpool3(self.inception3b(self.inception3a(x_NCHW)))
        return self.inception4a(x_NCHW)

    def _middle(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """On to inception 4d, where the second head sits."""
        return self.inception4d(self.inception4c(self.inception4b(x_NCHW)))

    def _deep(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """On to the logits."""
        x_NCHW = self.maxpool4(self.inception4e(x_NCHW))
        x_NCHW = self.inception5b(self.inception5a(x_NCHW))
        return self.fc(self.dropout(self.avgpool(x_NCHW).flatten(1)))


def _auxiliary_positions(form: Form, image_size: tuple[int, int]) -> int:
    if form == "torchvision":
        return AUXILIARY_POSITIONS**2
    height, width = (trace(auxiliary_windows(form), side)[-1] for side in image_size)
    return height * width


def _block(style: Style) -> partial[ConvBlock]:
    # Unlike torchvision's VGG, its GoogLeNet has no bias before a norm; nor do we, in either form.
    return partial(ConvBlock, style=style, bias=not style.batch_norm, eps=NORM_EPS)


def _inception(row: str, channels_in: int, style: Style) -> Inception:
    scaled = style.scaled
    ones, threes, fives, pooled = TABLE_1[row]
    return Inception(
        channels_in,
        ones=scaled(ones),
        threes=(scaled(threes[0]), scaled(threes[1])),
        fives=(scaled(fives[0]), scaled(fives[1])),
        pooled=scaled(pooled),
        block=_block(style),
        windows_5x5=widest_branch(style.form),
    )


def _response_norm(style: Style) -> nn.Module:
    """Local response normalisation with the numbers of Krizhevsky et al. 2012, section 3.3; batch norm replaces it."""
    if style.form != "textbook" or style.batch_norm:
        return nn.Identity()
    # Their alpha is 1e-4 for each of the five channels; PyTorch's is for all of them together.
    return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
