"""What stands first of a training: did it learn, can I trust it, what should I do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glasswork.data.splits import VALIDATION
from glasswork.errors import one_line
from glasswork.report.blocks import Answer, Command, Opening
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.numbers import measured, numbers, percent, percents

SIGNS = {"healthy": "✓", "overfitting": "▲", "underfitting": "▼", "unstable": "✕", "inconclusive": "?"}
_WIDE = 0.10  # an interval of so many points and more is said to be wide


def training_opening(report: Report, say: Phrases) -> Opening:
    """The verdict on a training, how far its score can be trusted, and the next experiment."""
    verdict = report.summary.get("verdict")
    name = verdict["name"] if verdict else "none"
    answers = (_learned(name, verdict, say), _trusted(report, say), _next(report, verdict, say))
    colour = name if name in SIGNS else "inconclusive"
    word = say(f"verdict.{name}") if name in SIGNS or not verdict else say("verdict.unknown", name=one_line(name))
    return Opening(colour, SIGNS[colour], word, answers)


def _learned(name: str, verdict: Mapping[str, Any] | None, say: Phrases) -> Answer:
    if verdict and name not in SIGNS:
        return Answer(say("question.learned"), "", "", (say("verdict.meaning.unknown", name=one_line(name)),))
    texts = [say(f"verdict.meaning.{name}")]
    if verdict:
        # The verdict's own sentence is English, and names the rule that decided.
        own = verdict["sentence"].partition(": ")[2]
        if say.language == "en":
            texts.append(own[:1].upper() + own[1:])
        else:
            texts += [text for text in (_in_numbers(verdict["evidence"], say), _because(verdict, say)) if text]
    return Answer(say("question.learned"), "", "", tuple(texts))


def _in_numbers(evidence: Mapping[str, Any], say: Phrases) -> str:
    """The errors, whichever rule decided; of a regression the R2 that belongs to them."""
    kind = "r2" if _regression(evidence) else "error"
    train, constant, validation = (_error(evidence, name) for name in ("training", "constant", "validation"))
    if evidence["validation_error"] is None:
        return say(f"verdict.only_train_{kind}", train=train, constant=constant)
    return say(f"verdict.numbers_{kind}", train=train, constant=constant, validation=validation)


def _because(verdict: Mapping[str, Any], say: Phrases) -> str:
    """What decided, where the errors do not say it already."""
    evidence = verdict["evidence"]
    words = {name: f"{value:,}" for name, value in evidence.items() if isinstance(value, int)}
    words |= {name: measured(value, 3) for name, value in evidence.items() if isinstance(value, float)}
    if "training_loss_fall" in evidence:
        words["fall"] = f"{percent(evidence['training_loss_fall'], 0)} {percents(evidence['training_loss_fall_ci95'])}"
    rivals = [name for name in ("linear", "trees") if f"{name}_error" in evidence]
    if rivals:
        best = min(rivals, key=lambda name: evidence[f"{name}_error"])
        words |= {"rival": say(f"verdict.rival.{best}"), "reached": _error(evidence, best)}
    return say.maybe(f"verdict.because.{verdict.get('rule')}").format(**words)


def _regression(evidence: Mapping[str, Any]) -> bool:
    return evidence["constant_error"] == 1.0 and "mean_error" in evidence


def _error(evidence: Mapping[str, Any], name: str) -> str:
    """An error with its interval, if it has one; of a regression the R2 that belongs to it."""
    error, ends = evidence[f"{name}_error"], evidence.get(f"{name}_error_ci95")
    if error is None:
        return "–"
    if not _regression(evidence):
        return f"{percent(error)} {percents(ends)}" if ends else percent(error)
    return f"{1 - error:.2f} [{1 - ends[1]:.2f}, {1 - ends[0]:.2f}]" if ends else f"{1 - error:.2f}"


def _trusted(report: Report, say: Phrases) -> Answer:
    """The headline score with its interval, and how often its part was looked at."""
    summary = report.summary
    question = say("question.trust")
    score = summary.get("test") or summary.get("validation")
    if not score:
        unscored = say("trust.no_data") if report.kind == "model" else _unseen(summary, say)
        return Answer(question, "", "", (unscored,))
    part = say(f"part.{score['part']}")
    texts = [_said_of(score, part, say)]
    if summary.get("test"):
        looks = score.get("looks")
        texts.append(say("trust.look_first") if looks in (None, 1) else say("trust.look_again", looks=looks))
    else:
        if score["part"] == VALIDATION and report.validation_chose:
            texts.append(say("trust.chose"))
        texts.append(_unseen(summary, say))
    seen = (summary.get("weights") or {}).get("seen_in_test")
    if seen:
        texts.append(say("trust.seen_in_test", count=seen))
    texts.append(say("trust.seeds"))
    if "accuracy" in score:
        return Answer(question, percent(score["accuracy"]), percents(score["accuracy_ci95"]), tuple(texts))
    return Answer(question, f"RMSE {measured(score['rmse'], 3)}", numbers(score["rmse_ci95"]), tuple(texts))


def _unseen(summary: Mapping[str, Any], say: Phrases) -> str:
    """Of a test part without a score here: whether others have looked at it."""
    looks = summary.get("looks")
    return say("trust.seen_elsewhere", looks=looks) if looks else say("trust.no_test")


def _said_of(score: Mapping[str, Any], part: str, say: Phrases) -> str:
    n = f"{score['n']:,}"
    if "accuracy" in score:
        low, high = score["accuracy_ci95"]
        text = say("trust.accuracy", low=f"{100 * low:.1f}", high=f"{100 * high:.1f}", n=n, part=part)
        if high - low >= _WIDE:
            text += say("page.between") + say("trust.wide", width=f"{100 * (high - low):.0f}", part=part)
        return text
    if score["rmse_ci95"] is None:
        return say("trust.few", n=n, part=part)
    low, high = score["rmse_ci95"]
    return say("trust.number", low=measured(low, 3), high=measured(high, 3), n=n, part=part)


def _next(report: Report, verdict: Mapping[str, Any] | None, say: Phrases) -> Answer:
    question = say("question.next")
    if not verdict:
        command = Command(say("next.command"), report.repeat) if report.repeat else None
        return Answer(question, "", "", (say("next.explain"),) if command else (say("next.nothing"),), command)
    advice = say.maybe(f"next.{verdict['remedy']}")  # of a newer version, perhaps, or edited
    if verdict["next"] is None:
        return Answer(question, "", "", tuple(filter(None, (advice, say("next.nothing")))))
    command = Command(say("next.command"), verdict["next"])
    return Answer(question, "", "", tuple(filter(None, (advice,))), command)
