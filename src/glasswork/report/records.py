"""All that a report may show: the records of a run, put together by whoever has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from glasswork.insight.attribution import Attributions
from glasswork.insight.data_facts import DataFacts
from glasswork.insight.invariance import Invariance
from glasswork.insight.maps import FeatureMaps, FirstFilters
from glasswork.insight.mistakes import Mistakes
from glasswork.insight.receptive_field import ReceptiveFieldMap
from glasswork.insight.residuals import Residuals
from glasswork.insight.side_by_side import SideBySide
from glasswork.insight.signals_depth import DepthStudy
from glasswork.insight.signals_history import SignalHistory
from glasswork.insight.signals_pull import Pulls
from glasswork.insight.signals_record import Signals
from glasswork.insight.suspects import Suspects
from glasswork.networks.anatomy import Anatomy
from glasswork.selection.compare import Comparisons
from glasswork.selection.cross_validation import CrossValidation
from glasswork.training.watch import EpochRecord


@dataclass(frozen=True)
class SavedFile:
    """A file that a run has left. `sha256`: of its content, `""` where it was not computed."""

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Lacking:
    """Why the examples that a network learned from are not at hand.

    `reason`: `"unnamed"` where the model does not know its data. `detail`: what was the matter with reading it, in a
    sentence without its full stop. `command`: what makes the page whole; `None` where no file or folder is explained.
    """

    reason: Literal["gone", "unreadable", "changed", "unnamed"]
    data: str = ""
    detail: str = ""
    command: str | None = None


@dataclass(frozen=True, eq=False)
class Inside:
    """What was found inside a network, and where it fails; what is `None` was not looked at, or means nothing for it.

    `watched`: the looks at a training. `now`: one look at the network as it is, for a model whose training was not
    watched. `depth`: pairs of activation and initialisation through many layers. `stacks`: several small windows
    against one large. `pictures`: uint8 `(C, H, W)` by index into the examples, of those that the records name.
    """

    anatomy: Anatomy | None = None
    classics: SideBySide | None = None
    stacks: tuple[SideBySide, ...] = ()
    receptive: ReceptiveFieldMap | None = None
    watched: SignalHistory | None = None
    now: Signals | None = None
    depth: DepthStudy | None = None
    pulls: Pulls | None = None
    mistakes: Mistakes | None = None
    residuals: Residuals | None = None
    invariance: Invariance | None = None
    filters: FirstFilters | None = None
    maps: FeatureMaps | None = None
    attributions: Attributions | None = None
    suspects: Suspects | None = None
    pictures: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class Report:
    """What a page is made from; what is `None` or empty has no place in it.

    `kind`: which command it tells of; `"model"` is a saved model without its run, `"network"` one never
    trained. `summary`: plain values, as `summary.json` holds them. `config`: every setting by name. `repeat`: the
    command that repeats the run. `next`: a command that goes on from it, where no verdict has one. `lacking`: why it
    was made without examples.
    """

    kind: Literal["train", "crossval", "compare", "model", "network"]
    summary: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    repeat: str | None = None
    next: str | None = None
    lacking: Lacking | None = None
    history: tuple[EpochRecord, ...] = ()
    data: DataFacts | None = None
    folds: CrossValidation | None = None
    comparisons: Comparisons | None = None
    files: tuple[SavedFile, ...] = ()
    inside: Inside = field(default_factory=Inside)

    @property
    def validation_chose(self) -> bool:
        """Whether the validation part decided which weights are kept; those of no epoch were decided by nobody."""
        return self.summary.get("keep") == "best" and self.summary.get("best_epoch") != 0
