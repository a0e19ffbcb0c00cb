"""A store whose file was damaged says so, by name, and gives no wrong answers."""

import random

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.errors import NoriaError, StoreCorrupt
from noria.governance import audit
from noria.testing.ledger_suite import a_draft

pytestmark = pytest.mark.faults


@pytest.fixture
def path(tmp_path):
    store = open_store(str(tmp_path / "meta.db"), project="p")
    store.ledger.append([a_draft(str(number)) for number in range(300)])
    store.close()
    return tmp_path / "meta.db"


def test_a_file_whose_beginning_was_overwritten_is_no_store(path):
    with path.open("r+b") as file:
        file.write(bytes(100))

    with pytest.raises(StoreCorrupt, match=r"meta\.db"):
        open_store(str(path), project="p")


def test_a_file_that_was_cut_is_corrupt(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

    def read() -> None:
        store = open_store(str(path), project="p")
        try:
            list(store.ledger.stored())
        finally:
            store.close()

    with pytest.raises(StoreCorrupt):
        read()


@pytest.mark.parametrize("seed", range(12))
def test_pages_of_noise_are_found_by_reading_or_by_the_audit(path, seed):
    dice = random.Random(seed)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(dice.randrange(size // 4096 // 2, size // 4096) * 4096)
        file.write(dice.randbytes(4096))

    try:
        store = open_store(str(path), project="p")
    except NoriaError:
        return
    try:
        report = audit.verify(store.ledger, project="p")
        assert (
            not report.whole or report.rows == 300
        )  # noise in an index or in another table leaves the rows as they are
    except StoreCorrupt:
        pass
    finally:
        store.close()
