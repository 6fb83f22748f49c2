"""AlexNet: five convolutions, three overlapping poolings, three linear layers (Krizhevsky et al. 2012).

Source of the textbook form: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", the
one-tower version that torchvision also has; layers carry torchvision's names, so its state dicts load.

textbook  224x224 -> conv 64@11x11/4 -> ... -> 6x6 positions -> 4096 -> 4096 -> 1000: 61,100,840 parameters
modern    batch norm after convolutions, He initialisation, dropout after the hidden linear layers, and a gentler start

The modern stem is 7x7 at stride 2 instead of 11x11 at stride 4: Zeiler & Fergus 2014 (section 4.1) saw that the coarse
stem aliases and misses middle frequencies, and on images of 32 pixels stride 4 would leave the later layers a single
position. Poolings round up, so that 32 pixels end in 2x2 positions and 64 in 4x4. At 224 pixels this form costs about
four times the multiply-adds of the textbook's. The features are averaged to at most 6x6 positions, and never repeated.
"""

from __future__ import annotations

import torch
from torch import nn

from glasswork.geometry import Window, same_padding, trace
from glasswork.networks.blocks import ConvBlock, activation, max_pooling
from glasswork.networks.options import Form, Style

TITLE, PAPER, YEAR = "AlexNet", "Krizhevsky, One weird trick for parallelizing convolutional neural networks", 2014
IMAGE_SIZE, CHANNELS, CLASSES = 224, 3, 1000
CHANNEL_COUNTS = {"conv1": 64, "conv2": 192, "conv3": 384, "conv4": 256, "conv5": 256}
HIDDEN = 4096
POSITIONS = 6  # along each side, after the features

# Deviation: the paper draws with standard deviation 0.01 and sets some biases to one (2012, section 5). With the zero
# biases we start from, such a signal shrinks some thousandfold on its way through; Xavier keeps it alive.
TEXTBOOK = Style(form="textbook", batch_norm=False, activation="relu", dropout=0.5, initialise="xavier_uniform")
MODERN = Style(form="modern", batch_norm=True, activation="relu", dropout=0.5, initialise="he_normal")
STYLES: dict[Form, Style] = {"textbook": TEXTBOOK, "modern": MODERN}

STEMS: dict[Form, Window] = {
    "textbook": Window(11, stride=4, padding=2, name="conv1"),
    "modern": Window(7, stride=2, padding=same_padding(7), name="conv1"),
}


def windows(form: Form) -> tuple[Window, ...]:
    """The convolutions and poolings in order."""

    def pool(name: str) -> Window:
        return Window(3, stride=2, ceil=form == "modern", name=name)

    def conv(kernel: int, name: str) -> Window:
        return Window(kernel, padding=same_padding(kernel), name=name)

    return (
        *(STEMS[form], pool("pool1")),
        *(conv(5, "conv2"), pool("pool2")),
        *(conv(3, "conv3"), conv(3, "conv4"), conv(3, "conv5"), pool("pool5")),
    )


class AlexNet(nn.Module):
    """AlexNet for images of one fixed size."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int], style: Style) -> None:
        super().__init__()
        self.features = _features(channels, style)
        height, width = (trace(windows(style.form), side)[-1] for side in image_size)
        if style.form == "modern":
            positions = min(POSITIONS, height), min(POSITIONS, width)
        else:
            positions = POSITIONS, POSITIONS
        # Averaging onto the same positions changes nothing, and on a GPU its gradient is not repeatable bit for bit.
        already_there = positions == (height, width)
        self.avgpool = nn.Identity() if already_there else nn.AdaptiveAvgPool2d(positions)
        pooled = style.scaled(CHANNEL_COUNTS["conv5"]) * positions[0] * positions[1]
        self.classifier = _classifier(pooled, classes, style)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`."""
        return self.classifier(self.avgpool(self.features(images_NCHW)).flatten(1))


def _features(channels: int, style: Style) -> nn.Sequential:
    layers: list[nn.Module] = []
    for window in windows(style.form):
        if window.name.startswith("pool"):
            layers.append(max_pooling(window))
        else:
            count = style.scaled(CHANNEL_COUNTS[window.name])
            layers += ConvBlock(window, channels, count, style)
            channels = count
    return nn.Sequential(*layers)


def _classifier(features: int, classes: int, style: Style) -> nn.Sequential:
    """Three linear layers; the textbook's dropout stands before the first two, the modern one after them."""
    units = style.scaled(HIDDEN)
    first = [nn.Linear(features, units), activation(style.activation)]
    second = [nn.Linear(units, units), activation(style.activation)]
    drops = [nn.Dropout(style.dropout), nn.Dropout(style.dropout)]
    if style.form == "modern":
        hidden = [*first, drops[0], *second, drops[1]]
    else:
        hidden = [drops[0], *first, drops[1], *second]
    return nn.Sequential(*hidden, nn.Linear(units, classes))
