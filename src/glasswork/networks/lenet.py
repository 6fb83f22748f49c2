"""LeNet: two convolutions with pooling, then three linear layers (LeCun et al. 1998).

Source of the textbook form: *Dive into Deep Learning*, section "Convolutional Neural Networks (LeNet)", which
simplifies LeNet-5: every channel of the second convolution sees all of the first, and the output is linear.

textbook  28x28 -> conv 6@5x5 "same" -> average pooling 2 -> conv 16@5x5 -> average pooling 2 -> 120 -> 84 -> 10,
          sigmoid throughout, Xavier uniform: 61,706 parameters
modern    the same windows and channels with max pooling, ReLU, batch norm and He initialisation: 61,932 parameters
"""

from __future__ import annotations

import torch
from torch import nn

from glasswork.geometry import Window, same_padding, trace
from glasswork.networks.blocks import ConvBlock, LinearBlock, average_pooling, max_pooling
from glasswork.networks.options import Form, Style

TITLE, PAPER, YEAR = "LeNet", "LeCun et al., Gradient-based learning applied to document recognition", 1998
IMAGE_SIZE, CHANNELS, CLASSES = 28, 1, 10

CONV1, POOL1 = Window(5, padding=same_padding(5), name="conv1"), Window(2, stride=2, name="pool1")
CONV2, POOL2 = Window(5, name="conv2"), Window(2, stride=2, name="pool2")

TEXTBOOK = Style(form="textbook", batch_norm=False, activation="sigmoid", dropout=0.0, initialise="xavier_uniform")
MODERN = Style(form="modern", batch_norm=True, activation="relu", dropout=0.0, initialise="he_normal")
STYLES: dict[Form, Style] = {"textbook": TEXTBOOK, "modern": MODERN}


def windows(form: Form) -> tuple[Window, ...]:
    """What an image passes through before the linear layers; the same in both forms."""
    return CONV1, POOL1, CONV2, POOL2


class LeNet(nn.Module):
    """LeNet for images of one fixed size: the first linear layer is sized from it."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int], style: Style) -> None:
        super().__init__()
        pooling = average_pooling if style.form == "textbook" else max_pooling
        first, second = style.scaled(6), style.scaled(16)
        wide, narrow = style.scaled(120), style.scaled(84)
        height, width = (trace(windows(style.form), side)[-1] for side in image_size)

        self.conv1 = ConvBlock(CONV1, channels, first, style)
        self.pool1 = pooling(POOL1)
        self.conv2 = ConvBlock(CONV2, first, second, style)
        self.pool2 = pooling(POOL2)
        self.fc1 = LinearBlock(nn.Linear(second * height * width, wide, bias=style.bias), style)
        self.fc2 = LinearBlock(nn.Linear(wide, narrow, bias=style.bias), style)
        self.fc3 = nn.Linear(narrow, classes)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`."""
        x_NCHW = self.pool1(self.conv1(images_NCHW))
        x_NCHW = self.pool2(self.conv2(x_NCHW))
        return self.fc3(self.fc2(self.fc1(x_NCHW.flatten(1))))
