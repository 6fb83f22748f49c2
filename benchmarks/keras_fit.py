"""Keras as a contestant: the same network layer by layer, with the same initial weights, trained by `fit`.

KERAS_BACKEND, torch or jax, is read when Keras is imported. The pictures are one array, standardised, in the layout
that the backend's convolutions are at home in: channels first for torch, channels last for JAX on a CPU.
"""

from __future__ import annotations

import math
from typing import Any

import keras  # pyrefly: ignore
import numpy as np
from torch import nn

from benchmarks.peer import Peer  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore


class KerasFit(Peer):
    """`Model.fit` on arrays, which shuffles and cuts the batches itself."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        channels_first = keras.backend.backend() == "torch"
        keras.config.set_image_data_format("channels_first" if channels_first else "channels_last")
        images_NCHW = self.given.images_NCHW.numpy()
        self._images = images_NCHW if channels_first else np.ascontiguousarray(images_NCHW.transpose(0, 2, 3, 1))
        self._targets = self.given.targets_N.numpy()
        self._model = translated(self.given.network, self._images.shape[1:])
        optimiser = (
            keras.optimizers.SGD(work.learning_rate)
            if work.optimiser == "sgd"
            else keras.optimizers.AdamW(work.learning_rate, weight_decay=work.weight_decay, epsilon=1e-8)
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._model.compile(optimiser, loss, metrics=["accuracy"])

    def logits(self) -> np.ndarray:
        """Of the first examples, before training."""
        return np.asarray(keras.ops.convert_to_numpy(self._model(self._images[:8], training=False)))

    def train(self, epochs: int) -> None:
        """Optimiser and weights go on where they were."""
        self._model.fit(self._images, self._targets, batch_size=self.work.batch_size, epochs=epochs, verbose=0)


def translated(network: nn.Module, shape: tuple[int, ...]) -> Any:
    """The torch network as a Keras one: its layers lie one behind another, in the order of the forward pass."""
    layers: list[Any] = [keras.Input(shape)]
    weights: list[list[np.ndarray]] = []
    channels, flat = 0, False
    for leaf in (layer for layer in network.modules() if not list(layer.children())):
        if isinstance(leaf, nn.Dropout) and leaf.p == 0:
            continue
        if isinstance(leaf, nn.Conv2d):
            channels = leaf.out_channels
        flattened = isinstance(leaf, nn.Linear) and not flat
        if flattened:
            layers.append(keras.layers.Flatten())  # height, width, channels, in either layout
            weights.append([])
            flat = True
        layer, own = counterpart(leaf, channels if flattened else 0)
        layers.append(layer)
        weights.append(own)
    model = keras.Sequential(layers)
    for layer, own in zip(layers[1:], weights, strict=True):
        layer.set_weights(own)
    return model


def counterpart(leaf: nn.Module, channels: int) -> tuple[Any, list[np.ndarray]]:
    """Keras's layer for one of torch's, and its weights as Keras has them.

    `channels`: of the pictures that were flattened just before it, else 0.
    """
    match leaf:
        case nn.Conv2d():
            kernel, padding = int(leaf.kernel_size[0]), int(leaf.padding[0])
            assert padding in (0, kernel // 2), "only the paddings that Keras has a name for"
            named = "same" if padding else "valid"
            layer = keras.layers.Conv2D(leaf.out_channels, kernel, padding=named, use_bias=leaf.bias is not None)
            return layer, _arrays(leaf.weight.permute(2, 3, 1, 0), leaf.bias)
        case nn.Linear():
            weight_OI = leaf.weight
            if channels:
                side = math.isqrt(leaf.in_features // channels)
                weight_OI = weight_OI.reshape(-1, channels, side, side).permute(0, 2, 3, 1).flatten(1)
            return keras.layers.Dense(leaf.out_features, use_bias=leaf.bias is not None), _arrays(
                weight_OI.T, leaf.bias
            )
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            axis = 1 if keras.config.image_data_format() == "channels_first" else -1
            assert leaf.momentum is not None
            # Keras's momentum weights the old average, PyTorch's the new batch.
            layer = keras.layers.BatchNormalization(axis=axis, momentum=1 - leaf.momentum, epsilon=leaf.eps)
            return layer, _arrays(leaf.weight, leaf.bias, leaf.running_mean, leaf.running_var)
        case nn.MaxPool2d():
            return keras.layers.MaxPooling2D(leaf.kernel_size, leaf.stride), []
        case nn.AvgPool2d():
            return keras.layers.AveragePooling2D(leaf.kernel_size, leaf.stride), []
        case nn.ReLU() | nn.Sigmoid():
            return keras.layers.Activation(type(leaf).__name__.lower()), []
    raise SystemExit(f"no counterpart in Keras is known here for {leaf}")


def _arrays(*tensors: Any) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors if tensor is not None]
