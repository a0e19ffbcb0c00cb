"""Record what an estimator was made with, without being told each param. Imports no scikit-learn. Called by whoever trains in a notebook."""

from typing import Any, Protocol

from noria.domain.run import ParamValue
from noria.errors import InputInvalid
from noria.tracking.active_run import ActiveRun

LONGEST = 250


class Parametrized(Protocol):
    """What scikit-learn's estimators, and those that follow its conventions, can tell of themselves."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Params by name; those of inner estimators as `step__param`."""
        ...


def autolog_sklearn(run: ActiveRun, estimator: Parametrized) -> None:
    """Set every param of an estimator, those of inner ones too, and the tag `estimator` to its class.

    A param that is itself an estimator is recorded as its class; any other value that is no text, number or boolean as its `repr`, cut at 250
    characters. Raises InputInvalid for an object without `get_params`.
    """
    get_params = getattr(estimator, "get_params", None)
    if isinstance(estimator, type) or not callable(get_params):
        raise InputInvalid(
            f"{estimator!r} has no get_params()",
            cause="only estimators with scikit-learn's conventions can tell their params",
            remedy="run.param(...)",
        )
    run.param({name: _plain(value) for name, value in get_params(deep=True).items()})
    run.tag(estimator=_class(estimator))


def _plain(value: Any) -> ParamValue:
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if plain is None or isinstance(plain, str | bool | int | float):
        return plain
    if hasattr(plain, "get_params"):
        return _class(plain)
    return repr(plain)[:LONGEST]


def _class(value: object) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
