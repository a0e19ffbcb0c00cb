"""What a worker serves at this moment: immutable snapshots that are exchanged whole, so that a request sees one generation from begin to end.

Loading what goes in here is app/worker; the document it follows is desired. Read by server/inference for every request.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from noria.domain.deployment import Variant
from noria.domain.ids import RolloutId
from noria.domain.model import Signature
from noria.errors import ModelNotReady, ModelUnknown, NoriaError, RequestInvalid
from noria.ports.flavor import Columns, Predictor
from noria.serving.batching import Batcher
from noria.serving.companions import UNTRIED, Judgement
from noria.serving.route import Held, chances, pick, sticky_of


@dataclass(frozen=True, slots=True)
class Served:
    """One loaded variant. check: refuses columns against the signature and counts values that training never saw; unseen: only counts them, for
    columns that a codec has made to the signature (both from packaging/signature, passed in). batcher: where requests are answered in company, which
    `company` explains."""

    variant: Variant
    signature: Signature
    predictor: Predictor
    check: Callable[[Columns], int]
    unseen: Callable[[Columns], int]
    flavor: str
    batcher: Batcher | None = None
    company: Judgement = UNTRIED


@dataclass(frozen=True)
class Live:
    """One generation of a deployment, loaded. variants: those that answer, at least one, the champion first.

    shadows: get copies, and nobody sees what they say. routes: what requests are split between; a variant in it that could not be loaded (`missing`,
    name -> why) has its share answered by the champion, and nobody else's variant changes for it.
    """

    deployment: str
    generation: int
    variants: tuple[Served, ...]
    sticky_by: str = "request"
    rollout: RolloutId | None = None
    shadows: tuple[Served, ...] = ()
    routes: tuple[Variant, ...] = ()
    missing: dict[str, NoriaError] = field(default_factory=dict)
    header_override: bool = True

    def __post_init__(self) -> None:
        """Prepare what each request asks for."""
        routes = self.routes or tuple(served.variant for served in self.variants)
        names = [served.variant.name for served in self.variants]
        set_ = object.__setattr__
        set_(self, "routes", routes)
        set_(self, "_by_route", tuple(self.variants[names.index(v.name) if v.name in names else 0] for v in routes))
        set_(self, "_chances", chances(routes, loaded=names) if len(routes) > 1 else {v.name: 1.0 for v in routes})
        set_(self, "held", sticky_of(self.sticky_by))

    held: tuple[Held, str] = field(init=False, default=("request", ""))
    """What keeps a caller with its variant."""
    _by_route: tuple[Served, ...] = field(init=False, default=(), repr=False)
    _chances: dict[str, float] = field(init=False, default_factory=dict, repr=False)

    def at(self, place: float) -> Served:
        """Who answers a key that stands there (route.position)."""
        return self._by_route[pick(self.routes, place)]

    def chance(self, name: str) -> float:
        """How probable it is that a request falls to this variant."""
        return self._chances.get(name, 0.0)

    def named(self, name: str) -> Served:
        """The variant of this role. Raises RequestInvalid naming those there are, or where callers may not choose."""
        if not self.header_override:
            raise RequestInvalid(
                f"deployment {self.deployment!r} lets no caller choose its variant",
                cause="header_override is declared false",
                remedy="leave Noria-Variant out",
            )
        for served in self.variants:
            if served.variant.name == name:
                return served
        known = ", ".join(repr(s.variant.name) for s in self.variants)
        in_the_shadow = any(s.variant.name == name for s in self.shadows)
        raise RequestInvalid(
            f"deployment {self.deployment!r} has no variant {name!r}"
            + (" that answers callers: it is a shadow" if in_the_shadow else ""),
            cause=f"now there are: {known}",
            remedy="leave Noria-Variant out",
        )

    def numbered(self, number: str) -> Served:
        """The variant that serves this version. Raises ModelUnknown."""
        for served in self.variants:
            if str(served.variant.number) == number:
                return served
        known = ", ".join(str(s.variant.number) for s in self.variants)
        raise ModelUnknown(
            f"deployment {self.deployment!r} does not serve version {number!r}",
            cause=f"served now: {known}",
            remedy="noria status",
        )


class Board:
    """Deployment name -> what is live. Written by the loader, read by requests; a name may be wanted and not loaded yet, or have failed to."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._failed: dict[str, NoriaError | None] = {}
        self._unloaded: frozenset[str] = frozenset()
        self._stopped: dict[str, str] = {}
        self._draining = False

    def get(self, name: str) -> Live:
        """What is live under a name. Raises ModelUnknown, ModelNotReady."""
        live = self._live.get(name)
        if live is not None:
            return live
        if name in self._stopped:
            raise ModelNotReady(
                f"deployment {name!r} was stopped", cause=self._stopped[name], remedy=f"noria resume {name}"
            )
        if name in self._failed:
            error = self._failed[name]
            cause = "it is being loaded" if error is None else f"{error.headline()}"
            raise ModelNotReady(
                f"deployment {name!r} is not ready", cause=cause, remedy="try again in a moment; see /noria/status"
            )
        known = ", ".join(repr(n) for n in sorted(self._live)) or "none"
        if name in self._unloaded:
            raise ModelUnknown(
                f"deployment {name!r} was unloaded", cause=f"served here: {known}", remedy="load it again"
            )
        raise ModelUnknown(
            f"no deployment {name!r} is served here", cause=f"served here: {known}", remedy="noria status"
        )

    def put(self, live: Live) -> None:
        """Exchange a deployment's snapshot; requests under way finish with the one they began with."""
        self._live = {**self._live, live.deployment: live}
        self._failed = {name: error for name, error in self._failed.items() if name != live.deployment}
        self._stopped.pop(live.deployment, None)
        self._unloaded -= {live.deployment}

    def stop(self, name: str, reason: str) -> None:
        """Answer nobody under this name, and say why, until it is put again; requests under way finish."""
        self.remove(name)
        self._stopped[name] = reason

    def stopped(self, name: str) -> str:
        """Why nobody is answered under this name on purpose, or ''."""
        return self._stopped.get(name, "")

    def wanted(self, name: str, error: NoriaError | None = None) -> None:
        """Note that a deployment should be here and is not (yet), or why its newest generation could not be loaded."""
        self._failed = {**self._failed, name: error}
        self._unloaded -= {name}

    def unload(self, name: str) -> None:
        """Take it off until it is put or wanted again; requests under way finish with the snapshot they began with."""
        self.remove(name)
        self._unloaded |= {name}

    def unloaded(self) -> list[str]:
        """Every name that was unloaded, sorted; none of them is among `names`."""
        return sorted(self._unloaded)

    def remove(self, name: str) -> None:
        """Serve it no longer."""
        self._live = {other: live for other, live in self._live.items() if other != name}
        self._failed = {other: error for other, error in self._failed.items() if other != name}
        self._stopped.pop(name, None)

    def error(self, name: str) -> NoriaError | None:
        """Why the newest generation is not live, if it is not."""
        return self._failed.get(name)

    def names(self) -> list[str]:
        """Every name that is live, wanted or stopped, sorted."""
        return sorted({*self._live, *self._failed, *self._stopped})

    def all(self) -> list[Live]:
        """Everything live, by name."""
        return [self._live[name] for name in sorted(self._live)]

    def drain(self) -> None:
        """The worker is about to end: not ready any more, but it answers."""
        self._draining = True

    def ready(self) -> bool:
        """Whether everything wanted is live and the worker stays (an empty worker is not ready). What a person stopped is as it should be."""
        some = bool(self._live) or bool(self._stopped)
        return not self._draining and some and all(name in self._live for name in self._failed)
