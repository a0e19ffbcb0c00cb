"""What a model was made with and what serving it needs: interpreter, platform, exact distributions, as data and as a requirements file.

Making an environment out of it again is the user's tool of choice (pip, conda). Called by loop/stages, app/packaging and through arguments by bundle.
"""

import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

import msgspec

from noria.domain.bundle import Environment
from noria.domain.ids import Digest, digest_of
from noria.packaging.origins import has_own, modules_of, owners_of
from noria.wire.canonical import canonical

SERVING: Mapping[str, tuple[str, ...]] = {
    "onnx": ("numpy", "onnxruntime"),
    "lightgbm": ("numpy", "lightgbm"),
    "xgboost": ("numpy", "xgboost", "xgboost-cpu"),
    "torch": ("numpy", "torch"),
    "sklearn": ("numpy", "polars", "scikit-learn", "skops"),
    "pickle": ("cloudpickle", "numpy", "polars", "scikit-learn"),
    "python": ("cloudpickle", "numpy"),
}
"""What opens the files of a flavor, besides Noria. Of names that stand for the same code those count that are installed."""
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_ARCHIVES = ("direct_url.json", "provenance_url.json")


def capture() -> Environment:
    """Name every installed distribution with its exact version, in the order of their names.

    >>> capture().python.count(".")
    2
    """
    packages = {}
    for installed in distributions():
        name = installed.metadata["Name"]
        if name:  # a half-removed distribution has no metadata, and nothing of it can be imported
            packages[_plain(name)] = installed.version
    return _here(dict(sorted(packages.items())))


def needed_by(model: object, *, trained: Mapping[str, str] | None = None) -> Environment:
    """Only the distributions that a model needs: those its objects' code is from, those that may serve it, and all that these ask for.

    model: a fitted model, or the bytes of an ONNX graph (which needs no code but the runtime's). trained: as in Environment.
    Functions and classes of the user's own files count with all that their files import.

    >>> "numpy" in needed_by(b"").packages, "pytest" in needed_by(b"").packages
    (True, False)
    """
    modules = modules_of(model)
    roots = sorted({_plain(owner) for owner in owners_of(modules)})
    # A form may serve the model if its own library made a part of it; everything else is at most converted to ONNX.
    serving = {name for names in SERVING.values() for name in names if set(names) & {*roots} - {"numpy"}}
    packages: dict[str, str] = {}
    requires: dict[str, tuple[str, ...]] = {}
    hashes: dict[str, tuple[str, ...]] = {}
    if has_own(modules):
        serving |= {*SERVING["python"]}
    waiting = [(name, frozenset[str]()) for name in (*roots, *serving, *SERVING["onnx"], "noria")]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        found = _installed(name)
        if found is None or (name, extras) in seen:
            continue
        seen.add((name, extras))
        packages[name] = found.version
        if noted := _archive_hashes(found):
            hashes[name] = noted
        if name == "noria":  # what Noria itself asks for is its own business: a worker needs little of it
            continue
        asked = [(each, more) for each, more in _asked_for(found, extras) if _installed(each) is not None]
        requires[name] = tuple(sorted({*requires.get(name, ()), *(each for each, _ in asked)}))
        waiting += asked
    return msgspec.structs.replace(
        _here(dict(sorted(packages.items()))),
        roots=tuple(roots),
        requires={name: requires[name] for name in sorted(requires) if requires[name]},
        hashes=dict(sorted(hashes.items())),
        trained=dict(sorted((trained or {}).items())),
    )


def served_with(environment: Environment, flavor: str) -> dict[str, str]:
    """The distributions that a model in this form needs to answer. A form that is not known here may need everything.

    >>> served_with(Environment(python="3", platform="x", packages={"numpy": "2", "onnxruntime": "1", "polars": "1"}), "onnx")
    {'numpy': '2', 'onnxruntime': '1'}
    """
    if flavor not in SERVING:
        return dict(environment.packages)
    own = environment.roots if flavor not in ("onnx", "lightgbm", "xgboost") else ()
    return _with_all_they_ask_for(environment, (*SERVING[flavor], *own))


def made_with(environment: Environment) -> dict[str, str]:
    """The distributions that the model was trained with: as its maker pinned them, or those its objects are from and what these ask for."""
    if environment.trained:
        return dict(environment.trained)
    return _with_all_they_ask_for(environment, environment.roots) if environment.roots else dict(environment.packages)


def requirements(packages: Mapping[str, str], hashes: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """A requirements file with exact versions. Hashes are checked by pip only if all are known, so otherwise they stand as comments.

    >>> print(requirements({"numpy": "2.1.0"}, {"numpy": ("sha256:ab",)}), end="")
    numpy==2.1.0 --hash=sha256:ab
    """
    known = hashes or {}
    checked = bool(packages) and all(known.get(name) for name in packages)
    lines = []
    for name, version in sorted(packages.items()):
        noted = " ".join(f"--hash={each}" if checked else f"# {each}" for each in known.get(name, ()))
        lines.append(f"{name}=={version} {noted}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def pinned(text: str) -> dict[str, str]:
    """What a requirements file pins exactly; lines that pin nothing (`pandas<3`, `-r other.txt`, comments) are passed over.

    >>> pinned("numpy==2.1.0 --hash=sha256:ab\\nPandas < 3\\nscikit_learn == 1.6.1 ; python_version > '3'")
    {'numpy': '2.1.0', 'scikit-learn': '1.6.1'}
    """
    found = {}
    for line in text.splitlines():
        said = re.match(_NAME.pattern + r"\s*===?\s*([A-Za-z0-9.!+_-]+)\s*(?:$|[;#\\]|--|\s)", line)
        if said:
            found[_plain(said[1])] = said[3]
    return found


def digest(environment: Environment) -> Digest:
    """The address of an environment: equal exactly when interpreter, platform and all distributions are equal."""
    return digest_of(canonical(environment))


def _here(packages: dict[str, str]) -> Environment:
    return Environment(
        python=platform.python_version(), platform=f"{sys.platform}-{platform.machine()}", packages=packages
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        return None


def _asked_for(found: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """What a distribution asks for, without the extras that nobody wants. Markers of platforms are left to what is installed."""
    for line in found.requires or ():
        said, _, marker = line.partition(";")
        wanted = _EXTRA.findall(marker)
        name = _NAME.match(said)
        if name is None or (wanted and not extras & set(wanted)):
            continue
        more = frozenset(each.strip() for each in (name[2] or "").split(",") if each.strip())
        yield _plain(name[1]), more


def _archive_hashes(found: Distribution) -> tuple[str, ...]:
    """Hashes of the archive that a distribution was installed from, if the installer noted them (PEP 610, PEP 710)."""
    for name in _ARCHIVES:
        text = found.read_text(name)
        if not text:
            continue
        try:
            noted = msgspec.json.decode(text, type=_Origin)
        except msgspec.MsgspecError:
            continue
        if noted.archive_info is not None and "sha256" in noted.archive_info.hashes:
            return (f"sha256:{noted.archive_info.hashes['sha256']}",)
    return ()


class _Archive(msgspec.Struct):
    hashes: dict[str, str] = {}


class _Origin(msgspec.Struct):
    archive_info: _Archive | None = None


def _with_all_they_ask_for(environment: Environment, names: Iterable[str]) -> dict[str, str]:
    waiting, found = [name for name in names if name in environment.packages], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += environment.requires.get(name, ())
    return {name: environment.packages[name] for name in sorted(found) if name in environment.packages}
