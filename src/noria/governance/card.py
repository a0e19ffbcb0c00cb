"""A model card in Markdown, written from records; what only people can say is taken from the version's tags, or shown as not stated. Pure.

The headings follow Mitchell et al. 2019, "Model Cards for Model Reporting", section 4. Called by cli/ and server/control.
"""

from collections.abc import Sequence

from noria.domain.dataset import DatasetVersion
from noria.domain.deployment import Deployment
from noria.domain.gate import GateReport
from noria.domain.interval import Interval
from noria.domain.model import Field, ModelVersion
from noria.domain.run import Run

NOT_STATED = "*not stated*"
SAID_BY_PEOPLE = {
    "intended_use": "Intended use",
    "out_of_scope": "Out of scope",
    "limitations": "Limitations",
    "ethical_considerations": "Ethical considerations",
    "contact": "Contact",
}
"""Tags of a version that a card quotes, and their headings."""


def model_card(
    version: ModelVersion,
    run: Run | None,
    dataset_versions: Sequence[DatasetVersion],
    deployments: Sequence[Deployment],
) -> str:
    """The card of one version. run: the one that made it, if known; dataset_versions: what it learnt from; of deployments its own count."""
    parts = [
        f"# {_text(version.model)} {version.version} (version {version.number})",
        version.description.strip() or f"Description: {NOT_STATED}",
        *[
            f"## {heading}\n\n{version.tags.get(tag, '').strip() or NOT_STATED}"
            for tag, heading in SAID_BY_PEOPLE.items()
        ],
        "## Origin\n\n" + _origin(version, run),
        "## Training data\n\n" + _data(dataset_versions),
        "## Parameters\n\n"
        + _table(
            ["parameter", "value"],
            [[name, repr(value)] for name, value in sorted({**(run.params if run else {}), **version.params}.items())],
        ),
        "## Metrics\n\n"
        + _table(
            ["metric", "value"],
            [
                [name, f"{value:.6g}"]
                for name, value in sorted({**(run.metrics if run else {}), **version.metrics}.items())
            ],
        ),
        "## Evaluation\n\n" + _gates(version.gates),
        "## Inputs and outputs\n\n" + _signature(version),
        "## Where it answers\n\n" + _serving(version, deployments),
    ]
    return "\n\n".join(parts) + "\n"


def _origin(version: ModelVersion, run: Run | None) -> str:
    code = run.code if run else None
    commit = (
        ""
        if code is None or code.commit is None
        else f", commit {code.commit}" + (" with uncommitted changes" if code.dirty else "")
    )
    rows = [
        ["registered", version.created_at.isoformat()],
        ["why this number", version.version_reason],
        ["run", f"{run.name} ({run.id})" if run else "registered from outside, without a run"],
        ["trained", _trained(run)],
        ["seed", "none" if run is None or run.seed is None else str(run.seed)],
        ["code", f"{code.digest}{commit}" if code else "not recorded"],
        ["environment", (run.environment if run else None) or "not recorded"],
        ["bundle", f"{version.bundle} ({version.flavor})" if version.bundle else "not packaged"],
        *([["files", version.source]] if version.source else []),
    ]
    return _table(["", ""], rows)


def _trained(run: Run | None) -> str:
    if run is None:
        return "not recorded"
    return f"{run.started_at.isoformat()} to {run.finished_at.isoformat() if run.finished_at else 'unknown'}"


def _data(versions: Sequence[DatasetVersion]) -> str:
    rows = [
        [
            f"{held.dataset} {held.number}",
            f"{held.rows:,}",
            _span(held),
            _checked(held),
            held.source or "not recorded",
            held.digest,
        ]
        for held in versions
    ]
    return _table(["dataset", "rows", "from / until", "expectations", "source", "digest"], rows)


def _span(held: DatasetVersion) -> str:
    if held.since is None or held.until is None:
        return "no time column"
    return f"{held.since.isoformat()} / {held.until.isoformat()}"


def _checked(held: DatasetVersion) -> str:
    if held.expectations is None:
        return "none checked"
    kept = sum(result.passed for result in held.expectations.results)
    quarantined = f", {held.expectations.quarantined:,} rows set aside" if held.expectations.quarantined else ""
    return f"{kept} of {len(held.expectations.results)} met{quarantined}"


def _gates(report: GateReport | None) -> str:
    if report is None or not report.results:
        return "It was not judged by any gate."
    span = f", from {report.since} to {report.until}" if report.since and report.until else ""
    rows = [
        [
            result.gate.name,
            "passed" if result.passed else "FAILED",
            _interval(result.measured),
            _interval(result.champion) if result.champion else "",
            f"{result.gate.limit:.4g}",
            result.slice_value or "all rows",
            result.evidence,
        ]
        for result in report.results
    ]
    head = f"On {report.rows:,} rows that it had not learnt from{span}. Brackets: confidence limits.\n\n"
    return head + _table(["gate", "verdict", "this version", "champion", "limit", "on", "evidence"], rows)


def _interval(interval: Interval) -> str:
    return f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}]"


def _signature(version: ModelVersion) -> str:
    if version.signature is None:
        return "Not known: the version was registered from outside and is not packaged."
    sides = [("input", version.signature.inputs), ("output", version.signature.outputs)]
    return _table(
        ["", "name", "type", "may be missing", "values"],
        [_field(side, field) for side, fields in sides for field in fields],
    )


def _field(side: str, field: Field) -> list[str]:
    known = "" if field.categories is None else f"{len(field.categories)} known"
    width = "" if field.width == 1 else f" x {field.width}"
    return [side, field.name, field.datatype + width, "yes" if field.nullable else "no", known]


def _serving(version: ModelVersion, deployments: Sequence[Deployment]) -> str:
    rows = [
        [
            deployment.name,
            variant.name,
            f"{variant.weight:.0%}",
            str(deployment.generation),
            deployment.updated_at.isoformat(),
        ]
        for deployment in deployments
        for variant in deployment.variants
        if (variant.model, variant.number) == (version.model, version.number)
    ]
    return _table(["deployment", "as", "share of traffic", "generation", "since"], rows, nothing="It answers nowhere.")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str = "None recorded.") -> str:
    if not rows:
        return nothing
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(cell: str) -> str:
    """Text that stays in its cell and cannot become markup."""
    plain = " ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return plain.replace("`", "\\`")
