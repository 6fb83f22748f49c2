"""Softmax regression: one linear layer from pixels to logits, the baseline every deeper network has to beat.

Source: *Dive into Deep Learning*, chapter "Linear Neural Networks for Classification", where weights are drawn with
standard deviation 0.01. There are no hidden layers, so both forms are the same network.
"""

from __future__ import annotations

import torch
from torch import nn

from glasswork.networks.options import Form, Style

TITLE, PAPER, YEAR = "Softmax regression", "Dive into Deep Learning, softmax regression", 2023
IMAGE_SIZE, CHANNELS, CLASSES = 28, 1, 10

TEXTBOOK = Style(form="textbook", batch_norm=False, activation="relu", dropout=0.0, initialise="normal")
MODERN = Style(form="modern", batch_norm=False, activation="relu", dropout=0.0, initialise="normal")
STYLES: dict[Form, Style] = {"textbook": TEXTBOOK, "modern": MODERN}


class Linear(nn.Module):
    """Softmax regression; the softmax itself belongs to the loss."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int], style: Style) -> None:
        super().__init__()
        height, width = image_size
        self.output = nn.Linear(channels * height * width, classes)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`."""
        return self.output(images_NCHW.flatten(1))
