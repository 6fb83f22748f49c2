"""Where does it fail, and can its confidence be believed?"""

from __future__ import annotations

import numpy as np

from glasswork.insight.calibration import Calibration
from glasswork.insight.residuals import Residuals
from glasswork.models.evaluate import Evaluation
from glasswork.report.blocks import Drawing, Line
from glasswork.report.figures.style import BLUE, MUTED, ORANGE, as_svg, panel, styled
from glasswork.report.phrases import Phrases


def reliability(found: Calibration, say: Phrases) -> Drawing:
    """The share that is right against the confidence, with Wilson's intervals; on the diagonal both are the same."""
    with styled():
        figure, axes = panel(5.0, 3.8)
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
        largest = max(one.n for one in found.bins)
        for one in found.bins:
            x, interval = 100 * one.confidence, one.accuracy_ci95
            axes.plot([x, x], [100 * interval.low, 100 * interval.high], color=BLUE, linewidth=1.5)
            axes.plot(x, 100 * one.accuracy, "o", color=BLUE, markersize=3 + 5 * (one.n / largest) ** 0.5)
        axes.set(xlim=(-3, 103), ylim=(-3, 103))
        axes.set_xlabel(say("figure.reliability.confidence"))
        axes.set_title(say("figure.reliability.accuracy"))
        words = say("page.list").join(
            say(
                "figure.reliability.bin",
                confidence=f"{100 * one.confidence:.0f}",
                right=f"{100 * one.accuracy:.0f}",
                n=f"{one.n:,}",
            )
            for one in found.bins
        )
        legend = (Line(say("figure.reliability.answers"), "blue"), Line(say("figure.reliability.right"), "muted", True))
        description = say("figure.reliability.description", values=words)
        return Drawing(as_svg(figure), say("figure.reliability.title"), description, legend)


def confusion_map(evaluation: Evaluation, say: Phrases) -> Drawing:
    """Of each class, the share that was given each name; for more classes than a table can show."""
    counts = evaluation.confusion.astype(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with styled():
        figure, axes = panel(6.4, 6.0)
        colours = np.zeros((*shares.shape, 4))
        colours[..., :3] = np.array([0, 114, 178]) / 255
        colours[..., 3] = shares**0.5  # a few mistakes are to be seen beside many hits
        axes.imshow(colours, interpolation="nearest")
        axes.grid(visible=False)
        axes.set_xlabel(say("figure.confusion.predicted"))
        axes.set_ylabel(say("figure.confusion.given"))
        words = say("figure.confusion.description", classes=len(shares), right=f"{100 * evaluation.accuracy:.1f}")
        return Drawing(as_svg(figure), say("figure.confusion.title"), words)


def residual_points(found: Residuals, say: Phrases) -> Drawing:
    """Predicted minus given against predicted, with the mean of each fifth and its interval."""
    with styled():
        figure, axes = panel()
        axes.axhline(0, color=MUTED, linewidth=1)
        axes.plot(found.predicted, found.residuals, "o", color=BLUE, markersize=4, alpha=0.6, markeredgewidth=0)
        for bias in found.by_prediction:
            axes.plot([bias.low, bias.high], [bias.mean, bias.mean], color=ORANGE, linewidth=2)
            if bias.ci95 is not None:
                middle = (bias.low + bias.high) / 2
                axes.plot([middle, middle], [bias.ci95.low, bias.ci95.high], color=ORANGE, linewidth=3)
        axes.set_xlabel(say("figure.residuals.predicted"))
        axes.set_title(say("figure.residuals.axis"))
        words = say("page.list").join(
            f"{bias.low:.4g}–{bias.high:.4g} → {bias.mean:+.3g}" for bias in found.by_prediction
        )
        known = any(bias.ci95 is not None for bias in found.by_prediction)
        fifths = "figure.residuals.fifths" if known else "figure.residuals.means"
        legend = (Line(say("figure.residuals.examples"), "blue", dot=True), Line(say(fifths), "orange"))
        return Drawing(
            as_svg(figure), say("figure.residuals.title"), say("figure.residuals.description", values=words), legend
        )
