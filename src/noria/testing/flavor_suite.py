"""The law of ports/flavor as tests. Subclass `FlavorSuite` with a `case` fixture: a fitted model, what it takes, and what it answers itself.

class TestMine(FlavorSuite):
    @pytest.fixture
    def case(self):
        return FlavorCase(flavor=FLAVOR, module="my.flavor", package="mylib", model=..., signature=..., columns=..., answers=...)
"""

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noria.domain.model import Signature
from noria.errors import BundleCorrupt, BundleError, BundleRefused
from noria.ports.flavor import Columns, Flavor

DTYPES: dict[str, Any] = {"BOOL": np.bool_, "INT64": np.int64, "FP32": np.float32, "FP64": np.float64, "BYTES": object}
RUNS_CODE = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
"""What Python reports to its auditors when a file makes it look up a function by name, start a program or call somebody."""
THREADS = 8


@dataclass(frozen=True, kw_only=True)
class FlavorCase:
    """What a flavor is tried on. columns: at least 20 rows that follow the signature. answers: the model's own to them, output by output.

    module: where FLAVOR is found by name. package: what must be installed to load such a model, '' if nothing is. tolerance: of answers that the
    flavor computes in another way than the model.
    """

    flavor: Flavor
    module: str
    package: str
    model: object
    signature: Signature
    columns: Columns
    answers: Columns
    tolerance: float = 1e-6

    def saved(self, folder: Path) -> Path:
        """The model's files in a new folder."""
        folder.mkdir(parents=True)
        self.flavor.save(self.model, self.signature, folder)
        return folder

    def rows(self, rows: slice) -> Columns:
        """Some of the rows."""
        return {name: values[rows] for name, values in self.columns.items()}


class FlavorSuite:
    """What every flavor does."""

    def test_it_accepts_its_own_kind_and_no_other(self, case: FlavorCase, tmp_path: Path) -> None:
        assert case.flavor.accepts(case.model)
        assert not case.flavor.accepts(object())
        with pytest.raises(BundleRefused):
            case.flavor.save(object(), case.signature, tmp_path)

    def test_what_is_loaded_answers_as_the_model_does(self, case: FlavorCase, tmp_path: Path) -> None:
        predictor = case.flavor.load(case.saved(tmp_path / "model"), case.signature)

        answers = predictor.predict(case.columns)

        assert answers.keys() == case.answers.keys()
        for name, expected in case.answers.items():
            np.testing.assert_allclose(answers[name], expected, atol=case.tolerance, rtol=case.tolerance)

    def test_outputs_have_the_names_types_and_shapes_of_the_signature(self, case: FlavorCase, tmp_path: Path) -> None:
        predictor = case.flavor.load(case.saved(tmp_path / "model"), case.signature)

        for rows in (1, 7):
            answers = predictor.predict(case.rows(slice(rows)))
            assert list(answers) == [field.name for field in case.signature.outputs]
            for field in case.signature.outputs:
                assert answers[field.name].shape == ((rows,) if field.width == 1 else (rows, field.width))
                assert answers[field.name].dtype == DTYPES[field.datatype]

    def test_saving_and_loading_again_gives_the_same_bits(self, case: FlavorCase, tmp_path: Path) -> None:
        first = case.flavor.load(case.saved(tmp_path / "first"), case.signature)
        second = case.flavor.load(case.saved(tmp_path / "second"), case.signature)

        assert _bits(first.predict(case.columns)) == _bits(second.predict(case.columns))

    def test_loading_does_not_need_the_folder_that_it_was_saved_in(self, case: FlavorCase, tmp_path: Path) -> None:
        before = _bits(case.flavor.load(case.saved(tmp_path / "model"), case.signature).predict(case.columns))
        shutil.move(tmp_path / "model", tmp_path / "moved")

        assert _bits(case.flavor.load(tmp_path / "moved", case.signature).predict(case.columns)) == before

    def test_many_threads_get_the_bits_that_one_gets(self, case: FlavorCase, tmp_path: Path) -> None:
        predictor = case.flavor.load(case.saved(tmp_path / "model"), case.signature)
        parts = [case.rows(slice(start, start + 5)) for start in (0, 5, 10, 15)] * THREADS
        alone = [_bits(predictor.predict(part)) for part in parts]

        with ThreadPoolExecutor(THREADS) as threads:
            together = list(threads.map(lambda part: _bits(predictor.predict(part)), parts))

        assert together == alone

    def test_predicting_changes_no_column(self, case: FlavorCase, tmp_path: Path) -> None:
        predictor = case.flavor.load(case.saved(tmp_path / "model"), case.signature)
        before = {name: values.copy() for name, values in case.columns.items()}

        predictor.predict(case.columns)

        for name, values in before.items():
            np.testing.assert_array_equal(case.columns[name], values)

    @pytest.mark.parametrize("damage", ["emptied", "garbage", "cut short", "taken away"])
    def test_files_that_are_no_model_are_refused(self, case: FlavorCase, tmp_path: Path, damage: str) -> None:
        saved = case.saved(tmp_path / "model")
        answered = _bits(case.flavor.load(saved, case.signature).predict(case.columns))
        for file in _files(saved):
            folder = shutil.copytree(saved, tmp_path / f"damaged-{file.name}")
            _damage(folder / file.relative_to(saved), damage)

            try:
                predictor = case.flavor.load(folder, case.signature)
            except (BundleCorrupt, BundleRefused):
                continue
            # A file that is only there to be read by people may be anything.
            assert _bits(predictor.predict(case.columns)) == answered, f"{file.name} was {damage} and answered"

    def test_only_a_flavor_that_says_so_runs_code_from_its_files(self, case: FlavorCase, tmp_path: Path) -> None:
        """Each file, and each part of an archive, is replaced in turn by a pickle that makes a folder when it is opened."""
        saved, ran = case.saved(tmp_path / "model"), tmp_path / "the code ran"
        case.flavor.load(saved, case.signature)
        for number, (file, part) in enumerate(_parts(saved)):
            folder = shutil.copytree(saved, tmp_path / f"armed-{number}")
            _arm(folder / file, part, pickle.dumps(_Bomb(str(ran))))
            try:
                case.flavor.load(folder, case.signature)
            except BundleError:
                pass
            assert not (ran.exists() and case.flavor.code_free), f"{file} {part} was run"

        assert ran.exists() is not case.flavor.code_free

    def test_loading_code_free_files_looks_up_no_function_and_starts_nothing(
        self, case: FlavorCase, tmp_path: Path
    ) -> None:
        saved = case.saved(tmp_path / "model")
        case.flavor.load(saved, case.signature)  # the library itself may do so once, when it is imported

        with _audited() as seen:
            case.flavor.load(saved, case.signature)

        assert not (seen and case.flavor.code_free), seen

    def test_code_free_files_name_no_path_of_this_machine(self, case: FlavorCase, tmp_path: Path) -> None:
        saved = case.saved(tmp_path / "model")
        named = [str(tmp_path).encode(), str(Path.cwd()).encode(), sys.prefix.encode()]
        found = [file.name for file in _files(saved) if any(path in file.read_bytes() for path in named)]

        assert not (found and case.flavor.code_free), found

    def test_without_its_package_it_says_what_to_install(self, case: FlavorCase, tmp_path: Path) -> None:
        """In a process of its own, where the package cannot be imported."""
        if not case.package:
            pytest.skip("it needs no package beyond Noria's own")
        saved, form = case.saved(tmp_path / "model"), tmp_path / "signature"
        form.write_bytes(pickle.dumps(case.signature))
        program = (
            f"import sys; sys.modules[{case.package!r}] = None\n"
            "import importlib, pathlib, pickle\n"
            f"flavor = importlib.import_module({case.module!r}).FLAVOR\n"
            f"signature = pickle.loads(pathlib.Path({str(form)!r}).read_bytes())\n"
            "from noria.errors import ExtraMissing\n"
            "try:\n"
            f"    flavor.load(pathlib.Path({str(saved)!r}), signature)\n"
            "except ExtraMissing as error:\n"
            "    print(error.problem)\n"
        )

        said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)

        assert case.package.split(".")[0] in said.stdout


class _Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str, int, bool]]:
        return os.makedirs, (self._folder, 0o777, True)


def _bits(answers: Columns) -> dict[str, bytes]:
    return {name: np.ascontiguousarray(values).tobytes() for name, values in answers.items()}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "taken away":
        file.unlink()
    else:
        file.write_bytes({"emptied": b"", "garbage": b"garbage", "cut short": content[: len(content) // 2]}[how])


def _parts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file of a folder, and each part of those that are zip archives. ('' is the file itself.)"""
    for file in _files(folder):
        yield file.relative_to(folder), ""
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for part in archive.namelist():
                    yield file.relative_to(folder), part


def _arm(file: Path, part: str, content: bytes) -> None:
    """Put other content in place of a file, or of one part of an archive."""
    if not part:
        file.write_bytes(content)
        return
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, old in parts.items():
            archive.writestr(name, content if name == part else old)


_LISTENERS: list[list[str]] = []
_HOOKED: list[bool] = []


@contextmanager
def _audited() -> Iterator[list[str]]:
    """What Python reports meanwhile of the kinds in RUNS_CODE. An audit hook cannot be taken off, so one is put on for all."""
    if not _HOOKED:
        sys.addaudithook(_heard)
        _HOOKED.append(True)
    seen: list[str] = []
    _LISTENERS.append(seen)
    try:
        yield seen
    finally:
        _LISTENERS.remove(seen)


def _heard(event: str, arguments: tuple[object, ...]) -> None:
    if _LISTENERS and event in RUNS_CODE:
        _LISTENERS[-1].append(f"{event} {arguments!r}"[:200])
