"""A generation of which a version cannot be loaded, a roll-back while something else loads, and models that take their process down."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from noria.app.flavors import Flavors
from noria.app.worker_loader import Loader
from noria.app.worker_marks import MEMORY_S, Marks
from noria.domain.deployment import Stop
from noria.domain.ids import Digest
from noria.errors import BundleCorrupt, NoriaError, StoreUnavailable
from noria.serving import desired, trouble
from noria.serving.live import Board
from tests.serving.worker_factory import WHEN, a_home, deployment, open_blobs, variant

pytestmark = pytest.mark.filterwarnings("ignore")


class Selective:
    """The real flavor, which fails or waits for one bundle."""

    code_free = True

    def __init__(self, digest: Digest, before: Callable[[], None]) -> None:
        self.digest, self.before, self.real = digest, before, Flavors()["onnx"]

    def load(self, folder: Path, signature: Any) -> Any:
        if folder.name == self.digest.rpartition(":")[2]:
            self.before()
        return self.real.load(folder, signature)


class Place:
    """A home with a champion that answers, and a second bundle. `before` runs when that one is loaded."""

    def __init__(self, tmp_path: Path) -> None:
        self.home, self.champion, self.other = a_home(tmp_path)
        self.blobs, self.board = open_blobs(self.home), Board()
        self.before: Callable[[], None] = lambda: None
        flavors = {"onnx": Selective(self.other, self.run_before)}
        self.loader = Loader(self.board, blobs=self.blobs, cache=self.home / "cache", flavors=flavors)  # type: ignore[dict-item]

    def run_before(self) -> None:
        self.before()

    def publish(self, generation: int, *variants: Any, name: str = "late", **more: Any) -> None:
        desired.publish(self.blobs, deployment(*variants, generation=generation, name=name, **more))

    def canary(self, generation: int = 2) -> None:
        challenger = variant(self.other, name="challenger", number=2, weight=0.25)
        self.publish(generation, variant(self.champion, weight=0.75), challenger)

    def refuse(self, error: NoriaError) -> None:
        def fail() -> None:
            raise error

        self.before = fail


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.before = lambda: None
    made.loader.stop()


def test_a_canary_that_cannot_be_loaded_leaves_its_share_to_the_champion_and_the_control_plane_is_told(
    place: Place,
) -> None:
    place.refuse(BundleCorrupt("file 'model.onnx' is damaged"))
    place.canary()

    place.loader.step()

    live = place.board.get("late")
    assert (live.generation, [s.variant.name for s in live.variants]) == (2, ["champion"])
    assert {live.at(p / 20).variant.name for p in range(20)} == {"champion"}
    assert live.chance("champion") == 1.0
    assert place.board.ready()
    (told,) = trouble.troubles_of(place.blobs, "late", generation=2, variant="challenger")
    assert (told.number, told.passing) == (2, False)
    assert "damaged" in told.error


def test_what_passes_is_tried_again_and_taken_back(place: Place) -> None:
    place.refuse(StoreUnavailable("the store is away"))
    place.canary()
    place.loader.step()
    (told,) = trouble.troubles_of(place.blobs, "late", generation=2)

    place.before = lambda: None
    place.loader.load("late")

    assert told.passing
    assert [s.variant.name for s in place.board.get("late").variants] == ["champion", "challenger"]
    assert trouble.troubles_of(place.blobs, "late") == ()


def test_a_champion_that_cannot_be_loaded_leaves_the_former_generation(place: Place) -> None:
    place.loader.step()
    place.refuse(BundleCorrupt("file 'model.onnx' is damaged"))
    place.publish(2, variant(place.other, number=2))

    place.loader.step()

    assert place.board.get("late").generation == 1
    assert place.board.error("late") is not None


def test_a_roll_back_waits_for_no_other_model_that_is_being_loaded(place: Place) -> None:
    """Both the deployment's own next version and another deployment's are still loading when it is rolled back."""
    go, began = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        assert go.wait(30)

    place.loader.step()
    place.before = wait
    place.publish(1, variant(place.other, number=2), name="other")
    place.canary(2)
    place.loader.step(patient=False)
    assert began.wait(30)

    place.publish(3, variant(place.champion))
    place.loader.step(patient=False)

    assert place.board.get("late").generation == 3
    go.set()
    place.loader.step()
    assert place.board.get("other").generation == 1
    assert place.board.get("late").generation == 3


def test_what_a_person_stopped_answers_nobody_and_goes_on_when_resumed(place: Place) -> None:
    place.loader.step()
    stop = Stop(at=WHEN, actor="ana", reason="prices are wrong", number=None)
    stopped = deployment(generation=2)
    desired.publish(
        place.blobs, type(stopped)(**{f: getattr(stopped, f) for f in stopped.__struct_fields__} | {"stopped": stop})
    )

    place.loader.step()
    was, ready = place.board.stopped("late"), place.board.ready()
    place.publish(3, variant(place.champion))
    place.loader.step()

    assert (was, ready) == ("ana: prices are wrong", True)
    assert place.board.get("late").generation == 3


def test_two_workers_in_trouble_are_both_heard_and_an_old_generation_is_forgotten(place: Place) -> None:
    def one(worker: str, generation: int, error: str) -> trouble.Trouble:
        return trouble.Trouble(
            generation=generation,
            variant="challenger",
            number=2,
            bundle=place.other,
            error=error,
            at=WHEN,
            worker=worker,
        )

    trouble.tell(place.blobs, "late", generation=2, worker="a", troubles=[one("a", 2, "no")])
    trouble.tell(place.blobs, "late", generation=2, worker="b", troubles=[one("b", 2, "no")])
    both = [t.worker for t in trouble.troubles_of(place.blobs, "late")]
    trouble.tell(place.blobs, "late", generation=2, worker="a", troubles=[])
    left = [t.worker for t in trouble.troubles_of(place.blobs, "late")]
    trouble.tell(place.blobs, "late", generation=3, worker="a", troubles=[])

    assert (both, left, trouble.troubles_of(place.blobs, "late")) == (["a", "b"], ["b"], ())


DIES = """
import os, signal, sys
from pathlib import Path
from noria.app.worker_marks import Marks
marks, digest = Marks(Path(sys.argv[1])), sys.argv[3]
class Deadly:
    def predict(self, columns):
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "loading":
    with marks.loading(digest):
        os.kill(os.getpid(), signal.SIGKILL)
marks.slot("blake3:idle")
marks.asked(digest, Deadly()).predict({})
"""


def die(folder: Path, at: str, digest: str) -> None:
    process = subprocess.run([sys.executable, "-c", DIES, str(folder), at, digest], check=False)
    assert process.returncode == -signal.SIGKILL


def test_who_comes_next_knows_which_model_a_process_died_over(tmp_path: Path) -> None:
    now = [time.time()]
    folder = tmp_path / "marks"
    die(folder, "loading", "blake3:deadly")
    die(folder, "asking", "blake3:deadly")

    marks = Marks(folder, now=lambda: now[0])

    assert (marks.crashes(Digest("blake3:deadly")), marks.crashes(Digest("blake3:idle"))) == (2, 0)
    assert len(list(folder.glob("*.mark"))) == 1, "its own; those of the dead are gone"
    other = Marks(folder, now=lambda: now[0])
    assert other.crashes(Digest("blake3:deadly")) == 2, "a process that lives is not taken for a dead one"
    now[0] += MEMORY_S + 300
    other.read_crashes()
    assert other.crashes(Digest("blake3:deadly")) == 0
    for each in (marks, other):
        each.close()
    assert not list(folder.glob("*.mark"))


def test_where_no_file_can_be_made_models_answer_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "marks").write_text("not a folder")
    marks = Marks(tmp_path / "marks")

    class Echo:
        def predict(self, columns: Any) -> Any:
            return columns

    with marks.loading(Digest("blake3:x")):
        assert marks.asked(Digest("blake3:x"), Echo()).predict({"a": 1}) == {"a": 1}
    assert marks.crashes(Digest("blake3:x")) == 0
    marks.close()


def test_a_challenger_over_which_processes_died_twice_is_not_loaded_again_and_a_champion_is(tmp_path: Path) -> None:
    home, champion, challenger = a_home(tmp_path)
    for digest in (champion, challenger):
        die(home / "cache" / "marks", "asking", digest)
        die(home / "cache" / "marks", "loading", digest)
    here = Place.__new__(Place)
    here.home, here.champion, here.other = home, champion, challenger
    here.blobs, here.board = open_blobs(home), Board()
    here.loader = Loader(here.board, blobs=here.blobs, cache=home / "cache", flavors=Flavors())
    here.canary()

    here.loader.step()

    assert [s.variant.name for s in here.board.get("late").variants] == ["champion"]
    (told,) = trouble.troubles_of(here.blobs, "late", generation=2)
    assert (told.crashes, "died 2 times" in told.error) == (2, True)
    here.loader.stop()


def test_a_mark_is_gone_when_the_model_has_answered(tmp_path: Path) -> None:
    marks = Marks(tmp_path)

    class Fails:
        def predict(self, columns: Any) -> Any:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        marks.asked(Digest("blake3:x"), Fails()).predict({})

    (path,) = tmp_path.glob("*.mark")
    assert path.read_bytes()[:2] == b"\0\0"
    assert path.read_bytes()[2:10] == b"blake3:x"
    marks.close()
    assert os.listdir(tmp_path) == ["lock"]
