"""VGG: nothing but 3x3 convolutions, with a pooling where the number of channels grows (Simonyan & Zisserman 2015).

Source of the textbook form: Table 1, configurations A, B, D and E; layers carry torchvision's names, with batch norm
too (`vgg16_bn`), so its state dicts load. Two 3x3 windows see as far as one 5x5 and three as far as one 7x7, with fewer
weights and more nonlinearities.

textbook  224x224 -> five blocks -> 7x7 positions -> 4096 -> 4096 -> 1000; the first of these is sized from the image
modern    batch norm, He initialisation, and after the blocks an average over all positions, dropout 0.2 and one linear
          layer: the two layers of 4096, six sevenths of VGG-16's weights, are gone
"""

from __future__ import annotations

import torch
from torch import nn

from glasswork.geometry import Window, same_padding, trace
from glasswork.networks.blocks import ConvBlock, activation, max_pooling
from glasswork.networks.options import Form, Style

TITLE, PAPER, YEAR = "VGG", "Simonyan & Zisserman, Very deep convolutional networks for large-scale recognition", 2015
IMAGE_SIZE, CHANNELS, CLASSES = 224, 3, 1000
CHANNEL_COUNTS = (64, 128, 256, 512, 512)  # of the five blocks
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # in each block
HIDDEN = 4096

# The paper copied its first layers from a shallower trained network, and then found that Xavier makes that unnecessary.
TEXTBOOK = Style(form="textbook", batch_norm=False, activation="relu", dropout=0.5, initialise="xavier_uniform")
MODERN = Style(form="modern", batch_norm=True, activation="relu", dropout=0.2, initialise="he_normal")
STYLES: dict[Form, Style] = {"textbook": TEXTBOOK, "modern": MODERN}


def block_windows(block: int, convolutions: int) -> tuple[Window, ...]:
    """The windows of one block: 3x3 convolutions that keep the size, and a pooling that halves it."""
    names = [f"conv{block}_{place}" for place in range(1, convolutions + 1)]
    convs = [Window(3, padding=same_padding(3), name=name) for name in names]
    return *convs, Window(2, stride=2, name=f"pool{block}")


def windows(form: Form, depth: int) -> tuple[Window, ...]:
    """The convolutions and poolings in order; the same in both forms."""
    blocks = [block_windows(block, count) for block, count in enumerate(CONVOLUTIONS[depth], start=1)]
    return sum(blocks, start=())


class VGG(nn.Module):
    """VGG of `depth` 11, 13, 16 or 19 weight layers, for images of one fixed size."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int], style: Style, depth: int) -> None:
        super().__init__()
        self.features = _features(channels, style, depth)
        last = style.scaled(CHANNEL_COUNTS[-1])
        if style.form == "modern":
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Sequential(nn.Dropout(style.dropout), nn.Linear(last, classes))
        else:
            self.avgpool = nn.Identity()
            height, width = (trace(windows(style.form, depth), side)[-1] for side in image_size)
            self.classifier = _classifier(last * height * width, classes, style)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`."""
        return self.classifier(self.avgpool(self.features(images_NCHW)).flatten(1))


def _features(channels: int, style: Style, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for block, (count, convolutions) in enumerate(zip(CHANNEL_COUNTS, CONVOLUTIONS[depth], strict=True), start=1):
        *convs, pool = block_windows(block, convolutions)
        for window in convs:
            layers += ConvBlock(window, channels, style.scaled(count), style)
            channels = style.scaled(count)
        layers.append(max_pooling(pool))
    return nn.Sequential(*layers)


def _classifier(features: int, classes: int, style: Style) -> nn.Sequential:
    units = style.scaled(HIDDEN)
    return nn.Sequential(
        *(nn.Linear(features, units), activation(style.activation), nn.Dropout(style.dropout)),
        *(nn.Linear(units, units), activation(style.activation), nn.Dropout(style.dropout)),
        nn.Linear(units, classes),
    )
