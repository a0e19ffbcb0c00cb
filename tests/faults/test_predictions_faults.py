"""The prediction log against killed writers, full disks, damaged files, and crashes between the steps of a compaction."""

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest
from blake3 import blake3

from noria.adapters.predictions import frames, journal, parquet
from noria.adapters.predictions.parquet import ParquetPredictionLog
from noria.errors import DiskFull, StoreCorrupt, StoreNewer
from noria.testing.predictions_suite import NOON, a_label, a_record, exactly, kept

pytestmark = pytest.mark.faults


def hours(log: ParquetPredictionLog) -> list[int]:
    """Which records are in the log, by the number in their input."""
    table = log.scan("flights")
    return table["in.hour"].to_list() if "in.hour" in table.columns else []


def journals(folder: Path) -> list[str]:
    return sorted(path.suffix for path in (folder / "flights" / "journal").iterdir())


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "flights" / "segments").glob("*.parquet"))


WRITER = """
import sys
from noria.adapters.predictions import journal
from noria.testing.predictions_suite import a_record

location, (batch, size, rotate) = sys.argv[1], map(int, sys.argv[2:])
writer = journal.open_writer(location, deployment="flights", name="w", rotate_bytes=rotate)
while True:
    print(f"begin {batch}", flush=True)
    writer.write([a_record(batch * size + n, minutes=batch * size + n) for n in range(size)])
    print(f"done {batch}", flush=True)
    batch += 1
"""


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))])
def test_a_killed_writer_leaves_every_finished_batch_once_and_none_half(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    size = 7
    done: set[int] = set()
    begun: set[int] = set()
    for life in range(4):
        arguments = [str(tmp_path), str(life * 1000), str(size), str(chance.choice([2_000, 50_000, 1 << 24]))]
        said = killed(WRITER, arguments, after_lines=chance.randint(1, 120))
        done |= set(
            range(life * 1000, 1 + max((int(n) for word, n in said if word == "done"), default=life * 1000 - 1))
        )
        begun |= {int(n) for word, n in said if word == "begin"}
        if chance.random() < 0.5:
            parquet.open_store(str(tmp_path)).compact("flights")

    log = parquet.open_store(str(tmp_path))
    before = hours(log)
    batches = sorted({hour // size for hour in before})
    assert before == [batch * size + n for batch in batches for n in range(size)], "whole batches, each once"
    assert done <= set(batches) <= begun, "every finished one, and none that never began"

    log.compact("flights")
    assert hours(log) == before
    assert hours(parquet.open_store(str(tmp_path))) == before
    assert journals(tmp_path) == [], "journals of killed writers are compacted too"


def killed(script: str, arguments: list[str], *, after_lines: int) -> list[list[str]]:
    """Run a script, kill it -9 when it has said so many lines, and give every whole line that it said, as words."""
    with subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(after_lines)]
        process.kill()
        rest = process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    return [line.split() for line in "".join([*said, rest]).split("\n")[:-1]]


COMPACTOR = """
import sys
from noria.adapters.predictions import parquet
from noria.testing.predictions_suite import a_label, a_record

log = parquet.open_store(sys.argv[1])
number = int(sys.argv[2])
while True:
    records = [a_record(n, minutes=n) for n in range(number, number + 5)]
    print(f"begin {number}", flush=True)
    writer = log.writer("flights", name="w")
    writer.write(records)
    writer.close()
    print(f"done {number}", flush=True)
    log.compact("flights")
    print(f"compacted {number}", flush=True)
    log.add_labels("flights", [a_label(record) for record in records])
    print(f"labelled {number}", flush=True)
    number += 5
"""


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))])
def test_a_killed_compactor_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(100 + seed)
    done: set[int] = set()
    labelled: set[int] = set()
    for life in range(3):
        said = killed(COMPACTOR, [str(tmp_path), str(life * 10_000)], after_lines=chance.randint(5, 90))
        done |= {int(n) + k for word, n in said if word == "done" for k in range(5)}
        labelled |= {int(n) + k for word, n in said if word == "labelled" for k in range(5)}
        found = hours(parquet.open_store(str(tmp_path)))
        assert len(found) == len(set(found))
        assert done <= set(found)

    log = parquet.open_store(str(tmp_path))
    found = hours(log)
    log.compact("flights")
    table = log.joined("flights", known_by=NOON + timedelta(days=300))
    assert table["in.hour"].to_list() == found
    assert labelled <= set(table.filter(pl.col("label") == 1.0)["in.hour"].to_list())
    assert [path for path in (tmp_path / "flights" / "segments").iterdir() if path.suffix != ".parquet"] == []


def test_a_journal_cut_at_any_byte_gives_its_whole_frames(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path / "whole"))
    writer = log.writer("flights", name="w")
    ends = []
    for batch in range(3):
        writer.write([a_record(2 * batch), a_record(2 * batch + 1)])
        ends.append(next((tmp_path / "whole" / "flights" / "journal").iterdir()).stat().st_size)
    (file,) = (tmp_path / "whole" / "flights" / "journal").iterdir()
    content = file.read_bytes()

    for cut in range(len(content) + 1):
        folder = tmp_path / f"cut{cut}"
        (folder / "flights" / "journal").mkdir(parents=True)
        (folder / "flights" / "journal" / file.name).write_bytes(content[:cut])
        whole = sum(cut >= end for end in ends)
        torn = parquet.open_store(str(folder))
        assert hours(torn) == list(range(2 * whole))
        if cut % 97 == 0:
            again = torn.writer("flights", name="w")
            again.write([a_record(50, minutes=50)])
            again.close()
            assert hours(torn) == [*range(2 * whole), 50], "the same name goes on in another file"
            assert torn.compact("flights") == 2 * whole + 1
            assert hours(torn) == [*range(2 * whole), 50]
        shutil.rmtree(folder)


def test_zeros_that_a_power_cut_left_are_a_torn_end(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(1)], stage="live")
    (file,) = (tmp_path / "flights" / "journal").iterdir()
    with open(file, "ab") as end:
        end.write(bytes(300))

    assert hours(log) == [1]


def test_a_segment_and_its_journal_together_count_once(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(n) for n in range(4)], stage="closed")
    (file,) = (tmp_path / "flights" / "journal").iterdir()
    content = file.read_bytes()
    log.compact("flights")

    file.write_bytes(content)  # as if the compactor had been killed before it removed the journal

    for reader in (log, parquet.open_store(str(tmp_path))):
        assert hours(reader) == [0, 1, 2, 3]
    assert log.compact("flights") == 0
    assert journals(tmp_path) == []
    assert hours(log) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "crash", ["before the whole", "before the parts are removed", "among the parts", "before the intent is removed"]
)
def test_a_merge_that_was_killed_at_any_step_loses_and_doubles_nothing(tmp_path: Path, crash: str) -> None:
    log = parquet.open_store(str(tmp_path))
    for batch in range(7):
        kept(log, [a_record(10 * batch + n, minutes=10 * batch + n) for n in range(10)])
    folder = tmp_path / "flights" / "segments"
    parts = {path.name: path.read_bytes() for path in segments(tmp_path)}
    kept(log, [a_record(70 + n, minutes=70 + n) for n in range(10)])  # the eighth: they are merged
    (whole,) = segments(tmp_path)
    assert whole.name.startswith("merged-")
    # The eighth part is gone, so its rows are in the whole only; the seven others stand in for all that a crash left.
    names = list(parts)
    left = {
        "before the whole": names,
        "before the parts are removed": names,
        "among the parts": names[3:],
        "before the intent is removed": [],
    }[crash]
    for name in left:
        (folder / name).write_bytes(parts[name])
    (folder / f"{whole.name.split('.')[0]}.intent").write_text(
        f'{{"whole": "{whole.name}", "parts": {names!r}}}'.replace("'", '"')
    )
    (folder / ".part-0123456789abcdef").write_bytes(whole.read_bytes()[:100])
    if crash == "before the whole":
        whole.unlink()
    expected = list(range(70 if crash == "before the whole" else 80))

    assert hours(parquet.open_store(str(tmp_path))) == expected
    reader = parquet.open_store(str(tmp_path))
    reader.compact("flights")
    assert hours(reader) == expected
    assert [path.name for path in folder.iterdir() if path.suffix != ".parquet"] == []


def on_its_own_disk(folder: Path) -> bool:
    return folder.stat().st_dev != folder.parent.stat().st_dev


def test_a_full_disk_takes_whole_batches_or_none_and_the_writer_goes_on(small_disk: Path) -> None:
    if not on_its_own_disk(small_disk):
        pytest.skip("needs the right to mount a small disk")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(600_000))
    log = parquet.open_store(str(small_disk / "log"))
    writer = log.writer("flights", name="w")
    kept_batches, refused = [], 0
    for batch in range(400):
        records = [a_record(20 * batch + n, minutes=20 * batch + n) for n in range(20)]
        try:
            writer.write(records)
            kept_batches.append(batch)
        except DiskFull:
            refused += 1
            if refused == 3:
                filler.unlink()
        if refused > 5:
            break
    assert refused >= 3
    assert kept_batches[-1] > 20

    expected = [20 * batch + n for batch in kept_batches for n in range(20)]
    assert hours(log) == expected
    assert hours(parquet.open_store(str(small_disk / "log"))) == expected
    small_disk.joinpath("filler").unlink(missing_ok=True)
    writer.close()


def test_a_batch_that_found_no_room_can_be_sent_again(small_disk: Path) -> None:
    log = parquet.open_store(str(small_disk))
    writer = log.writer("flights", name="w")
    writer.write([a_record(1)])
    with pytest.raises(DiskFull):
        writer.write([a_record(n, inputs={"text": ["x" * 100_000]}) for n in range(2, 20)])

    writer.write([a_record(2)])

    assert log.scan("flights").height == 2
    assert log.get(a_record(2).prediction_id(0)).record == a_record(2)


def test_a_compaction_without_room_keeps_every_row(small_disk: Path) -> None:
    log = parquet.open_store(str(small_disk))
    source = random.Random(1)
    records = [a_record(n, inputs={"hour": [n], "noise": [source.randbytes(20).hex()]}) for n in range(4000)]
    kept(log, records, stage="closed")
    room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    if not on_its_own_disk(small_disk):
        pytest.skip("needs the right to mount a small disk")
    (small_disk / "filler").write_bytes(bytes(room - 30_000))

    with pytest.raises(DiskFull):
        log.compact("flights")

    assert hours(log) == list(range(4000))
    assert segments(small_disk) == []
    assert list((small_disk / "flights" / "segments").iterdir()) == []
    (small_disk / "filler").unlink()
    assert log.compact("flights") == 4000
    assert hours(log) == list(range(4000))


def test_labels_without_room_are_not_kept_by_half(small_disk: Path) -> None:
    log = parquet.open_store(str(small_disk))
    records = [a_record(n) for n in range(2000)]
    kept(log, records)
    log.add_labels("flights", [a_label(records[0])])
    big = [a_label(record, source="s" * 600) for record in records]

    with pytest.raises(DiskFull):
        log.add_labels("flights", big)

    for reader in (log, parquet.open_store(str(small_disk))):
        assert reader.joined("flights", known_by=NOON + timedelta(days=1))["label"].drop_nulls().to_list() == [1.0]
    assert log.add_labels("flights", [a_label(record) for record in records]).accepted == 1999


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_segment_is_named_and_never_read(tmp_path: Path, damage: str) -> None:
    kept(parquet.open_store(str(tmp_path)), [a_record(n) for n in range(500)])
    (segment,) = segments(tmp_path)
    content = bytearray(segment.read_bytes())
    content[len(content) // 3] ^= 1
    segment.write_bytes({"flip": bytes(content), "cut": bytes(content[:-9]), "empty": b""}[damage])

    for ask in (
        lambda log: log.scan("flights"),
        lambda log: log.get(a_record(3).prediction_id(0)),
        lambda log: log.add_labels("flights", [a_label(a_record(3))]),
    ):
        with pytest.raises(StoreCorrupt) as raised:
            ask(parquet.open_store(str(tmp_path)))
        assert str(segment) in str(raised.value)


@pytest.mark.parametrize("damage", ["flip", "cut", "header", "name"])
def test_a_damaged_journal_is_named(tmp_path: Path, damage: str) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(n) for n in range(50)], stage="closed")
    (file,) = (tmp_path / "flights" / "journal").iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[300] ^= 1
    if damage == "header":
        content[0] ^= 1
    file.write_bytes(content[:-5] if damage == "cut" else content)
    if damage == "name":
        segment = tmp_path / "flights" / "segments" / "odd.parquet"
        segment.parent.mkdir()
        file = segment
        segment.write_bytes(b"")

    for read in (log, parquet.open_store(str(tmp_path))):
        with pytest.raises(StoreCorrupt) as raised:
            read.scan("flights")
        assert str(file) in str(raised.value)


def test_a_live_journal_with_a_flipped_bit_before_its_end_is_damaged_and_not_torn(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    writer = log.writer("flights", name="w")
    for n in range(3):
        writer.write([a_record(n)])
    (file,) = (tmp_path / "flights" / "journal").iterdir()
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)

    with pytest.raises(StoreCorrupt):
        log.scan("flights")


def test_a_journal_of_an_older_noria_is_read_as_before(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(1), a_record(2)], stage="closed")
    (file,) = (tmp_path / "flights" / "journal").iterdir()
    bodies, _ = frames.read_frames(file, journal.KIND, newest=journal.VERSION)
    old = frames.header(journal.KIND, 1)
    for body in bodies:  # before version 2 a block had neither `sampled` nor `redacted`, and no packed column
        written, blocks = msgspec.msgpack.decode(body)
        shorter = msgspec.msgpack.encode([written, [block[:16] for block in blocks]])
        old += frames.PREFIX.pack(len(shorter), blake3(shorter).digest(8)) + shorter
    file.write_bytes(old)

    assert log.get(a_record(2).prediction_id(0)).record == a_record(2)
    assert pl.DataFrame(log.scan("flights"))["sampled"].to_list() == [1.0, 1.0]


def test_a_journal_of_a_newer_noria_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(1)], stage="closed")
    (file,) = (tmp_path / "flights" / "journal").iterdir()
    content = bytearray(file.read_bytes())
    content[7] = journal.VERSION + 1
    file.write_bytes(content)

    with pytest.raises(StoreNewer):
        log.scan("flights")


def test_a_torn_label_frame_is_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(1), a_record(2)])
    log.add_labels("flights", [a_label(a_record(1))])
    (file,) = (tmp_path / "flights" / "labels").glob("*.open")
    with open(file, "ab") as end:
        end.write(b"\xff\xff\x00\x00half of a frame")

    other = parquet.open_store(str(tmp_path))
    assert other.add_labels("flights", [a_label(a_record(2), 0.5)]).accepted == 1

    for reader in (log, other, parquet.open_store(str(tmp_path))):
        assert reader.joined("flights", known_by=NOON + timedelta(days=1))["label"].to_list() == [1.0, 0.5]


LABELLER = """
import sys
from noria.adapters.predictions import parquet
from noria.testing.predictions_suite import a_label, a_record

log = parquet.open_store(sys.argv[1])
accepted = 0
for start in range(0, 400, 10):
    receipt = log.add_labels("flights", [a_label(a_record(n)) for n in range(start, start + 10)])
    assert receipt.accepted + receipt.duplicates == 10
    accepted += receipt.accepted
print(accepted)
"""


def test_labels_from_several_processes_count_once(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(n) for n in range(400)])

    processes = [
        subprocess.Popen([sys.executable, "-c", LABELLER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    accepted = [int(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(accepted) == 400
    assert log.joined("flights", known_by=NOON + timedelta(days=1))["label"].to_list() == [1.0] * 400
    assert log.labels_aside("flights") == []


def test_many_labels_move_to_parquet_and_keep_what_they_said(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    records = [a_record(n, minutes=n) for n in range(30_000)]
    kept(log, records)
    log.add_labels("flights", [a_label(record, minutes=n) for n, record in enumerate(records)])
    log.add_labels("flights", [a_label(records[5], 0.0), a_label(records[6], 0.0, minutes=70_000, corrects=True)])
    before = log.joined("flights", known_by=NOON + timedelta(minutes=20_000))

    log.compact("flights")

    assert [path.suffix for path in (tmp_path / "flights" / "labels").iterdir() if path.name != "lock"] == [".parquet"]
    for reader in (log, parquet.open_store(str(tmp_path))):
        assert reader.joined("flights", known_by=NOON + timedelta(minutes=20_000)).equals(before)
        assert reader.get(records[5].prediction_id(0)).state == "contradicted"
        assert reader.get(records[6].prediction_id(0)).label == 0.0
        assert len(reader.labels_aside("flights")) == 1
    assert before["label"].null_count() == 30_000 - 20_001
    assert log.add_labels("flights", [a_label(records[7], minutes=7)]).duplicates == 1


def test_another_process_follows_a_compaction(tmp_path: Path) -> None:
    reader, compactor = (parquet.open_store(str(tmp_path)) for _ in range(2))
    for batch in range(20):
        writer = compactor.writer("flights", name=f"w{batch}")
        records = [a_record(10 * batch + n, minutes=10 * batch + n) for n in range(10)]
        writer.write(records)
        assert hours(reader) == list(range(10 * batch + 10))
        assert reader.add_labels("flights", [a_label(record) for record in records]).accepted == 10
        writer.close()
        compactor.compact("flights")
        assert hours(reader) == list(range(10 * batch + 10))
        assert exactly(reader.get(records[3].prediction_id(0)).record) == exactly(records[3])


def test_a_writer_rotates_and_its_finished_files_can_be_compacted_while_it_lives(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    writer = journal.open_writer(str(tmp_path), deployment="flights", name="w", rotate_bytes=2_000)
    for n in range(40):
        writer.write([a_record(n, minutes=n)])
    assert set(journals(tmp_path)) == {".open", ".closed"}

    assert 0 < log.compact("flights") < 40

    assert journals(tmp_path) == [".open"]
    assert hours(log) == list(range(40))
    writer.close()
    assert journals(tmp_path) == [".closed"]


def test_a_worker_imports_no_tables(tmp_path: Path) -> None:
    script = "import sys; from noria.adapters.predictions import journal\n"
    script += "print([name for name in ('polars', 'numpy', 'pyarrow', 'sqlalchemy', 'asyncio') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert said.stdout.strip() == "[]"
