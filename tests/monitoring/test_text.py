"""Laws of changed texts and embeddings: new words are found and named, days that differ by themselves are not an alarm, any text can be read."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.monitoring.text import contrast, hashed, is_prose, pieces
from noria.stats.logistic import Dense
from noria.stats.witness import tell_apart

Made = tuple[np.ndarray, np.ndarray]
WORDS = np.array([f"w{i}" for i in range(60)])


def notes(seed: int, *, days: int, wobble: float = 0.0, refunds: float = 0.0, a_day: int = 30) -> Made:
    """Notes of eight words; every day has its favourites by `wobble`, and a share `refunds` asks for one."""
    rng = np.random.default_rng(seed)
    texts, day = [], []
    for d in range(days):
        liking = np.exp(wobble * rng.normal(size=WORDS.size))
        for _ in range(a_day):
            text = " ".join(rng.choice(WORDS, 8, p=liking / liking.sum()))
            texts.append(f"refund please {text}" if rng.random() < refunds else text)
            day.append(d)
    return np.array(texts, dtype=object), np.array(day)


def vectors(seed: int, *, days: int, wobble: float = 0.0, shift: float = 0.0, scale: float = 1.0) -> Made:
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), 40)
    middle = wobble * rng.normal(size=(days, 6))
    return scale * rng.normal(size=(day.size, 6)) + middle[day] + shift, day


def compare(before: Made, now: Made):  # type: ignore[no-untyped-def]
    ids = [f"p{i}" for i in range(len(now[0]))]
    return contrast("note", before[0], now[0], days=before[1], days_now=now[1], ids=ids)


def test_new_words_are_found_and_named() -> None:
    now = notes(2, days=4, refunds=0.5)

    found = compare(notes(1, days=12), now)

    assert found.alarm
    assert any(word.startswith("refund") for word in found.now)
    assert all("refund" in now[0][int(i[1:])] for i in found.examples)


@pytest.mark.parametrize("wobble", [0.0, 0.7])
def test_days_that_differ_by_themselves_are_no_alarm(wobble: float) -> None:
    found = compare(notes(3, days=12, wobble=wobble), notes(4, days=3, wobble=wobble))

    assert not found.alarm


@pytest.mark.parametrize("change", [{"shift": 0.8}, {"scale": 2.0}], ids=["elsewhere", "wider"])
def test_embeddings_that_moved_or_widened_are_found(change: dict[str, float]) -> None:
    found = compare(vectors(5, days=12), vectors(6, days=4, **change))

    assert found.kind == "embedding"
    assert found.alarm


def test_embeddings_that_wobble_are_no_alarm() -> None:
    assert not compare(vectors(7, days=12, wobble=0.4), vectors(8, days=3, wobble=0.4)).alarm


def test_the_same_question_has_the_same_answer() -> None:
    before, now = vectors(7, days=6), vectors(8, days=2)

    assert compare(before, now) == compare(before, now)


def test_a_short_before_is_said() -> None:
    found = compare(notes(1, days=2), notes(2, days=2))

    assert "hardly known" in found.notes[0]


@pytest.mark.parametrize("text", ["", "   ", None, "数字", "1234 5678", "x" * 100_000, float("nan")])
def test_any_text_has_pieces(text: object) -> None:
    assert 1 <= len(pieces(text)) <= 310
    assert hashed([pieces(text)]).rows == 1


def test_prose_is_told_from_categories() -> None:
    texts, _ = notes(0, days=2)

    assert is_prose(texts)
    assert not is_prose(np.array(["north", "south"] * 50, dtype=object))
    assert not is_prose(np.array([None] * 50, dtype=object))


def test_what_cannot_be_compared_is_refused() -> None:
    texts, day = notes(0, days=3)
    with pytest.raises(InputInvalid, match="shapes"):
        contrast("note", texts, np.zeros((60, 3)), days=day, days_now=np.zeros(60))
    with pytest.raises(EmptySample):
        contrast("note", texts, texts[:10], days=day, days_now=day[:10])
    with pytest.raises(InputInvalid, match="NaN"):
        contrast(
            "v", np.full((80, 2), np.nan), np.zeros((80, 2)), days=np.arange(80) // 10, days_now=np.arange(80) // 10
        )
    with pytest.raises(InputInvalid, match="marks"):
        tell_apart(Dense(np.zeros((4, 1))), np.array([0, 1, 2, 1]))


def test_the_capital_does_not_grow_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    marks = np.repeat([0, 1], 100)
    capitals = [np.exp(tell_apart(Dense(rng.normal(size=(200, 4)) / 2), marks).log_e) for _ in range(15)]

    assert np.mean(capitals) < 1.5
