"""LeNet on MNIST: Glasswork, the plain loop and the peer libraries in turn, and the machine's limit.

    uv run --group bench python -m benchmarks MNIST_FOLDER [--rounds 5] [--epochs 2] [--forms textbook modern]
    uv run --group bench python -m benchmarks MNIST_FOLDER --end-to-end 10

All train the same network from the same initial weights (checked: the first logits agree) on the same 60,000 digits
with the same batch size, optimiser and constant learning rate: textbook by plain gradient descent at 0.9, modern by
AdamW at 0.01. Timed are whole epochs after a first one, data path included, evaluation left out. In each round everyone
runs once, in a process of its own while the others wait, each round another one first; reported are ratios within a
round.

- plain loop: a DataLoader over ToTensor per picture, loss and accuracy read at each step, with 0, 1, 2 and 4 workers;
- Keras (torch), Keras (JAX): `fit` on one array; skorch: `NeuralNetClassifier` on tensors; fastai: `Learner` on
  tensors. All of these have their pictures as standardised float32 already, which is not timed;
- Glasswork by `--plan`, else by the plan that a trial of this race finds; from the bytes as they were read; it trains
  anew in every round. Plans in bfloat16 compute in a precision that the others do not use;
- the limit: multiply-adds per second of products of two 4096 x 4096 matrices, see `limit.py`.

Of several ways to use one library, and of all libraries, the one with the best median counts. With `--end-to-end` whole
trainings of so many epochs are timed instead, against the plain loop alone (see `end_to_end.py`).

A line of JSON is appended to `results.jsonl` and a dated table written beside it, or both to the folder `--out`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.end_to_end import end_to_end, end_to_end_table  # pyrefly: ignore
from benchmarks.limit import SIZE  # pyrefly: ignore
from benchmarks.measuring import RESULTS, now, section, surroundings, write  # pyrefly: ignore
from benchmarks.plain_loop import WORKERS  # pyrefly: ignore
from benchmarks.plans import DEFAULT, NAMES  # pyrefly: ignore
from benchmarks.race import Entry, installed, raced  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore

PLAIN, OURS = "plain loop", "Glasswork"
OPTIMISERS: dict[str, dict[str, Any]] = {
    "textbook": {"optimiser": "sgd", "learning_rate": 0.9},
    "modern": {"optimiser": "adamw", "learning_rate": 0.01},
}
PACKAGES = ("torchvision", "keras", "jax", "skorch", "fastai", "numpy")
PLAIN_LOOPS = {
    f"{PLAIN}, {workers} workers": Entry(PLAIN, "benchmarks.peer:PlainLoop", (workers,)) for workers in WORKERS
}
LIBRARIES = {
    "Keras (torch)": Entry("Keras", "benchmarks.keras_fit:KerasFit", (), ("keras",), {"KERAS_BACKEND": "torch"}),
    "Keras (JAX)": Entry("Keras", "benchmarks.keras_fit:KerasFit", (), ("keras", "jax"), {"KERAS_BACKEND": "jax"}),
    "skorch": Entry("skorch", "benchmarks.skorch_net:SkorchNet", (), ("skorch",)),
    "fastai": Entry("fastai", "benchmarks.fastai_learner:FastaiLearner", (), ("fastai",)),
}


def warm_epochs(work: Work, form: str, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Plain values and the table of one form."""
    libraries = {name: entry for name, entry in LIBRARIES.items() if entry.library in options.libraries}
    entries = installed(
        {OURS: Entry(OURS, "benchmarks.ours:Ours", (options.plan,), begins_anew=True), **PLAIN_LOOPS, **libraries}
    )
    race = raced(work, entries, options.rounds, options.epochs, options.limit_size)
    against = {"plain loop": race.best_of(list(PLAIN_LOOPS))}
    if peers := [name for name in libraries if name in entries]:
        against["best library"] = race.best_of(peers)
    sentences = "\n".join(
        f"Glasswork is {values['ratio_median']} {values['ratio_range']} times as fast as {values['name']}."
        for values in race.as_dict([OURS], against)["over"][OURS].values()
    )
    shown = race.table(f"LeNet, {form}", against["plain loop"], "float32")
    return race.as_dict([OURS], against), f"{shown}\n{sentences}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="timed in a round, after a first one")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--forms", nargs="+", choices=tuple(OPTIMISERS), default=tuple(OPTIMISERS))
    known = sorted({entry.library for entry in LIBRARIES.values()})
    parser.add_argument("--plan", choices=NAMES, default=DEFAULT, help="of Glasswork, for warm epochs")
    parser.add_argument("--libraries", nargs="*", choices=known, default=known)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where all train; JAX finds its own")
    parser.add_argument("--examples", type=int, help="train on only the first so many, to try the script")
    parser.add_argument("--limit-size", type=int, default=SIZE, help="of the matrices of the limit")
    parser.add_argument("--end-to-end", type=int, metavar="EPOCHS", help="time whole trainings instead, which is long")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="folder for results.jsonl and the table")
    options = parser.parse_args()
    forms: dict[str, dict[str, Any]] = {}
    tables: list[str] = []
    for form in options.forms:
        work = Work(
            network="lenet", form=form, batch_size=options.batch_size, data=options.mnist, examples=options.examples,
            device=options.device, **OPTIMISERS[form],
        )  # fmt: skip
        print(f"LeNet {form}, batch {options.batch_size}: {'whole trainings' if options.end_to_end else 'warm epochs'}")
        if options.end_to_end:
            forms[form] = end_to_end(work, options.rounds, options.end_to_end)
            tables.append(end_to_end_table(form, forms[form]))
        else:
            forms[form], text = warm_epochs(work, form, options)
            tables.append(text)
    name, measured_with = "end to end" if options.end_to_end else "peers", surroundings(*PACKAGES)
    settings = {
        "n": options.rounds,
        "epochs": options.end_to_end or options.epochs,
        "plan": DEFAULT if options.end_to_end else options.plan,
        "batch_size": options.batch_size,
        "device": options.device,
        "examples": options.examples,
    }
    write({"benchmark": name, "when": now(), **settings, "forms": forms, **measured_with}, options.out / RESULTS.name)
    opening = f"LeNet on MNIST, batch {options.batch_size}, {options.rounds} rounds; median [range over the rounds]."
    text = section(name, opening, tables, measured_with)
    (options.out / f"{name.replace(' ', '-')}-{now()[:10]}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
