"""Provenance of a bundle as an in-toto statement over its files, in the words of SLSA. Unsigned: it says what was made, not who vouches for it.

Written into every bundle as `provenance.json` by bundle. Source: in-toto Attestation Framework, Statement v1; SLSA Provenance v1 (slsa.dev/spec).
"""

from collections.abc import Sequence
from datetime import datetime

from noria.domain.bundle import Environment, FileEntry
from noria.domain.ids import RunId
from noria.wire.canonical import canonical

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"


def statement(
    files: Sequence[FileEntry],
    *,
    model: str,
    run_id: RunId,
    flavor: str,
    environment: Environment,
    created_at: datetime,
) -> bytes:
    """The statement as JSON, the same bytes for the same content. Subjects are the files by SHA-256, materials the exact distributions."""
    finished = created_at.isoformat().replace("+00:00", "Z")
    document = {
        "_type": STATEMENT,
        "subject": [{"name": entry.path, "digest": {"sha256": entry.sha256}} for entry in files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:noria:bundle:1",
                "externalParameters": {"model": model, "run": run_id, "flavor": flavor},
                "resolvedDependencies": [
                    {"uri": f"pkg:pypi/{name}@{version}", "name": name}
                    for name, version in sorted(environment.packages.items())
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "urn:noria:packaging",
                    "version": {"python": environment.python, "platform": environment.platform},
                },
                "metadata": {"invocationId": run_id, "finishedOn": finished},
            },
        },
    }
    return canonical(document)
