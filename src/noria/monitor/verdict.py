"""Draw the verdict: which of the things found are reasons for an alarm, worst first, and how the first line reads.

What was found is judging.py, grading.py and pairing.py. Called by two_tables and watch.
"""

from collections.abc import Sequence
from datetime import datetime

from noria.domain.comparison import ColumnReport, Judged, Quality, TableFacts
from noria.domain.finding import Finding
from noria.monitor.judging import Judgement
from noria.monitor.result import Comparison
from noria.monitor.wording import names

_MOVES = frozenset({"range", "unseen", "missing"})


def conclude(
    facts: tuple[TableFacts, TableFacts],
    judgement: Judgement | None,
    *,
    findings: Sequence[Finding],
    shown: tuple[ColumnReport, ...],
    quality: Quality | None,
    notes: Sequence[str],
    budget: str,
    window: str,
) -> Comparison:
    """Everything that was found as one result. judgement: None where no column could be compared."""
    nothing = Judged(alarm=False, evidence=0.0, threshold=0.0)
    inputs = judgement.inputs if judgement else nothing
    answers = judgement.prediction if judgement else None
    verdicts = reasons_of(findings, inputs, answers, quality, shown, judgement.since if judgement else None)
    return Comparison(
        verdict="alarm" if verdicts else "fine",
        headline=_headline(verdicts, shown),
        reasons=tuple(says for _, says in verdicts),
        budget=budget,
        reference=facts[0],
        current=facts[1],
        inputs=inputs,
        prediction=answers,
        quality=quality,
        findings=tuple(sorted(findings, key=lambda f: f.severity == "info")),
        columns=shown,
        notes=tuple(notes),
        course=judgement.course if judgement else (),
        window=window,
    )


def reasons_of(
    findings: Sequence[Finding],
    inputs: Judged,
    answers: Judged | None,
    quality: Quality | None,
    shown: Sequence[ColumnReport],
    since: datetime | None,
) -> list[tuple[str, str]]:
    """Each reason for an alarm, worst first: a few words for the headline ('' where an earlier one covers it), and a sentence."""
    found: list[tuple[str, str]] = []
    if quality is not None and quality.alarm:
        found.append(("answers got worse", f"Quality: {quality.says}."))
    moved = {c.name for c in shown if c.blamed}
    broken = [f for f in findings if f.severity != "info"]
    # A column that moved out of its range is told once in the first line: as one that moved.
    about = list(dict.fromkeys(f.about for f in broken if f.kind not in _MOVES or f.about not in moved))
    which = names([a or "the table" for a in about])
    for i, each in enumerate(broken):
        short = f"{which} {'looks' if len(about) == 1 else 'look'} broken" if i == 0 and about else ""
        found.append((short, f"Data: {each.summary}."))
    began = f", since {since:%Y-%m-%d %H:%M}" if since else ""
    if answers is not None and answers.alarm:
        answer = next((c for c in shown if c.role == "prediction"), None)
        found.append(("predictions moved", f"Predictions moved{began}: {answer.says if answer else ''}."))
    if inputs.alarm:
        sides = [c for c in shown if c.role != "prediction" or answers is None]
        blamed = [c for c in sides if c.blamed] or sides[:1]
        compared = len([c for c in sides if c.role != "label"])
        said = "; ".join(f"{c.name} ({c.says})" for c in blamed[:5]) + ("; …" if len(blamed) > 5 else "")
        inputs_ = "inputs" if compared != 1 else "input"
        short = f"{names([c.name for c in blamed])} moved ({len(blamed)} of {compared} {inputs_})"
        found.append((short, f"Inputs moved{began}: {said}."))
    return found


def _headline(verdicts: Sequence[tuple[str, str]], shown: Sequence[ColumnReport]) -> str:
    if verdicts:
        return "Alarm: " + "; ".join(short for short, _ in verdicts if short)
    inputs = [c.name for c in shown if c.role == "input"] or [c.name for c in shown]
    if len(inputs) == 1:
        return f"Fine: {names(inputs)} has not moved beyond its margin"
    return f"Fine: none of {len(inputs)} inputs moved beyond their margins" if inputs else "Fine: nothing was compared"
