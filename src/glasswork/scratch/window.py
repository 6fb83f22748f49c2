"""Window arithmetic: how large an output is, and how far it sees. Plain whole numbers.

A convolution or a pooling slides a window of k positions over an input of n, moved by the stride s, with p zeros of
padding on either side. Along each axis (Dumoulin & Visin 2016, relationship 6):

    output size          floor((n + 2p - k) / s) + 1
    "same" padding       p = (k - 1) / 2 keeps the size at stride 1:  n + 2p - k + 1 = n
    receptive field      r <- r + (k - 1) j,  then  j <- j s          layer by layer, from r = j = 1; j is how far
                                                                      neighbouring outputs lie apart in the input

*Several 3x3 against one 5x5.* Two 3x3 in a row see 5 positions a side, three see 7, with fewer weights:

>>> receptive_field([(3, 1), (3, 1)]), receptive_field([(5, 1)])
(5, 5)
>>> channels = 64
>>> 2 * weights(3, channels, channels), weights(5, channels, channels)
(73728, 102400)
"""

from collections.abc import Iterable


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, ceil: bool = False) -> int:
    """How many positions the window takes.

    With `ceil` an incomplete last window counts too, unless it begins beyond the input and its left padding.

    >>> output_size(28, kernel=5, padding=2), output_size(28, kernel=2, stride=2)
    (28, 14)
    """
    slack = size + 2 * padding - kernel
    outputs = -(-slack // stride) + 1 if ceil else slack // stride + 1
    outputs -= ceil and (outputs - 1) * stride >= size + padding
    if outputs < 1:
        raise ValueError(f"a window of {kernel} does not fit into {size} with padding {padding}; take a larger input")
    return outputs


def same_padding(kernel: int) -> int:
    """(k - 1) / 2, a whole number for odd kernels only."""
    if kernel % 2 == 0:
        raise ValueError(f'"same" padding needs an odd kernel, got {kernel}; (k - 1) / 2 is no whole number of zeros')
    return (kernel - 1) // 2


def receptive_field(windows: Iterable[tuple[int, int]]) -> int:
    """How many input positions along an axis one output depends on; `windows` are pairs (kernel, stride) in order.

    >>> receptive_field([(5, 1), (2, 2), (5, 1), (2, 2)])  # LeNet up to its second pooling
    16
    """
    field, jump = 1, 1
    for kernel, stride in windows:
        field += (kernel - 1) * jump
        jump *= stride
    return field


def weights(kernel: int, channels_in: int, channels_out: int) -> int:
    """How many weights a k x k convolution has, biases left out."""
    return kernel * kernel * channels_in * channels_out
