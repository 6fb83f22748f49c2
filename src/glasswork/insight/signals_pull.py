"""Which examples pull hardest at the weights? Those whose own gradient is longest.

The gradient of a batch is the sum of its examples' gradients, so an example whose gradient is many times longer than
the others' decides where a step goes. Hard examples are among them, and wrongly labelled ones (Paul, Ganguli &
Dziugaite 2021, "Deep learning on a data diet", section 2: the gradient norm, GraNd).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from glasswork import seeds
from glasswork.data.examples import Examples, Part
from glasswork.errors import DataError, SettingError
from glasswork.models.trained import Model
from glasswork.notebook import html_table
from glasswork.training.per_example import per_example_gradient_norms

SAMPLE = 1000
COUNT = 10


@dataclass(frozen=True)
class Pull:
    """One example. `index`: into the examples; `source`: where it came from; `target`: its class or number, as text.

    `norm`: Euclidean, of the gradient of its loss (cross-entropy, or squared error of the standardised target) with
    respect to all weights together, in evaluation mode.
    """

    index: int
    source: str
    target: str
    norm: float


@dataclass(frozen=True)
class Pulls:
    """The examples that pull hardest, hardest first.

    `part`: which part they are of; `looked_at`: of how many of its examples, drawn at random where it has more.
    `median`: the norm that half of them exceed. `share`: what part of the sum of all norms those in `top` have.
    """

    part: str
    looked_at: int
    median: float
    share: float
    top: tuple[Pull, ...]

    def __str__(self) -> str:
        hardest = ", ".join(f"{pull.source} ({pull.target}, {pull.norm:.3g})" for pull in self.top[:3])
        return (
            f"{len(self.top)} of {self.looked_at} {self.part} examples have {100 * self.share:.0f}% of the gradient "
            f"norm; median {self.median:.3g}, hardest {hardest}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        title = f"Hardest pulls among {self.looked_at} {self.part} examples; the median norm is {self.median:.3g}"
        rows: Sequence[Sequence[object]] = [[p.index, p.source, p.target, f"{p.norm:.3g}"] for p in self.top]
        return html_table(title, ["index", "source", "target", "gradient norm"], rows)


def hardest_pulls(
    model: Model, examples: Examples | Part, *, count: int = COUNT, sample: int = SAMPLE, seed: int = 0
) -> Pulls:
    """The examples whose gradients pull hardest at this model's weights.

    `examples`: of `Examples` the training part is looked at. `count`: how many are named. `sample`: how many are looked
    at, drawn without replacement by `seed` where there are more. Raises `DataError` where there are none, and
    `NetworkError` as `per_example_gradient_norms` does.
    """
    part = examples.train if isinstance(examples, Examples) else examples
    if not isinstance(part, Part):
        raise DataError(f"hardest_pulls takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
    if count < 1 or sample < 1:
        raise SettingError(f"count={count} of sample={sample} names no example; make both at least 1")
    if len(part) > sample:
        chosen = seeds.numpy_stream(seed, "pulls").choice(part.indices, sample, replace=False)
        part = Part(part.examples, part.name, np.sort(chosen))
    norms = per_example_gradient_norms(model, part)
    order = np.argsort(-norms.norms, kind="stable")[:count]
    texts = part.examples.target_texts
    top = tuple(
        Pull(int(index), part.examples.sources[index], texts[index], float(norms.norms[place]))
        for place, index in zip(order, norms.indices[order], strict=True)
    )
    total = float(norms.norms.sum())
    share = sum(pull.norm for pull in top) / total if total else 0.0
    return Pulls(part.name, len(norms.norms), float(np.median(norms.norms)), share, top)
