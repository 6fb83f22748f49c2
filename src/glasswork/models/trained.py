"""A model: a trained network with its preprocessing and class names; all that prediction needs, in one file."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.data.examples import Examples, Part
from glasswork.data.images import Progress
from glasswork.data.inputs import Inputs
from glasswork.data.looks import record_look
from glasswork.data.prepare import AnyPreprocessing, preprocessing_from_dict
from glasswork.data.quantity import Quantity
from glasswork.errors import DataError, FileError, one_line
from glasswork.models.evaluate import Evaluation, choose_batch_size, compute_logits, evaluate_logits
from glasswork.models.file import Contents, read_tensors, tensors_as_bytes, tensors_from_bytes, write_tensors
from glasswork.models.ready import ReadyNetwork
from glasswork.models.regression import RegressionEvaluation, evaluate_numbers
from glasswork.networks.catalogue import build, parameters
from glasswork.networks.options import NetworkOptions
from glasswork.settings import made

AnyEvaluation = Evaluation | RegressionEvaluation


@dataclass(frozen=True, eq=False)
class Predictions:
    """Which class each input is: one entry each, in the order given.

    `sources`: file names, rows, or `input[0]`, `input[1]`, ... `probabilities`: float32 `(n, K)`, the softmax of
    the logits, in the order of `class_names`.
    """

    sources: tuple[str, ...]
    class_names: tuple[str, ...]
    probabilities: np.ndarray
    broken: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The most probable class of each input."""
        return tuple(self.class_names[label] for label in self.probabilities.argmax(axis=1))


@dataclass(frozen=True, eq=False)
class NumberPredictions:
    """The number predicted for each input, in the order given.

    `sources`: rows or file names. `name`: of the number. `values`: float64 `(n,)`, in the unit of the target.
    """

    sources: tuple[str, ...]
    name: str
    values: np.ndarray
    broken: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network.

    `network`: the plain module, images or rows in, logits out. `class_names`: in the order of the logits; empty where
    `quantity` says which number is predicted instead. `options`: how to build the network again; `None` for a module of
    the user's own. `config`: the resolved configuration of the run. `provenance`: the data and training it came from.
    """

    network: nn.Module
    preprocessing: AnyPreprocessing
    class_names: tuple[str, ...]
    options: NetworkOptions | None = None
    quantity: Quantity | None = None
    auxiliary_heads: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    _ready: ReadyNetwork = field(default_factory=ReadyNetwork, init=False, repr=False)

    @property
    def parameters(self) -> int:
        """How many numbers were learned; shared ones count once."""
        return parameters(self.network)

    def predict(
        self, inputs: Inputs, batch_size: int | None = None, skip_broken: bool = False, progress: Progress | None = None
    ) -> Predictions | NumberPredictions:
        """Which class is each input, and how probable is each class? Or: which number belongs to each?

        `inputs` of a model of pictures: a path or several (of pictures, or folders of them), a PIL image or several, an
        array: `(H, W)`, `(H, W, C)`, `(C, H, W)`, `(N, H, W)`, `(N, C, H, W)` or `(N, H, W, C)`, uint8 or float in
        [0, 1]. Of a model of tables: a CSV or Parquet file or several, a DataFrame, or an array `(N, F)`; columns are
        found by name. Prepared exactly as in training. Raises `BrokenFilesError` naming every file that cannot be
        read, unless `skip_broken`. Files are decoded while the network works on those before them, and memory does not
        grow with their number but for the answers.
        """
        network, logits = self._to_compute_with(), list[torch.Tensor]()

        def take(values: np.ndarray) -> None:
            everything = torch.arange(len(values))
            logits.append(
                compute_logits(network, torch.from_numpy(values), everything, self.preprocessing, len(values))
            )

        batch_size = choose_batch_size(self.preprocessing.shape, batch_size)
        given = self.preprocessing.feed(inputs, take, batch_size, skip_broken, progress)
        logits_NK = torch.cat(logits)
        if self.quantity is not None:
            return NumberPredictions(given.sources, self.quantity.name, self.numbers(logits_NK), given.broken)
        probabilities = torch.softmax(logits_NK.cpu().double(), dim=1).float().numpy()
        return Predictions(given.sources, self.class_names, probabilities, given.broken)

    def evaluate(
        self, examples: Examples | Part, batch_size: int | None = None, progress: Progress | None = None
    ) -> AnyEvaluation:
        """How good is the model on these examples? Looking at a test part is counted.

        Of `Examples` the test part is scored, or all of them where there is none. Raises `DataError` if an example
        has a class the model does not know, or a number for a target where the model names classes.
        """
        if not isinstance(examples, Examples | Part):
            raise DataError(f"evaluate takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
        if isinstance(examples, Examples):
            examples = examples.test if len(examples.test) else examples.part("all")
        part = examples
        if not len(part):
            raise DataError(f"the {part.name} part of {part.examples.name} has no examples; choose another part")
        self._refuse_other_task(part.examples)
        # Of numbers it would be their logarithms, and a 0 that has none can be scored nevertheless.
        targets_N = self.targets(part.examples) if self.quantity is None else None
        ready = self.preprocessing.ready(part.examples, progress)
        part = part.within(ready.examples)
        indices = torch.from_numpy(part.indices)
        logits_NK = self.logits(ready.values, indices, batch_size)
        looks = self._count_look(part)
        if self.quantity is not None:
            return evaluate_numbers(
                self.numbers(logits_NK), part.targets, self.quantity.name, part.name, looks, part.groups
            )
        assert targets_N is not None
        return evaluate_logits(logits_NK, targets_N[indices].to(logits_NK.device), self.class_names, part.name, looks)

    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file, with a digest by which damage is noticed.

        The file is complete or absent: it is written under a temporary name and renamed.
        """
        write_tensors(path, self.network.state_dict(), self._about(), kind="model")

    def as_bytes(self) -> bytes:
        """The bytes of the file that `save` writes; `model_from_bytes` is the inverse."""
        return tensors_as_bytes(self.network.state_dict(), self._about(), kind="model")

    def to(self, device: str | torch.device) -> Model:
        """The same model with its network on another device; the module itself moves, as in PyTorch."""
        return replace(self, network=self.network.to(device))

    def _about(self) -> dict[str, Any]:
        """All but the weights, as JSON has it."""
        return {
            "network": asdict(self.options) if self.options else None,
            "module": f"{type(self.network).__module__}.{type(self.network).__qualname__}",
            "auxiliary_heads": self.auxiliary_heads,
            "preprocessing": self.preprocessing.as_dict(),
            "class_names": list(self.class_names),
            "quantity": self.quantity.as_dict() if self.quantity else None,
            "config": dict(self.config),
            "provenance": dict(self.provenance),
            "versions": versions(),
        }

    def numbers(self, outputs_N1: torch.Tensor) -> np.ndarray:
        """The network's outputs in the unit of the target, float64 `(N,)`."""
        assert self.quantity is not None
        return self.quantity.restored(outputs_N1.squeeze(1).cpu().numpy())

    def _refuse_other_task(self, examples: Examples) -> None:
        if (self.quantity is not None) != (examples.task == "regression"):
            own, theirs = ("numbers", "classes") if self.quantity is not None else ("classes", "numbers")
            raise DataError(
                f"the model predicts {own}, and the targets of {one_line(examples.name)} are {theirs}; "
                f"give examples whose targets are {own}"
            )

    def logits(self, values: np.ndarray, indices: torch.Tensor, batch_size: int | None = None) -> torch.Tensor:
        """Logits `(n, K)` of inputs that the preprocessing has made ready, `(N, ...)`, at these indices.

        Of our own networks by the copy that `for_inference` makes of them, of a user's as it is.
        """
        return compute_logits(
            self._to_compute_with(), torch.from_numpy(values), indices, self.preprocessing, batch_size
        )

    def _to_compute_with(self) -> nn.Module:
        return self._ready.of(self.network) if self.options is not None else self.network

    def targets(self, examples: Examples) -> torch.Tensor:
        """The targets of all examples, as the network's objective takes them.

        int64 `(N,)`, as the model numbers its classes; or float32, the number as the network sees it.

        Raises `DataError` if an example has a class the model does not know.
        """
        if self.quantity is not None:
            return torch.from_numpy(self.quantity.standardised(examples.targets).astype(np.float32))
        known = {name: label for label, name in enumerate(self.class_names)}
        unknown = [name for name in examples.class_names if name not in known]
        if unknown:
            raise DataError(
                f"{examples.name} has the class {', '.join(repr(one_line(name)) for name in unknown)}, which the model "
                f"does not know; it knows {', '.join(one_line(name) for name in self.class_names)}"
            )
        return torch.tensor([known[name] for name in examples.class_names])[torch.from_numpy(examples.targets)]

    def _count_look(self, part: Part) -> int | None:
        """Scoring examples of a test part is a look at it, whatever they were asked for as."""
        test = part.examples.test
        if part.fingerprint == self.provenance.get("test_fingerprint"):
            seen = part.fingerprint  # perhaps the folder of the test part, given by itself
        elif np.isin(part.indices, test.indices).any():
            seen = test.fingerprint
        else:
            return None
        return record_look(seen, len(part), str(self.provenance.get("run", "python")))


def load_model(path: str | Path, network: nn.Module | None = None, unverified: bool = False) -> Model:
    """The model saved at `path`, on the CPU, ready to predict.

    `network`: the module to put the weights into; needed where the model's network was the user's own. `unverified`:
    load a file without digest. Raises `FileError` if the file is damaged or holds something else.
    """
    return _described(read_tensors(path, unverified=unverified, kind="model"), one_line(path), network)


def model_from_bytes(content: bytes) -> Model:
    """The model whose `as_bytes` these are, on the CPU. Raises `FileError` if they are damaged or hold another thing.

    A network of the user's own cannot be built from them.
    """
    return _described(tensors_from_bytes(content, kind="model"), "the model in memory", None)


def _described(contents: Contents, name: str, network: nn.Module | None) -> Model:
    """The model that a file, of this name in messages, describes."""
    about = contents.about
    try:
        preprocessing = preprocessing_from_dict(about["preprocessing"])
        quantity = Quantity.from_dict(about["quantity"]) if about.get("quantity") else None
        class_names, auxiliary_heads = tuple(about["class_names"]), bool(about["auxiliary_heads"])
        options = made(NetworkOptions, about["network"]) if about["network"] else None
        config, provenance = about["config"], about["provenance"]
    except (KeyError, TypeError) as error:
        raise FileError(f"{name} does not describe a model ({error} is missing or unfit); save it again") from None
    if network is None:
        if options is None:
            raise FileError(
                f"{name} holds a network of the kind {about['module']}, which only your own code can build; "
                "pass it: load(path, network=module)"
            )
        network = _rebuild(options, preprocessing, len(class_names) or 1, auxiliary_heads)
    try:
        network.load_state_dict(dict(contents.tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise FileError(f"the weights in {name} do not fit the network: {reason}") from None
    return Model(network.eval(), preprocessing, class_names, options, quantity, auxiliary_heads, config, provenance)


def versions() -> dict[str, str]:
    """What a result was computed with."""
    return {
        "glasswork": version("glasswork"),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _rebuild(
    options: NetworkOptions, preprocessing: AnyPreprocessing, outputs: int, auxiliary_heads: bool
) -> nn.Module:
    channels, height, width = preprocessing.shape
    return build(
        options,
        channels=channels,
        classes=outputs,
        image_size=(height, width),
        generator=seeds.torch_stream(0, "initialise"),  # overwritten by the saved weights
        auxiliary_heads=auxiliary_heads,
    )
