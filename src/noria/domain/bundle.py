"""Bundles: a model as files with digests, ready to be served. Building and opening one is packaging/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest, RunId
from noria.domain.model import Signature


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bundle. SHA-256 stands beside BLAKE3 where a standard wants it (ADR 6)."""

    path: str
    digest: Digest
    sha256: str
    size: int


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a run or a bundle was made with: interpreter, platform and the exact distributions.

    Of a run they are all that were installed; of a bundle only those that its model needs (packaging/environment), and then
    roots: those whose code the model's own objects are made of; requires: which of the distributions each one asks for, so that what serving needs
    can be told apart; hashes: of the archives that they were installed from ('sha256:…'), where the installation noted them;
    trained: what a model from elsewhere was trained with, as its maker pinned it; empty: with the same as stands here.
    """

    python: str
    platform: str
    packages: dict[str, str]
    roots: tuple[str, ...] = ()
    requires: dict[str, tuple[str, ...]] = {}
    hashes: dict[str, tuple[str, ...]] = {}
    trained: dict[str, str] = {}


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How closely a converted model answers like its origin. max_difference: largest absolute difference of a probability over `rows`."""

    passed: bool
    rows: int
    max_difference: float
    label_flips: int
    tolerance: float
    cases: tuple[str, ...] = ()
    reason: str = ""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a bundle. Its own digest (over its canonical form) is the bundle's address.

    flavor: which loader opens it ('onnx', 'lightgbm', 'sklearn'). code_free: whether loading runs no code from the bundle.
    """

    model: str
    run_id: RunId
    flavor: str
    code_free: bool
    signature: Signature
    files: tuple[FileEntry, ...]
    environment: Environment
    created_at: datetime
    """The moment whose knowledge the model holds: of two lives of one training, one of them interrupted, it is the same."""
    parity: Parity | None = None
    profile: Digest | None = None
    """Address of the ReferenceProfile that monitoring compares against."""
    example: str = ""
    """Path of the example input inside the bundle."""
    format: Literal["noria-bundle-1"] = "noria-bundle-1"
