"""Every error that Noria raises: problem, cause, remedy, and whether a retry can help.

The tree (code, * = a retry can help):

    NoriaError
    ├── InputInvalid              what a caller handed in cannot be used
    │   ├── SourceUnreadable      noria-1001
    │   ├── SchemaMismatch        noria-1002
    │   ├── EmptyTable            noria-1003
    │   ├── ExpectationFailed     noria-1004
    │   ├── RequestInvalid        noria-1005
    │   ├── RequestTooLarge       noria-1006
    │   ├── LabelInvalid          noria-1007
    │   ├── EmptySample           noria-1008
    │   ├── BinMismatch           noria-1009
    │   ├── LeakDetected          noria-1010
    │   ├── QueryInvalid          noria-1011
    │   ├── PathRefused           noria-1012
    │   ├── MediaTypeUnsupported  noria-1013
    │   ├── AnswerNotAcceptable   noria-1014
    │   └── RequestTooSlow        noria-1015
    ├── NotFound                  noria-2001
    ├── Conflict                  noria-2002
    │   ├── AlreadyExists         noria-2003
    │   ├── StaleWrite          * noria-2004
    │   └── LabelContradicts      noria-2005
    ├── StoreError
    │   ├── StoreUnavailable    * noria-3001
    │   ├── StoreNewer            noria-3002
    │   ├── StoreCorrupt          noria-3003
    │   ├── DiskFull            * noria-3004
    │   └── LedgerTampered        noria-3005
    ├── GateNotPassed             noria-4107
    ├── BundleError
    │   ├── BundleCorrupt         noria-5001
    │   ├── BundleRefused         noria-5002
    │   └── ParityFailed          noria-5003
    ├── ServingError
    │   ├── ModelUnknown          noria-6001
    │   ├── ModelNotReady       * noria-6002
    │   ├── Overloaded          * noria-6003
    │   └── DeadlineMissed      * noria-6004
    ├── StepFailed                noria-7001
    │   └── LeaseLost           * noria-7002
    ├── ConfigError
    │   ├── SettingInvalid        noria-8001
    │   ├── AdapterUnknown        noria-8002
    │   └── ExtraMissing          noria-8003
    └── AccessError
        ├── NotSignedIn           noria-9001
        └── AccessRefused         noria-9002

Foreign exceptions are translated where they enter (an adapter, a codec) with `from`. Called by every room.
"""

from difflib import get_close_matches
from errno import EDQUOT, EFBIG, ENOSPC
from typing import ClassVar


class NoriaError(Exception):
    """The root of the tree: says what happened, why, and one thing to do about it.

    problem: one sentence, lower-case identifiers in quotes. cause: what led to it. remedy: a command or a change that can be pasted.

    >>> print(NoriaError("model 'churn' is unknown", cause="nothing was registered", remedy="noria init"))
    model 'churn' is unknown
      cause:  nothing was registered
      remedy: noria init
    """

    code: ClassVar[str] = "noria-0000"
    retryable: ClassVar[bool] = False
    default_remedy: ClassVar[str] = "noria doctor"

    def __init__(self, problem: str, *, cause: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.cause = cause
        self.remedy = remedy or self.default_remedy
        super().__init__(problem)

    def __str__(self) -> str:
        lines = [self.problem]
        if self.cause:
            lines.append(f"  cause:  {self.cause}")
        lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)

    def headline(self) -> str:
        """The first line as a terminal shows it: class, code and problem."""
        return f"{type(self).__name__} [{self.code}]: {self.problem}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.problem, self.cause, self.remedy))


def _rebuild(kind: type[NoriaError], problem: str, cause: str, remedy: str) -> NoriaError:
    """Errors cross process boundaries (executors), so they pickle with their keywords."""
    return kind(problem, cause=cause, remedy=remedy)


class InputInvalid(NoriaError):
    """What a caller handed in cannot be used as it is."""

    code = "noria-1000"
    default_remedy = "correct the input and send it again"


class SourceUnreadable(InputInvalid):
    """A data source is missing, truncated or not of the format it claims."""

    code = "noria-1001"


class SchemaMismatch(InputInvalid):
    """Columns are missing, surplus or of another type than the schema says."""

    code = "noria-1002"


class EmptyTable(InputInvalid):
    """A table has no rows where at least one is needed."""

    code = "noria-1003"


class ExpectationFailed(InputInvalid):
    """Rows break an expectation whose severity is 'refuse'."""

    code = "noria-1004"


class RequestInvalid(InputInvalid):
    """A request to a server does not follow its protocol or the model's signature."""

    code = "noria-1005"


class RequestTooLarge(InputInvalid):
    """A request body is larger than the server accepts."""

    code = "noria-1006"


class LabelInvalid(InputInvalid):
    """A label has no usable value, or names a prediction that was never made."""

    code = "noria-1007"


class EmptySample(InputInvalid):
    """A statistic was asked of nothing."""

    code = "noria-1008"


class BinMismatch(InputInvalid):
    """Two histograms do not share their bins."""

    code = "noria-1009"


class LeakDetected(InputInvalid):
    """A decision or a feature used a value before it was known."""

    code = "noria-1010"


class QueryInvalid(InputInvalid):
    """A search's text, field, operator, value or page token cannot be understood; the problem names the place.

    reason: which of these it is (wire/query_fields.Reason), for a face that says it in its own words; '' if that is not known.
    token: the piece of the text that is meant.
    """

    code = "noria-1011"
    default_remedy = "see docs/reference/query.md"
    reason: str = ""
    token: str = ""


class PathRefused(InputInvalid):
    """A path leads, or could lead, out of the place it belongs to, or is none."""

    code = "noria-1012"
    default_remedy = "use a relative path of plain names, such as 'model/MLmodel'"


class MediaTypeUnsupported(InputInvalid):
    """A request's body is of a content type, or in a charset, that the protocol does not have."""

    code = "noria-1013"
    default_remedy = "send application/json in UTF-8"


class AnswerNotAcceptable(InputInvalid):
    """A request asks (Accept) for an answer in a form that the protocol does not have."""

    code = "noria-1014"
    default_remedy = "accept application/json"


class RequestTooSlow(InputInvalid):
    """A request's body did not arrive within the time that the server gives it."""

    code = "noria-1015"


class NotFound(NoriaError):
    """A noun was asked for by a name or an id that the store does not hold."""

    code = "noria-2001"
    default_remedy = "noria status"

    @classmethod
    def of(cls, noun: str, name: object, known: list[str] | None = None, *, remedy: str = "") -> "NotFound":
        """Name the thing that is missing and offer the nearest names that exist."""
        near = get_close_matches(str(name), known or [], n=3, cutoff=0.5)
        cause = f"did you mean {', '.join(repr(n) for n in near)}?" if near else ""
        if not near and known is not None:
            cause = f"known: {', '.join(repr(n) for n in known[:8])}" if known else f"the store holds no {noun} yet"
        return cls(f"no {noun} {str(name)!r}", cause=cause, remedy=remedy)


class Conflict(NoriaError):
    """The request contradicts what the store already holds."""

    code = "noria-2002"


class AlreadyExists(Conflict):
    """Something with this id exists, and it differs from what was sent."""

    code = "noria-2003"


class StaleWrite(Conflict):
    """Somebody else changed the noun since it was read."""

    code = "noria-2004"
    retryable = True
    default_remedy = "read it again and repeat the change"


class LabelContradicts(Conflict):
    """A second label for a prediction differs from the first; both are kept, the first one counts until it is corrected."""

    code = "noria-2005"


class StoreError(NoriaError):
    """A store cannot do its work."""

    code = "noria-3000"


class StoreUnavailable(StoreError):
    """The store does not answer, or another writer holds it for too long."""

    code = "noria-3001"
    retryable = True


class StoreNewer(StoreError):
    """The store was written by a newer Noria than this one."""

    code = "noria-3002"
    default_remedy = "pip install --upgrade noria"


class StoreCorrupt(StoreError):
    """Stored bytes do not match their digest or cannot be read."""

    code = "noria-3003"


class DiskFull(StoreError):
    """The disk, or a quota on it, has no room left; nothing of this write was kept."""

    code = "noria-3004"
    retryable = True
    default_remedy = "free some space, then repeat the command: what was stored before is intact"

    @classmethod
    def is_behind(cls, error: OSError) -> bool:
        """Whether an error of the operating system says: no space, quota used up, or file size limit reached."""
        return error.errno in {ENOSPC, EDQUOT, EFBIG}


class LedgerTampered(StoreError):
    """A row of the ledger was changed, removed or reordered after it was written."""

    code = "noria-3005"
    default_remedy = "noria audit verify"


class GateNotPassed(NoriaError):
    """A model version failed a gate and may not take the place it was meant for."""

    code = "noria-4107"


class BundleError(NoriaError):
    """A bundle cannot be built or opened."""

    code = "noria-5000"


class BundleCorrupt(BundleError):
    """A file of the bundle differs from its recorded digest."""

    code = "noria-5001"
    default_remedy = "register the model again, or restore the store from a backup"


class BundleRefused(BundleError):
    """The bundle needs code to load (pickle), and this project does not allow that."""

    code = "noria-5002"


class ParityFailed(BundleError):
    """A converted model answers differently from the one it was converted from."""

    code = "noria-5003"


class ServingError(NoriaError):
    """A deployment cannot answer."""

    code = "noria-6000"


class ModelUnknown(ServingError):
    """No deployment or version of this name is served here."""

    code = "noria-6001"


class ModelNotReady(ServingError):
    """The version is known and not loaded yet."""

    code = "noria-6002"
    retryable = True


class Overloaded(ServingError):
    """The server sheds load; the request was not answered and not recorded."""

    code = "noria-6003"
    retryable = True


class DeadlineMissed(ServingError):
    """The answer would have come later than the caller, or the server, lets it."""

    code = "noria-6004"
    retryable = True


class StepFailed(NoriaError):
    """A pipeline step raised; steps before it are kept and will not run again."""

    code = "noria-7001"


class LeaseLost(StepFailed):
    """Another worker took over the step because this one went silent."""

    code = "noria-7002"
    retryable = True


class ConfigError(NoriaError):
    """Noria is set up in a way that cannot work."""

    code = "noria-8000"


class SettingInvalid(ConfigError):
    """A setting has a value that it cannot have."""

    code = "noria-8001"


class AdapterUnknown(ConfigError):
    """No adapter of this name is installed for the port."""

    code = "noria-8002"


class ExtraMissing(ConfigError):
    """A part of Noria needs an optional dependency that is not installed."""

    code = "noria-8003"


class AccessError(NoriaError):
    """A server will not answer this caller."""

    code = "noria-9000"


class NotSignedIn(AccessError):
    """The server asks for its key, and the request carries none or a wrong one."""

    code = "noria-9001"
    default_remedy = "send the header 'Authorization: Bearer KEY', where KEY is the server's NORIA_API_KEY"


class AccessRefused(AccessError):
    """A request came from another site, or for another host name, than the server answers to."""

    code = "noria-9002"
    default_remedy = "open the address that `noria up` printed"
