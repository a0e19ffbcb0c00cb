"""Verified on load: whatever became of a bundle's folder, it is refused with the file named, and laid out again from a store that has it whole."""

import os
import stat
from hashlib import sha256

import msgspec
import pytest

from noria.app.flavors import Flavors
from noria.errors import BundleCorrupt, BundleRefused
from noria.packaging.bundle import open_bundle, read_manifest
from noria.packaging.verify import verify
from tests.serving.worker_factory import arrays, boosting, bundle, flights, open_blobs

FILES = ("model.onnx", "example.json", "provenance.json")


@pytest.fixture
def opened(tmp_path):
    """(blobs, manifest, the folder that it was opened in)."""
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())
    return blobs, built, tmp_path / "cache" / built.digest.partition(":")[2]


def own(file):
    """A file's content in a file of its own: the cache may share it with the store."""
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    return content


def flip(folder, name):
    content = bytearray(own(folder / name))
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)


def cut_short(folder, name):
    (folder / name).write_bytes(own(folder / name)[:-1])


def lengthen(folder, name):
    (folder / name).write_bytes(own(folder / name) + b" ")


def empty(folder, name):
    own(folder / name)
    (folder / name).write_bytes(b"")


def take_away(folder, name):
    (folder / name).unlink()


def link(folder, name):
    """The very same bytes, but elsewhere."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.write_bytes((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / name).symlink_to(elsewhere)


def become_a_folder(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()


def become_a_pipe(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change",
    [flip, cut_short, lengthen, empty, take_away, link, become_a_folder, become_a_pipe],
    ids=lambda f: f.__name__,
)
def test_a_changed_folder_is_refused_with_the_file_named_and_laid_out_again(opened, tmp_path, change, name):
    blobs, built, folder = opened
    verify(folder, built.bundle)
    change(folder, name)

    with pytest.raises(BundleCorrupt) as refused:
        verify(folder, built.bundle)
    again = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert repr(name) in refused.value.problem
    verify(folder, built.bundle)
    assert len(again.predictor.predict(arrays(flights(3)))["probability"]) == 3


@pytest.mark.parametrize("extra", ["extra.pkl", "deep/er/model.onnx.data", "link", "linked-folder"])
def test_what_the_manifest_does_not_name_is_refused_and_taken_away(opened, tmp_path, extra):
    blobs, built, folder = opened
    if extra == "link":
        (folder / extra).symlink_to(folder / "model.onnx")
    elif extra == "linked-folder":
        (folder / extra).symlink_to(tmp_path)
    else:
        (folder / extra).parent.mkdir(parents=True, exist_ok=True)
        (folder / extra).write_bytes(b"code")

    with pytest.raises(BundleCorrupt) as refused:
        verify(folder, built.bundle)
    open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert repr(extra) in refused.value.problem
    assert not os.path.lexists(folder / extra)


def test_a_folder_that_is_a_link_is_refused(opened, tmp_path):
    _, built, folder = opened
    (tmp_path / "link").symlink_to(folder)

    with pytest.raises(BundleCorrupt, match="symbolic link"):
        verify(tmp_path / "link", built.bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_in_the_store_is_refused_with_the_file_named(tmp_path, name):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    entry = next(f for f in built.bundle.files if f.path == name)
    kept = next(p for p in (tmp_path / "blobs").rglob("*") if p.is_file() and p.name.endswith(entry.digest[-40:]))
    kept.chmod(stat.S_IRUSR | stat.S_IWUSR)
    kept.write_bytes(kept.read_bytes()[:-1])

    with pytest.raises(BundleCorrupt) as refused:
        open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert repr(name) in refused.value.problem


@pytest.mark.parametrize("name", FILES)
def test_a_file_missing_in_the_store_is_refused_with_the_file_named(tmp_path, name):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    blobs.delete(next(f for f in built.bundle.files if f.path == name).digest)

    with pytest.raises(BundleCorrupt) as refused:
        open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert repr(name) in refused.value.problem
    assert "missing" in refused.value.problem


def test_both_digests_of_every_file_are_recorded_and_right(opened):
    _, built, folder = opened

    assert {f.path for f in built.bundle.files} == set(FILES)
    assert all(sha256((folder / f.path).read_bytes()).hexdigest() == f.sha256 for f in built.bundle.files)


@pytest.mark.parametrize(
    "path", ["../evil", "/etc/evil", "a/../../evil", "", ".", "a//b", "a/./b", "a\\..\\b", "a\x00b"]
)
def test_a_manifest_that_names_a_file_outside_is_refused(opened, path):
    blobs, built, _ = opened
    entry = msgspec.structs.replace(built.bundle.files[0], path=path)
    address = blobs.put(msgspec.json.encode(msgspec.structs.replace(built.bundle, files=(entry,))))

    with pytest.raises(BundleRefused, match="outside itself"):
        read_manifest(address, blobs=blobs)


def test_a_manifest_that_names_a_file_twice_is_refused(opened):
    blobs, built, _ = opened
    twice = msgspec.structs.replace(built.bundle, files=(*built.bundle.files, built.bundle.files[0]))

    with pytest.raises(BundleRefused, match="twice"):
        read_manifest(blobs.put(msgspec.json.encode(twice)), blobs=blobs)
