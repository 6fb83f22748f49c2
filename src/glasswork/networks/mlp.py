"""The multilayer perceptron: linear layers with a nonlinearity between them, blind to where a pixel is.

Source: *Dive into Deep Learning*, chapter "Multilayer Perceptrons".

textbook  784 - 256 - 10 with ReLU, weights drawn with standard deviation 0.01
modern    two hidden layers of 256 (as the book's section on dropout has it), batch norm, dropout 0.2, He initialisation

With `tied_hidden` two more hidden layers follow that are one `nn.Linear` in two places (the book's section on
parameter management). Each place keeps a norm of its own, because each sees other statistics.
"""

from __future__ import annotations

import torch
from torch import nn

from glasswork.networks.blocks import LinearBlock
from glasswork.networks.options import Form, Style

TITLE, PAPER, YEAR = "MLP", "Dive into Deep Learning, multilayer perceptrons", 2023
IMAGE_SIZE, CHANNELS, CLASSES = 28, 1, 10
HIDDEN = 256

TEXTBOOK = Style(form="textbook", batch_norm=False, activation="relu", dropout=0.0, initialise="normal")
MODERN = Style(form="modern", batch_norm=True, activation="relu", dropout=0.2, initialise="he_normal")
STYLES: dict[Form, Style] = {"textbook": TEXTBOOK, "modern": MODERN}


class MLP(nn.Module):
    """A multilayer perceptron on flattened images."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int], style: Style) -> None:
        super().__init__()
        height, width = image_size
        units = style.scaled(HIDDEN)
        linears = [nn.Linear(channels * height * width, units, bias=style.bias)]
        if style.form == "modern":
            linears.append(nn.Linear(units, units, bias=style.bias))
        if style.tied_hidden:
            linears += [nn.Linear(units, units, bias=style.bias)] * 2  # one layer, twice
        self.hidden = nn.Sequential(*[LinearBlock(linear, style) for linear in linears])
        self.output = nn.Linear(units, classes)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K)`."""
        return self.output(self.hidden(images_NCHW.flatten(1)))
