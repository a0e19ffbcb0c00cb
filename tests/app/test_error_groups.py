"""Errors of one fault are one group, counted over all processes, whatever varies in their messages; nobody who logs waits or fails for it."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from noria.adapters.telemetry import memory
from noria.app.error_groups import MOST_GROUPS, ErrorBook, file_of, forget, read
from noria.domain.measurement import Family
from noria.errors import StoreUnavailable
from tests.serving.worker_factory import eventually


def a_log(home: Path | None, *, service: str = "noria") -> tuple[logging.Logger, ErrorBook]:
    """A logger of its own, with a book."""
    logger = logging.Logger(f"noria.some.{threading.get_ident()}")
    book = ErrorBook(home, service=service)
    logger.addHandler(book)
    return logger, book


def samples(families: list[Family]) -> dict[str, dict]:
    return {family.name: dict(family.samples) for family in families}


def fail(text: str) -> None:
    raise ValueError(text)


def fail_otherwise(text: str) -> None:
    raise ValueError(text)


def test_one_fault_is_one_group_however_its_messages_vary(tmp_path: Path) -> None:
    logger, book = a_log(tmp_path)
    for number in range(40):
        try:
            fail(f"row {number}")
        except ValueError:
            logger.exception("answering %s failed", f"request-{number}")
        logger.error(f"process {number} of 'worker-{number}' ended after {number / 7} s")
    book.close()

    groups = read(tmp_path)

    assert sorted((g.kind, g.count) for g in groups) == [("ValueError", 40), ("message", 40)]
    raised = next(g for g in groups if g.kind == "ValueError")
    assert raised.where.endswith(":fail")
    assert raised.message == "answering request-39 failed (ValueError: row 39)"
    assert "ValueError: row 39" in raised.trace
    assert raised.first <= raised.last


def test_another_place_or_kind_is_another_group(tmp_path: Path) -> None:
    logger, book = a_log(tmp_path)
    for failing in (fail, fail_otherwise):
        try:
            failing("x")
        except ValueError:
            logger.exception("it failed")
    try:
        raise StoreUnavailable("the store is away")
    except StoreUnavailable:
        logger.exception("it failed")
    logger.warning("no error")
    book.close()

    groups = read(tmp_path)

    assert len(groups) == 3
    assert {g.code for g in groups} == {"", StoreUnavailable.code}


def test_all_processes_of_a_project_count_together(tmp_path: Path) -> None:
    def live(number: int) -> None:
        logger, book = a_log(tmp_path, service=f"noria-{number % 2}")
        logger.name = "noria.same"
        for _ in range(50):
            logger.error("the disk is slow")
            book.flush()
        book.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(4)))

    (group,) = read(tmp_path)
    assert (group.count, group.services) == (200, ("noria-0", "noria-1"))


def test_the_first_of_a_group_is_there_at_once(tmp_path: Path) -> None:
    logger, book = a_log(tmp_path)

    logger.error("the disk is slow")

    assert eventually(lambda: read(tmp_path))[0].count == 1
    book.close()


def test_a_disk_that_takes_nothing_costs_no_counts(tmp_path: Path) -> None:
    (tmp_path / "errors").write_text("a file where the folder should be")
    logger, book = a_log(tmp_path)
    logger.error("first")
    book.flush()
    (tmp_path / "errors").unlink()
    logger.error("first")
    book.close()

    assert [g.count for g in read(tmp_path)] == [2]


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    file_of(tmp_path).parent.mkdir()
    file_of(tmp_path).write_bytes(b'[{"group": "ab", "ki')
    logger, book = a_log(tmp_path)

    assert read(tmp_path) == []
    logger.error("first")
    book.close()
    assert [g.count for g in read(tmp_path)] == [1]


def test_groups_are_bounded_and_can_be_forgotten(tmp_path: Path) -> None:
    logger, book = a_log(tmp_path)
    for number in range(MOST_GROUPS + 30):
        logger.error("".join(chr(ord("a") + int(digit)) for digit in str(number)))
    book.close()

    assert len(read(tmp_path)) == MOST_GROUPS
    assert forget(tmp_path) == MOST_GROUPS
    assert read(tmp_path) == []


def test_a_line_that_cannot_be_made_disturbs_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger, book = a_log(tmp_path)

    logger.error("%d", "no number")
    book.close()

    assert read(tmp_path) == []
    assert "no number" in capsys.readouterr().err


def test_metrics_count_from_the_beginning_and_start_at_zero() -> None:
    logger, book = a_log(None)
    quiet, telemetry = memory.open_telemetry(), memory.open_telemetry()
    book.count_in(quiet)
    logger.error("early")
    book.count_in(telemetry)
    logger.error("late")

    first = samples(quiet.families())
    found = samples(telemetry.families())

    assert first["noria_errors_total"][()] == 1
    assert found["noria_errors_total"][()] == 2
    assert sorted(found["noria_error_group_total"].values()) == [1, 1]
