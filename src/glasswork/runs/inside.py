"""Everything that is looked at for the page of a model: what is inside, and where it fails.

What takes work is bounded by it, so that a page of a large network takes seconds and not hours: fewer examples are
looked at, or, where too few would be left to say anything, none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from glasswork.data.examples import Examples, Part
from glasswork.data.folds import HELD_OUT
from glasswork.data.preprocess import Preprocessing, choose_frame
from glasswork.data.table import Table
from glasswork.errors import NetworkError
from glasswork.insight.anatomy import anatomy
from glasswork.insight.attribution import Attributions, attributions
from glasswork.insight.invariance import MOST_EXAMPLES, Invariance, invariance
from glasswork.insight.maps import FeatureMaps, FirstFilters, feature_maps, first_filters
from glasswork.insight.mistakes import MOST as MOST_MISTAKES
from glasswork.insight.mistakes import Mistakes, mistakes, mistakes_of
from glasswork.insight.receptive_field import ReceptiveFieldMap, measure_receptive_field
from glasswork.insight.residuals import Residuals, residuals_of
from glasswork.insight.side_by_side import CLASSICS, SideBySide, one_against_several, side_by_side
from glasswork.insight.signals import signals
from glasswork.insight.signals_depth import DepthStudy, signals_through_depth
from glasswork.insight.signals_history import SignalHistory
from glasswork.insight.signals_pull import SAMPLE, Pulls, hardest_pulls
from glasswork.insight.suspects import Suspects, suspects
from glasswork.models.evaluate import evaluate_logits
from glasswork.models.predicted import Predicted
from glasswork.models.regression import evaluate_numbers
from glasswork.models.trained import Model
from glasswork.networks.anatomy import Anatomy
from glasswork.networks.catalogue import style_of
from glasswork.networks.options import Activation, Initialisation
from glasswork.report.records import Inside
from glasswork.selection.cross_validation import CrossValidation, eligible
from glasswork.training.plan import carried_out, choose_plan

_SMALL = 1e7  # multiply-adds of an example; LeNet has a twentieth
WORK = 1e11  # multiply-adds spent on each kind of look: a few seconds on two cores
_CHANGES, _PER_GRADIENT = 15, 3  # forward passes of an example for invariance; work of a gradient over a forward pass
_GRADIENTS = 2e8  # numbers of single examples' gradients
_LEAST_CHANGED, _LEAST_PULLED = 50, 50  # examples, below which it is left out
_MAP_LAYERS, _ATTRIBUTED = 8, 6
_PASSES = 700  # of one picture for three attributions and their check: 6 networks, 32 steps there and back
_MOST_INPUTS = 16  # pictures whose gradients the receptive field is the mean of


def look_inside(model: Model, examples: Examples, values: np.ndarray, watched: SignalHistory | None = None) -> Inside:
    """What there is to see in this model, with the examples it was trained on.

    `values`: the inputs as the preprocessing has made them ready, in the order of `examples`. Mistakes and invariance
    are of the validation part: no further look is taken at the test part. `watched`: the looks at its training.
    """
    bare = look_at_network(model, watched)
    made_of, picture = bare.anatomy, isinstance(model.preprocessing, Preprocessing)
    assert made_of is not None
    validation, classes = examples.validation, model.quantity is None
    shown = validation if len(validation) else examples.train
    with _threads_for(made_of):
        failed = mistakes(model, validation) if len(validation) else None
        pulls = _pulls(model, examples, made_of)
        return replace(
            bare,
            receptive=_receptive(model, values, examples, made_of) if picture else None,
            now=signals(model, examples) if watched is None and len(examples.train) > 1 else None,
            pulls=pulls,
            mistakes=failed if isinstance(failed, Mistakes) else None,
            residuals=failed if isinstance(failed, Residuals) else None,
            invariance=_invariance(model, validation, made_of) if picture and classes and len(validation) else None,
            maps=_maps(model, shown) if picture and len(shown) else None,
            attributions=_attributions(model, shown, made_of) if picture and len(shown) else None,
            pictures=_pictures(values, failed, pulls) if picture else {},
        )


def look_at_network(model: Model, watched: SignalHistory | None = None) -> Inside:
    """What there is to see without any examples."""
    made_of = anatomy(model)
    picture = isinstance(model.preprocessing, Preprocessing)
    with _threads_for(made_of):
        return Inside(
            anatomy=made_of,
            classics=_classics() if picture else None,
            stacks=_stacks() if picture else (),
            watched=watched,
            depth=_depth(model),
            filters=_filters(model) if picture else None,
        )


def look_at_anatomy(made_of: Anatomy) -> Inside:
    """What there is to see of a network without weights, beside the classic ones."""
    return Inside(anatomy=made_of, classics=_classics(), stacks=_stacks())


def look_at_folds(found: CrossValidation) -> Inside:
    """Where out-of-fold predictions fail, the mean over repeats, and which labels look wrong to them."""
    examples = found.examples
    held = np.flatnonzero((found.fold_numbers >= 0).all(axis=0))
    part, outputs = Part(examples, HELD_OUT, held), found.outputs[:, held].mean(axis=0)
    if examples.task == "regression":
        scores = evaluate_numbers(outputs, part.targets, examples.target_name, HELD_OUT, groups=part.groups)
        return Inside(residuals=residuals_of(Predicted(part, scores, (), part.targets, outputs), MOST_MISTAKES))
    logits = torch.log(torch.from_numpy(outputs).clamp(min=np.finfo(np.float64).tiny))
    scores = evaluate_logits(logits, torch.from_numpy(part.targets), examples.class_names, HELD_OUT)
    failed = mistakes_of(Predicted(part, scores, examples.class_names, part.targets, outputs))
    suspected = suspects(found)
    return Inside(mistakes=failed, suspects=suspected, pictures=_of_examples(found, failed, suspected))


def _of_examples(found: CrossValidation, failed: Mistakes, suspected: Suspects) -> Mapping[int, np.ndarray]:
    """The pictures that are named; none of a table."""
    examples = found.examples
    if isinstance(examples.inputs, Table):
        return {}
    frame = choose_frame(examples.images, eligible(examples).indices, found.settings.framing)
    pixels = examples.framed(frame).pixels
    indices = [one.index for one in failed.worst] + [one.index for one in suspected.ranked]
    return {index: np.asarray(pixels[index]) for index in indices}


@contextmanager
def _threads_for(made_of: Anatomy) -> Iterator[None]:
    """Inside, a small network is looked at with one thread: more would only wait for one another."""
    plan = choose_plan()
    with carried_out(replace(plan, threads=1 if made_of.multiply_adds < _SMALL else plan.threads)):
        yield


def _classics() -> SideBySide:
    return side_by_side([anatomy(name, form="textbook") for name in CLASSICS])


def _stacks() -> tuple[SideBySide, ...]:
    return one_against_several(5), one_against_several(7)


def _filters(model: Model) -> FirstFilters | None:
    try:
        return first_filters(model)
    except NetworkError:  # of a network that begins in another way there are none to be shown
        return None


def _maps(model: Model, part: Part) -> FeatureMaps | None:
    try:
        return feature_maps(model, part, most=1, layers=_MAP_LAYERS)
    except NetworkError:  # all of it is flat
        return None


def _attributions(model: Model, part: Part, made_of: Anatomy) -> Attributions | None:
    """With as many pictures as the work allows: each takes hundreds of passes, most of them for the check."""
    most = int(min(_ATTRIBUTED, WORK / (_PASSES * max(made_of.multiply_adds, 1))))
    if not most:
        return None
    try:
        return attributions(model, part, most=most)
    except NetworkError:  # a module of the user's own, through which no gradients can be taken
        return None


def _receptive(model: Model, values: np.ndarray, examples: Examples, made_of: Anatomy) -> ReceptiveFieldMap | None:
    """Of training pictures, since it is on them that the network looks where it looks."""
    if made_of.receptive_field is None or model.options is None or not len(examples.train):
        return None
    count = int(np.clip(WORK / 10 / (_PER_GRADIENT * max(made_of.multiply_adds, 1)), 1, _MOST_INPUTS))
    chosen = torch.from_numpy(values[examples.train.indices[:count]])
    network = model.network
    return measure_receptive_field(network, model.preprocessing.shape, inputs=model.preprocessing.standardise(chosen))


def _invariance(model: Model, part: Part, made_of: Anatomy) -> Invariance | None:
    most = int(min(MOST_EXAMPLES, WORK / (_CHANGES * max(made_of.multiply_adds, 1))))
    return invariance(model, part, most=most) if most >= _LEAST_CHANGED else None


def _pulls(model: Model, examples: Examples, made_of: Anatomy) -> Pulls | None:
    """Every example has a gradient of its own, as large as the network."""
    work = WORK / (_PER_GRADIENT * max(made_of.multiply_adds, 1))
    sample = int(min(SAMPLE, work, _GRADIENTS / max(made_of.parameters, 1)))
    if sample < _LEAST_PULLED or not len(examples.train):
        return None
    try:
        return hardest_pulls(model, examples, sample=sample)
    except NetworkError:  # a module of the user's own, in which single examples cannot be told apart
        return None


def _depth(model: Model) -> DepthStudy | None:
    """The own pair beside those of the textbooks; `None` of a network without hidden layers, or of the user."""
    if model.options is None or model.options.network == "linear":
        return None
    style = style_of(model.options)
    functions: dict[Activation, None] = dict.fromkeys([style.activation, "sigmoid", "relu"])
    schemes: dict[Initialisation, None] = dict.fromkeys([style.initialise, "xavier_uniform"])
    with carried_out(replace(choose_plan(), threads=1)):  # its layers are small, whatever the network's are
        return signals_through_depth(activations=tuple(functions), initialisations=tuple(schemes))


def _pictures(values: np.ndarray, failed: Mistakes | Residuals | None, pulls: Pulls | None) -> Mapping[int, np.ndarray]:
    indices = [one.index for one in failed.worst] if isinstance(failed, Mistakes) else []
    indices += [pull.index for pull in pulls.top] if pulls is not None else []
    return {index: np.asarray(values[index]) for index in indices}
