"""`python -m glasswork.scratch`: LeNet learns handwritten digits, by nothing but what is in this folder.

The 1,797 digits of 8x8 pixels come with scikit-learn, and the progress bar is Rich's. A fifth of the digits is held
out and looked at once, at the end; a tenth of the rest is for validation after each epoch.
"""

import math
import time

import numpy as np
from rich.progress import Progress
from sklearn.datasets import load_digits

from glasswork.scratch.activations import relu
from glasswork.scratch.folds import split
from glasswork.scratch.initialise import he
from glasswork.scratch.layers import count
from glasswork.scratch.networks import lenet
from glasswork.scratch.pool import max_pool
from glasswork.scratch.train import Hyperparameters, accuracy, train


def main() -> float:
    """Train, print, and return the accuracy on the held-out digits."""
    start, generator = time.perf_counter(), np.random.default_rng(0)
    digits, targets = (np.asarray(array) for array in load_digits(return_X_y=True))
    test, validation, training = split(targets, (0.2, 0.08), generator)
    images = np.pad(digits.reshape(-1, 1, 8, 8), ((0, 0), (0, 0), (2, 2), (2, 2)))  # 12x12, LeNet's smallest
    images = (images - images[training].mean()) / images[training].std()
    network = lenet(1, 12, 10, he(generator), relu, max_pool, batch_norm=True)
    hyperparameters = Hyperparameters(epochs=20, batch_size=64, learning_rate=0.02, weight_decay=0.01)
    print(f"LeNet with {count(network):,} parameters, trained on {len(training):,} digits by NumPy alone")
    with Progress(transient=True) as progress:
        bar = progress.add_task("training", total=hyperparameters.epochs)
        for epoch in train(network, images[training], targets[training], hyperparameters, generator):
            seen = accuracy(network, images[validation], targets[validation])
            progress.update(bar, advance=1)
            progress.console.print(
                f"epoch {epoch.number:2}/{hyperparameters.epochs}  loss {epoch.loss:.4f}  accuracy "
                f"{epoch.accuracy:6.1%}  validation {seen:6.1%} of {len(validation)}", highlight=False,
            )  # fmt: skip
    share = accuracy(network, images[test], targets[test])
    error = math.sqrt(share * (1 - share) / len(test))
    print(f"held out: {share:.1%} of {len(test)} right, standard error {error:.1%}; {time.perf_counter() - start:.0f}s")
    return share


if __name__ == "__main__":
    main()
