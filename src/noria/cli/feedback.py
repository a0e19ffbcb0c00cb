"""`noria feedback`: say what became of an answer, or was thought of it; without words, show what is known of it."""

import argparse

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.domain.ids import PredictionId
from noria.domain.prediction import Feedback, LoggedPrediction


def configure(command: argparse.ArgumentParser) -> None:
    """Which prediction, and what is said of it."""
    command.add_argument("prediction", help="the id that came with the answer (r0a1….0)")
    verdict = command.add_mutually_exclusive_group()
    verdict.add_argument(
        "--good", action="store_const", const=True, dest="good", help="the answer was right, or of use"
    )
    verdict.add_argument("--bad", action="store_const", const=False, dest="good", help="it was wrong, or of no use")
    command.add_argument(
        "--value", type=float, help="what the answer should have been; with --metric, how much of it came"
    )
    command.add_argument(
        "--metric", default="", help="a number that the business counts, which this prediction brought"
    )
    command.add_argument("--comment", default="", help="in words")
    command.add_argument("--by", default="", help="who says so; of one person's words on a prediction the newest count")


def run(options: argparse.Namespace) -> int:
    """Keep the words beside the labels, or print what was said so far."""
    with Workspace.open() as workspace:
        name = PredictionId(options.prediction)
        logged = workspace.predictions.get(name)
        deployment = logged.record.deployment
        if options.good is None and options.value is None and not options.comment:
            return _show(logged, workspace.predictions.feedback(deployment, prediction_id=name), as_object=options.json)
        word = Feedback(
            prediction_id=name,
            at=workspace.clock.now(),
            good=options.good,
            value=options.value,
            comment=options.comment,
            by=options.by,
            metric=options.metric,
        )
        receipt = workspace.predictions.add_feedback(deployment, [word])
    if options.json:
        as_json(receipt)
    else:
        instead = ", in place of what was said before" if receipt.replaced else ""
        console().print(f"✓ feedback on {name} of deployment {deployment!r} kept{instead}")
        console().print(f"next: noria feedback {name}")
    return 0


def _show(logged: LoggedPrediction, words: list[Feedback], *, as_object: bool) -> int:
    if as_object:
        as_json(
            {
                "prediction_id": logged.prediction_id,
                "deployment": logged.record.deployment,
                "label": logged.label,
                "label_at": logged.label_at,
                "label_state": logged.state,
                "feedback": words,
            }
        )
        return 0
    outputs = ", ".join(f"{name} = {values[logged.row]}" for name, values in logged.record.outputs.items())
    label = f"label {logged.label:g} ({logged.state})" if logged.label is not None else "no label yet"
    console().print(f"[bold]{logged.prediction_id}[/bold]  {outputs}  ({label})")
    if not words:
        console().print(f"nobody has said anything of it. next: noria feedback {logged.prediction_id} --good")
        return 0
    rows = [
        [
            f"{word.at:%Y-%m-%d %H:%M}",
            word.by or "–",
            {True: "good", False: "bad", None: "–"}[word.good],
            "–" if word.value is None else f"{word.value:g} {word.metric}".rstrip(),
            word.comment,
        ]
        for word in words
    ]
    table(["when", "who", "said", "value", "comment"], rows)
    return 0
