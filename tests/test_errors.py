"""The error tree as promised: one code each, a remedy each, drawn where it can be read, whole after a process boundary."""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import noria.errors
from noria.errors import (
    AccessRefused,
    AdapterUnknown,
    BundleCorrupt,
    DiskFull,
    GateNotPassed,
    LeakDetected,
    ModelUnknown,
    NoriaError,
    NotFound,
    StaleWrite,
    StepFailed,
)

SNAPSHOTS = Path(__file__).parent / "snapshots"
DRAWN = re.compile(r"^ {4}([│├└─ ]*)(\w+)(?: +(\*)? *(noria-\d{4}))?", re.MULTILINE)


def family(of: type[NoriaError]) -> Iterator[type[NoriaError]]:
    yield of
    for kind in of.__subclasses__():
        if kind.__module__ == "noria.errors":
            yield from family(kind)


KINDS = list(family(NoriaError))


def drawing() -> list[tuple[int, str, bool, str]]:
    """(depth, name, star, code) of each line of the tree in the module's docstring."""
    found = []
    for line in (noria.errors.__doc__ or "").splitlines():
        read = DRAWN.match(line)
        if read:
            found.append((len(read[1]) // 4, read[2], read[3] == "*", read[4] or ""))
    return found


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in KINDS]

    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"noria-\d{4}", code) for code in codes)


def test_no_error_stands_outside_the_tree() -> None:
    everywhere, waiting = [], [NoriaError]
    while waiting:
        waiting.extend(waiting.pop().__subclasses__())
        everywhere.extend(kind for kind in waiting if kind not in everywhere)

    ours = [k for k in everywhere if k.__module__.startswith("noria.") and k.__module__ != "noria.errors"]
    assert ours == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_remedy_and_a_docstring_of_its_own(kind: type[NoriaError]) -> None:
    error = kind("something happened")

    assert error.remedy.strip()
    assert f"remedy: {error.remedy}" in str(error)
    assert (kind.__doc__ or "").split(":")[0].strip().splitlines()[0].strip(), kind.__name__
    assert (kind.__doc__ or "").rstrip().endswith((".", "noria init"))
    assert "code" in vars(kind), f"{kind.__name__} borrows the code of its parent"


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    stack: list[str] = []
    drawn = {}
    for depth, name, star, code in drawing():
        del stack[depth:]
        drawn[name] = (stack[-1] if stack else "Exception", star, code)
        stack.append(name)

    assert list(drawn) == [kind.__name__ for kind in KINDS]
    for kind in KINDS:
        parent, star, code = drawn[kind.__name__]
        assert parent == kind.__mro__[1].__name__
        assert star == kind.retryable, f"the star of {kind.__name__}"
        branch = kind.code.endswith("00") or kind is NoriaError
        assert code == ("" if branch else kind.code), f"the code of {kind.__name__}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_crosses_a_process_boundary_whole(kind: type[NoriaError], protocol: int) -> None:
    error = kind("problem", cause="cause", remedy="remedy")

    back = pickle.loads(pickle.dumps(error, protocol))

    assert type(back) is kind
    assert (back.problem, back.cause, back.remedy) == ("problem", "cause", "remedy")
    assert (back.code, back.retryable, str(back)) == (error.code, error.retryable, str(error))


SAID = {
    "input": LeakDetected(
        "3 labels of deployment 'flights' were used before they were known",
        cause="the decision is made at 2013-03-01T05:00:00+00:00, and a label was known at 2013-03-02 01:12:00+00:00",
        remedy="ask the prediction log for labels with known_by",
    ),
    "not_found": NotFound.of("model", "chrun", ["churn", "flights"], remedy="noria status"),
    "not_found_known": NotFound.of("model", "zebra", ["churn", "flights"]),
    "not_found_empty": NotFound.of("model", "churn", []),
    "conflict": StaleWrite("generation 4 of 'flights' was written by somebody else"),
    "store": DiskFull("no room for 12 events", cause="[Errno 28] No space left on device"),
    "gate": GateNotPassed("the first version did not pass its gates", cause="auc 0.61 [0.58, 0.64], limit 0.70"),
    "bundle": BundleCorrupt("'model.onnx' differs from its digest"),
    "serving": ModelUnknown("nothing is deployed as 'flights'", remedy="noria status"),
    "step": StepFailed("step 'train' failed", cause="ValueError: too few rows", remedy="run the step by hand"),
    "config": AdapterUnknown(
        "no adapter 'oracle' for metadata", cause="known: memory, sqlite, remote", remedy="correct the name"
    ),
    "access": AccessRefused("a request from 'https://elsewhere.example' was refused"),
}


@pytest.mark.parametrize("name", SAID)
def test_messages_read_as_they_did(name: str) -> None:
    error = SAID[name]
    cause, remedy = str(error).splitlines()[1:-1], str(error).splitlines()[-1]

    said = "\n".join([error.headline(), *cause, remedy]) + "\n"

    assert said == (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")


def test_every_family_has_a_snapshot() -> None:
    families = {kind for kind in KINDS if NoriaError in kind.__bases__}

    assert {kind for kind in families if any(isinstance(error, kind) for error in SAID.values())} == families
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(SAID)
