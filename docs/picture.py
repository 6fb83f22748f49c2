"""The README's picture: LeNet trained on the embedded digits, seen from outside and inside.

    uv run python docs/picture.py

Everything in it is computed by the run it shows: training curves with Wilson's 95% interval, what the two convolutions
make of one digit, and the test examples it found hardest.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

import glasswork as gw
from glasswork.networks.lenet import LeNet
from glasswork.training.watch import EpochRecord

INK, BLUE, ORANGE, GREY = "#1f2933", "#1f6feb", "#d9730d", "#8a94a0"
mpl.rcParams.update(
    {
        "font.family": "sans-serif", "font.size": 10,
        "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK, "xtick.color": GREY, "ytick.color": GREY,
    }
)  # fmt: skip


def main() -> None:
    history: list[EpochRecord] = []
    examples = gw.read_examples("digits")
    model = gw.fit(
        examples,
        "lenet",
        image_size=28,  # the size LeNet was made for
        watch=[lambda record: history.append(record) if isinstance(record, EpochRecord) else None],
    )
    test = model.evaluate(examples.test)
    assert isinstance(test, gw.Evaluation)
    figure = plt.figure(figsize=(11, 4.6), layout="constrained")
    left, middle, right = np.asarray(figure.subfigures(1, 3, width_ratios=[1.15, 1, 0.85], wspace=0.05))
    draw_curves(left, history, test)
    draw_inside(middle, model, examples)
    draw_hardest(right, model, examples)
    out = Path(__file__).with_name("picture.png")
    figure.savefig(out, dpi=110, facecolor="white")
    print(f"{out}: {test}")


def draw_curves(panel: SubFigure, history: list[EpochRecord], test: gw.Evaluation) -> None:
    panel.suptitle("Did it learn, and how sure is that?", fontweight="bold", fontsize=11)
    axes = panel.subplots()
    epochs = [record.epoch for record in history]
    validation = [100 * (record.validation_accuracy or 0) for record in history]
    low = [100 * record.validation_ci95.low for record in history if record.validation_ci95]
    high = [100 * record.validation_ci95.high for record in history if record.validation_ci95]
    axes.fill_between(epochs, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(epochs, validation, color=BLUE, linewidth=2)
    axes.plot(
        epochs, [100 * (record.train_accuracy or 0) for record in history], color=GREY, linewidth=1.5, linestyle="--"
    )
    interval = test.accuracy_ci95
    last = epochs[-1] + 1.2
    accuracy = 100 * test.accuracy
    axes.errorbar(
        [last], [accuracy], [[accuracy - 100 * interval.low], [100 * interval.high - accuracy]],
        fmt="o", color=ORANGE, capsize=3,
    )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(50, 101), xlim=(0.5, last + 0.8))
    axes.text(epochs[-1] * 0.5, 78, "validation, 95% interval", color=BLUE, ha="center")
    axes.text(epochs[-1] * 0.5, 73, "training, while learning", color=GREY, ha="center")
    axes.text(
        last + 0.4, 87, f"test {accuracy:.1f}%\n{interval.percent()}\nn = {test.n}", color=ORANGE, ha="right", va="top"
    )
    axes.spines[["top", "right"]].set_visible(False)


def draw_inside(panel: SubFigure, model: gw.Model, examples: gw.Examples) -> None:
    panel.suptitle("What is inside?", fontweight="bold", fontsize=11)
    index = examples.test.indices[5]
    pixels = model.preprocessing.ready(examples).values[index : index + 1]
    image = model.preprocessing.standardise(torch.from_numpy(pixels))
    lenet = model.network
    assert isinstance(lenet, LeNet)
    with torch.no_grad():
        first = lenet.conv1(image)
        second = lenet.conv2(lenet.pool1(first))
    grid = panel.add_gridspec(3, 6, height_ratios=[2, 1, 1])
    show(panel.add_subplot(grid[0, :2]), pixels[0, 0], "input", "gray")
    predictions = model.predict(pixels)
    assert isinstance(predictions, gw.Predictions)
    probabilities = predictions.probabilities[0]
    bars = panel.add_subplot(grid[0, 3:])
    bars.barh(range(10), probabilities, color=[ORANGE if p == probabilities.max() else GREY for p in probabilities])
    bars.set(xlim=(0, 1), yticks=range(10), xticks=[0, 1], ylim=(9.6, -0.6))
    bars.tick_params(labelsize=7, length=0)
    bars.set_title("probability", fontsize=9, loc="left")
    bars.spines[["top", "right"]].set_visible(False)
    show(panel.add_subplot(grid[1, :]), side_by_side(first[0]), "after convolution 1", "viridis")
    show(panel.add_subplot(grid[2, :]), side_by_side(second[0, :6]), "after convolution 2 (6 of 16)", "viridis")


def side_by_side(maps_CHW: torch.Tensor) -> np.ndarray:
    """Each map on its own scale of brightness, with a gap after it."""
    size = maps_CHW.shape[1]
    shown = [
        np.pad(m / max(float(m.max()), 1e-9), ((0, 0), (0, size // 8)), constant_values=np.nan)
        for m in maps_CHW.numpy()
    ]
    return np.concatenate(shown, axis=1)[:, : -(size // 8)]


def draw_hardest(panel: SubFigure, model: gw.Model, examples: gw.Examples) -> None:
    panel.suptitle("Where does it fail?", fontweight="bold", fontsize=11)
    pixels = model.preprocessing.ready(examples).values[examples.test.indices]
    predictions = model.predict(pixels)
    assert isinstance(predictions, gw.Predictions)
    targets = examples.test.targets
    of_target = predictions.probabilities[np.arange(len(targets)), targets]
    for spot, n in zip(np.ravel(panel.subplots(2, 2)), np.argsort(of_target), strict=False):
        target, chosen = examples.class_names[targets[n]], predictions.classes[n]
        verdict = f"{target}, read as {chosen}" if chosen != target else f"{target}, barely"
        show(spot, pixels[n, 0], f"{verdict}\np({target}) = {of_target[n]:.2f}", "gray")
    wrong = sum(examples.class_names[t] != c for t, c in zip(targets, predictions.classes, strict=True))
    panel.supxlabel(f"the 4 hardest of {len(targets)} test digits; {wrong} misread in all", fontsize=9)


def show(spot: Axes, pixels: np.ndarray, title: str, colours: str) -> None:
    spot.imshow(pixels, cmap=colours)
    spot.set_title(title, fontsize=9, loc="left")
    spot.set_axis_off()


if __name__ == "__main__":
    main()
