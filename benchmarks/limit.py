"""How close to the machine's limit? A large matrix product on the same threads, and the multiply-adds of a training.

    uv run python -m benchmarks.limit [--size 4096] [--products 5]

Multiply-adds are counted in convolutions and linear layers alone. One training example costs each of them three times:
forward, the gradient of the weights, and the gradient of its inputs, which the first layer does not compute, since
nobody asks for the gradient of the pictures. Everything else (norms, activations, poolings, the optimiser, the data
path) counts for nothing, so that a share of the limit is what all of these leave of it. A multiply-add is two
operations.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from glasswork.networks.anatomy import anatomy_of
from glasswork.training.plan import computes_in_bfloat16

SIZE, PRODUCTS = 4096, 5
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Limit:
    """The rate of large matrix products, as a contestant that takes its turn in every round."""

    def __init__(self, size: int = SIZE, products: int = PRODUCTS, device: str = "cpu") -> None:
        self._products = products
        self._pairs = {
            name: [torch.randn(size, size).to(device, kind) for _ in "ab"]
            for name, kind in PRECISIONS.items()
            if name == "float32" or device != "cpu" or computes_in_bfloat16()  # a product would take minutes
        }

    def rates(self) -> dict[str, float]:
        """Multiply-adds per second in each precision that the device has.

        The median of several products after one that is not counted.
        """
        return {name: self._rate(*pair) for name, pair in self._pairs.items()}

    def _rate(self, left: torch.Tensor, right: torch.Tensor) -> float:
        seconds = []
        for _ in range(self._products + 1):
            start = time.perf_counter()
            torch.mm(left, right)
            if left.is_cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return len(left) ** 3 / statistics.median(seconds[1:])


def training_multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Of one example of this shape: forward and backward.

    >>> from glasswork.networks.catalogue import skeleton
    >>> from glasswork.networks.options import NetworkOptions
    >>> options = NetworkOptions(network="lenet", form="textbook")
    >>> lenet = skeleton(options, channels=1, classes=10, image_size=(28, 28))
    >>> training_multiply_adds(lenet, (1, 28, 28))  # 3 * 416,520 less the first layer's 6 * 25 * 28 * 28
    1131960
    """
    layers = anatomy_of(network, shape).layers
    counted = [layer.multiply_adds for layer in layers if layer.multiply_adds]
    return 3 * sum(counted) - counted[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--products", type=int, default=PRODUCTS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{options.size}^3 multiply-adds on {where}, median of {options.products}:")
    for name, rate in Limit(options.size, options.products, options.device).rates().items():
        print(f"{name}: {rate / 1e9:,.1f} G multiply-adds/s, {2 * rate / 1e12:.3f} TFLOP/s")


if __name__ == "__main__":
    main()
