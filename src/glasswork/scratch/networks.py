"""The classic networks, from the pieces beside this file and nothing else. Each takes the size of its input in plain
numbers and how weights begin, and returns a layer that makes logits `(N, K)` out of images `(N, C, H, W)`.

    linear      one linear layer: linear regression, softmax regression     Goodfellow et al. 2016, sections 5.1, 6.2
    mlp         linear layers with an activation between them               Goodfellow et al. 2016, chapter 6
    lenet       conv 5x5, pool, conv 5x5, pool, 120, 84, K                  LeCun et al. 1998, as in D2L, section 7.6
    alexnet     deeper and wider: 11x11 to 3x3, ReLU, dropout               Krizhevsky 2014 (one tower)
    vgg         blocks of 3x3 convolutions and a pooling                    Simonyan & Zisserman 2015, table 1
    googlenet   blocks of four branches: 1x1, 3x3, 5x5, pooling             Szegedy et al. 2015, table 1

From LeNet to AlexNet: ten times the layers' width, ReLU for sigmoid, max for average pooling, dropout. From VGG to
GoogLeNet: several scales side by side in place of one after another, 1x1 convolutions that make channels few before the
large kernels, and an average over all positions in place of large linear layers: a twentieth of the parameters.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from glasswork.scratch.activations import relu, sigmoid
from glasswork.scratch.initialise import Initialise
from glasswork.scratch.layers import BatchNorm, Branches, Chain, Conv, Dropout, Layer, Linear, flatten
from glasswork.scratch.norm import local_response_norm
from glasswork.scratch.pool import average_pool, global_average, max_pool
from glasswork.scratch.tape import Value
from glasswork.scratch.window import output_size, same_padding

Function = Callable[[Value], Value]


def linear(inputs: int, outputs: int, initialise: Initialise) -> Chain:
    """Linear regression with one output, softmax regression with one logit per class."""
    return Chain(flatten, Linear(inputs, outputs, initialise))


def mlp(
    inputs: int, hidden: list[int], outputs: int, initialise: Initialise, activation: Function = relu,
    batch_norm: bool = False, p: float = 0.0, tied: int = 0,
) -> Chain:  # fmt: skip
    """Hidden layers of these widths: linear, batch norm if asked for, activation, dropout.

    `tied`: so many more hidden layers follow that all share the weights of one.
    """
    widths = [inputs, *hidden]
    linears = [Linear(*pair, initialise, bias=not batch_norm) for pair in pairwise(widths)]
    linears += [Linear(widths[-1], widths[-1], initialise, bias=not batch_norm)] * tied
    blocks = [Chain(layer, *_norm(layer, batch_norm), activation, Dropout(p)) for layer in linears]
    return Chain(flatten, *blocks, Linear(widths[-1], outputs, initialise))


def lenet(
    channels: int, size: int, classes: int, initialise: Initialise, activation: Function = sigmoid,
    pool: Callable[..., Value] = average_pool, batch_norm: bool = False,
) -> Chain:  # fmt: skip
    """61,706 parameters for 28x28 grey images and ten classes: 156 + 2,416 + 48,120 + 10,164 + 850."""
    side = output_size(output_size(output_size(size, 2, 2), 5), 2, 2)
    bias, halve = not batch_norm, partial(pool, kernel=2, stride=2)
    conv1, conv2 = Conv(channels, 6, 5, initialise, padding=2, bias=bias), Conv(6, 16, 5, initialise, bias=bias)
    fc1, fc2 = Linear(16 * side * side, 120, initialise, bias), Linear(120, 84, initialise, bias)
    return Chain(
        *(conv1, *_norm(conv1, batch_norm), activation, halve),
        *(conv2, *_norm(conv2, batch_norm), activation, halve, flatten),
        *(fc1, *_norm(fc1, batch_norm), activation, fc2, *_norm(fc2, batch_norm), activation),
        Linear(84, classes, initialise),
    )


def alexnet(channels: int, classes: int, initialise: Initialise, width: float = 1.0, p: float = 0.5) -> Chain:
    """For images of 224x224, whose features end in 6x6 positions; 61,100,840 parameters for the paper's data."""
    a, b, c, d, units = (_scaled(count, width) for count in (64, 192, 384, 256, 4096))
    pool = partial(max_pool, kernel=3, stride=2)  # windows overlap by one
    return Chain(
        *(Conv(channels, a, 11, initialise, stride=4, padding=2), relu, pool),
        *(Conv(a, b, 5, initialise, padding=2), relu, pool),
        *(Conv(b, c, 3, initialise, padding=1), relu, Conv(c, d, 3, initialise, padding=1), relu),
        *(Conv(d, d, 3, initialise, padding=1), relu, pool, flatten),
        *(Dropout(p), Linear(d * 6 * 6, units, initialise), relu),
        *(Dropout(p), Linear(units, units, initialise), relu, Linear(units, classes, initialise)),
    )


def vgg_block(convolutions: int, channels_in: int, channels_out: int, initialise: Initialise) -> Chain:
    """So many 3x3 convolutions that keep the size, then a pooling that halves it."""
    layers: list[Layer | Function] = []
    for place in range(convolutions):
        layers += [Conv(channels_out if place else channels_in, channels_out, 3, initialise, padding=1), relu]
    return Chain(*layers, partial(max_pool, kernel=2, stride=2))


def vgg(
    convolutions: list[int], channels: int, size: int, classes: int, initialise: Initialise, width: float = 1.0,
    p: float = 0.5,
) -> Chain:  # fmt: skip
    """Five blocks; VGG-11 is `[1, 1, 2, 2, 2]`, VGG-16 `[2, 2, 3, 3, 3]`: 138,357,544 parameters at 224x224."""
    counts = [channels, *(_scaled(count, width) for count in (64, 128, 256, 512, 512))]
    blocks = [vgg_block(n, *pair, initialise) for n, pair in zip(convolutions, pairwise(counts), strict=True)]
    features, units = counts[-1] * output_size(size, 32, 32) ** 2, _scaled(4096, width)
    return Chain(
        *(*blocks, flatten, Linear(features, units, initialise), relu, Dropout(p)),
        *(Linear(units, units, initialise), relu, Dropout(p), Linear(units, classes, initialise)),
    )


def inception(
    into: int, ones: int, threes: tuple[int, int], fives: tuple[int, int], pooled: int, initialise: Initialise
) -> Branches:
    """Four branches that keep the size; of a pair, the first is what a 1x1 convolution leaves to the large kernel."""

    def conv(into: int, out: int, kernel: int) -> Chain:
        return Chain(Conv(into, out, kernel, initialise, padding=same_padding(kernel)), relu)

    return Branches(
        conv(into, ones, 1),
        Chain(conv(into, threes[0], 1), conv(*threes, 3)),
        Chain(conv(into, fives[0], 1), conv(*fives, 5)),
        Chain(partial(max_pool, kernel=3, stride=1, padding=1), conv(into, pooled, 1)),
    )


INCEPTIONS = [  # table 1: rows 3a, 3b, a pooling, 4a to 4e, a pooling, 5a, 5b
    [(64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)],
    [(192, (96, 208), (16, 48), 64), (160, (112, 224), (24, 64), 64), (128, (128, 256), (24, 64), 64),
     (112, (144, 288), (32, 64), 64), (256, (160, 320), (32, 128), 128)],
    [(256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)],
]  # fmt: skip


def googlenet(channels: int, classes: int, initialise: Initialise, width: float = 1.0, p: float = 0.4) -> Chain:
    """For images of any size, without auxiliary heads; 6,998,552 parameters for the paper's data."""
    first, third = _scaled(64, width), _scaled(192, width)
    pool = partial(max_pool, kernel=3, stride=2, ceil=True)
    stages: list[Layer | Function] = []
    into = third
    for stage in INCEPTIONS:
        stages.append(pool)
        for ones, threes, fives, pooled in stage:
            ones, pooled = _scaled(ones, width), _scaled(pooled, width)
            threes, fives = ((_scaled(few, width), _scaled(many, width)) for few, many in (threes, fives))
            stages.append(inception(into, ones, threes, fives, pooled, initialise))
            into = ones + threes[1] + fives[1] + pooled
    return Chain(
        *(Conv(channels, first, 7, initialise, stride=2, padding=3), relu, pool, local_response_norm),
        *(Conv(first, first, 1, initialise), relu, Conv(first, third, 3, initialise, padding=1), relu),
        *(local_response_norm, *stages, global_average, Dropout(p), Linear(into, classes, initialise)),
    )


def _norm(layer: Linear | Conv, wanted: bool) -> list[BatchNorm]:
    """A batch norm for what leaves this layer, if it is wanted; the layer then needs no bias."""
    return [BatchNorm(len(layer.weight.data))] if wanted else []


def _scaled(count: int, width: float) -> int:
    return max(1, round(count * width))
