"""Deployments are loaded and unloaded by hand while others answer, and the worker says so."""

import asyncio

import pytest

from noria.app.worker import Flavors
from noria.app.worker_loader import Loader
from noria.errors import BundleError, ModelUnknown
from noria.server.inference.codec import Desk
from noria.serving import desired
from noria.serving.live import Board
from tests.serving.worker_factory import a_home, deployment, open_blobs, variant


@pytest.fixture
def held(tmp_path):
    """(desk, loader, blobs, digests): deployments 'late' and 'other' answer."""
    home, champion, challenger = a_home(tmp_path)
    blobs = open_blobs(home)
    desired.publish(blobs, deployment(variant(challenger), name="other"))
    board = Board()
    loader = Loader(board, blobs=blobs, cache=home / "cache", flavors=Flavors())
    loader.step()
    return Desk(board, loader), loader, blobs, (champion, challenger)


def test_what_is_unloaded_answers_no_more_and_the_others_do(held):
    desk, loader, _, _ = held
    asyncio.run(desk.unload("late"))
    loader.step()

    with pytest.raises(ModelUnknown, match="'late' was unloaded"):
        desk.board.get("late")
    assert (desk.board.names(), desk.board.unloaded(), desk.board.ready()) == (["other"], ["late"], True)


def test_what_is_unloaded_stays_so_when_a_new_generation_is_published(held):
    desk, loader, blobs, (_, challenger) = held
    asyncio.run(desk.unload("late"))
    desired.publish(blobs, deployment(variant(challenger, number=2), generation=2))

    loader.step()

    assert desk.board.unloaded() == ["late"]


def test_what_is_loaded_again_answers_with_its_newest_generation(held):
    desk, _, blobs, (_, challenger) = held
    asyncio.run(desk.unload("late"))
    desired.publish(blobs, deployment(variant(challenger, number=2), generation=2))

    asyncio.run(desk.load("late"))

    assert desk.board.get("late").generation == 2
    assert desk.board.unloaded() == []


def test_unloading_twice_and_loading_what_is_loaded_change_nothing(held):
    desk, _, _, _ = held
    for _ in range(2):
        asyncio.run(desk.unload("late"))
    for _ in range(2):
        asyncio.run(desk.load("late"))

    assert desk.board.get("late").generation == 1


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_name_that_is_not_published_is_refused(held, verb):
    with pytest.raises(ModelUnknown, match="'nope'"):
        asyncio.run(getattr(held[0], verb)("nope"))


def test_what_cannot_be_loaded_says_why(held):
    desk, _, blobs, _ = held
    asyncio.run(desk.unload("late"))
    desired.publish(blobs, deployment(variant(blobs.put(b"{}"), number=2), generation=2))

    with pytest.raises(BundleError, match="no bundle"):
        asyncio.run(desk.load("late"))


def test_a_request_under_way_keeps_the_snapshot_it_began_with(held):
    desk, _, _, (champion, _) = held
    live = desk.board.get("late")

    asyncio.run(desk.unload("late"))

    assert live.variants[0].variant.bundle == champion
