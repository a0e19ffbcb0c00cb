"""Run a pipeline: find what is done, run the rest, commit each step once. Running it again after a crash goes on at the first unfinished step.

Order and keys are plan.py; results as bytes are cache.py; holding a step is lease.py. Called by loop/stages/train and by projects.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from noria.domain.ids import Digest, digest_of
from noria.domain.pipeline import JournalEntry, Plan, StepResult, StepTask
from noria.errors import LeaseLost, NoriaError, NotFound, StepFailed
from noria.pipeline.cache import Codec, Codecs
from noria.pipeline.declare import Pipeline
from noria.pipeline.lease import Leases
from noria.pipeline.plan import BoundStep, Layout, explain, lay_out, task_of
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.executor import Executor
from noria.ports.journal import StepJournal


@dataclass(frozen=True, kw_only=True)
class Input:
    """A value whose digest is known without looking at it, e.g. a DatasetVersion's; load is called only if a step that takes it has to run."""

    digest: Digest
    load: Callable[[], object]


class PipelineRun:
    """What a run came to: one StepResult a step, in the plan's order, and the results, read when they are asked for."""

    def __init__(self, plan: Plan, steps: tuple[StepResult, ...], blobs: BlobStore, codecs: Codecs) -> None:
        self.plan = plan
        self.steps = steps
        self._outputs = {s.step: s.output for s in steps if s.output is not None}
        self._blobs, self._codecs = blobs, codecs

    def __getitem__(self, step: str) -> Any:
        """The result of a step, as a later step would get it. Raises NotFound."""
        if step not in self._outputs:
            raise NotFound.of("step", step, list(self._outputs))
        return self._codecs.decode(self._blobs.get(self._outputs[step]))

    @property
    def ran(self) -> int:
        """How many steps were run."""
        return sum(s.state == "done" for s in self.steps)

    @property
    def cached(self) -> int:
        """How many steps were found."""
        return sum(s.state == "cached" for s in self.steps)


def run_pipeline(
    pipeline: Pipeline,
    *,
    journal: StepJournal,
    blobs: BlobStore,
    executor: Executor,
    clock: Clock,
    holder: str,
    environment: Digest,
    params: Mapping[str, object] | None = None,
    inputs: Mapping[str, object] | None = None,
    run_id: str = "",
    codecs: Sequence[Codec] = (),
    on_step: Callable[[StepResult], None] | None = None,
    lease_s: float = 30.0,
) -> PipelineRun:
    """Bring every step of a pipeline to its result, running only what was not done before with the same code, params, inputs and environment.

    inputs: values; an Input; or the Digest of an earlier step's result. A step gets the result of another as it was stored, so it sees the same
    whether that one ran just now or a year ago. holder: who runs; the same name may take its own interrupted steps over at once, another one
    after lease_s seconds without a sign of life. on_step: told of each step as soon as it is done or found.
    Raises InputInvalid (see `plan`), StepFailed (with the step's own error as cause; steps before it are kept), LeaseLost, Conflict (another
    holder is at the step), DiskFull.
    """
    kept = Codecs(codecs)
    given = {name: _input_of(value, blobs, kept) for name, value in (inputs or {}).items()}
    layout = lay_out(pipeline, environment=environment, params=params or {}, inputs=given)
    run = _Run(
        layout=layout,
        inputs=given,
        journal=journal,
        blobs=blobs,
        codecs=kept,
        executor=executor,
        leases=Leases(journal, clock, holder=holder, seconds=lease_s, run_id=run_id),
        on_step=on_step or (lambda result: None),
    )
    run.recall()
    with run.leases:
        while run.open:
            run.advance()
    run.remember()
    results = tuple(run.results[b.spec.name] for b in layout.steps)
    return PipelineRun(layout.plan, results, blobs, kept)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A call that an executor can carry to another process."""

    function: Callable[..., Any]
    arguments: Mapping[str, object]


def _call(work: _Work) -> tuple[Any, float]:
    """The function's result and how many seconds it took. At module level, so that it pickles."""
    began = time.perf_counter()
    value = work.function(**work.arguments)
    return value, time.perf_counter() - began


@dataclass(kw_only=True)
class _Run:
    layout: Layout
    inputs: Mapping[str, Input]
    journal: StepJournal
    blobs: BlobStore
    codecs: Codecs
    executor: Executor
    leases: Leases
    on_step: Callable[[StepResult], None]

    def __post_init__(self) -> None:
        self.open: dict[str, BoundStep] = {b.spec.name: b for b in self.layout.steps}
        self.results: dict[str, StepResult] = {}
        self.outputs: dict[str, Digest] = {}
        self.tasks: dict[str, StepTask] = {}
        self._digests = {name: given.digest for name, given in self.inputs.items()}
        self._note = f"pipelines/{self.layout.plan.pipeline}"
        self._noted: dict[Digest, Digest] = {}

    def recall(self) -> None:
        """Find finished steps with one query.

        A key depends on the results before it, so a chain would ask once a step. The note of the last run says which result followed from
        which key. It is a guess only: the journal is asked about all keys that follow, and a step is found only as far as the journal agrees.
        """
        self._noted = self._read_note()
        guessed: dict[str, Digest] = {}
        for bound in self.layout.steps:
            if bound.spec.cacheable and all(n in guessed for n in bound.spec.needs):
                task = task_of(bound, guessed, self._digests)
                self.tasks[bound.spec.name] = task
                if task.cache_key in self._noted:
                    guessed[bound.spec.name] = self._noted[task.cache_key]
        done = self.journal.find([t.cache_key for t in self.tasks.values()])
        for bound in self.layout.steps:
            name = bound.spec.name
            as_guessed = all(n in self.outputs and self.outputs[n] == guessed.get(n) for n in bound.spec.needs)
            if name in self.tasks and as_guessed:
                self._find(bound, done.get(self.tasks[name].cache_key))

    def advance(self) -> None:
        """Find, or else run, all steps whose needs are there."""
        ready = [b for b in self.open.values() if all(n in self.outputs for n in b.spec.needs)]
        self.tasks.update({b.spec.name: task_of(b, self.outputs, self._digests) for b in ready})
        keys = [self.tasks[b.spec.name].cache_key for b in ready if b.spec.cacheable]
        done = self.journal.find(keys) if keys else {}
        missing = [b for b in ready if not self._find(b, done.get(self.tasks[b.spec.name].cache_key))]
        if len(missing) == len(ready):
            self._run(missing)

    def remember(self) -> None:
        """Leave a note for `recall`; it may be lost or wrong without harm."""
        note = {r.cache_key: r.output for r in self.results.values() if r.output is not None}
        if note != self._noted:
            self.blobs.publish(self._note, msgspec.msgpack.encode(note))

    def _read_note(self) -> dict[Digest, Digest]:
        note = self.blobs.published(self._note)
        try:
            return msgspec.msgpack.decode(note, type=dict[Digest, Digest]) if note else {}
        except msgspec.MsgspecError:
            return {}

    def _find(self, bound: BoundStep, entry: JournalEntry | None) -> bool:
        """Take a finished entry as the step's result, if its bytes are still here."""
        if not bound.spec.cacheable or entry is None or entry.output is None or not self.blobs.has(entry.output):
            return False
        self._settle(
            StepResult(
                step=bound.spec.name,
                state="cached",
                cache_key=entry.cache_key,
                output=entry.output,
                seconds=0.0,
                why=f"found, from run {entry.run_id}" if entry.run_id else "found",
            )
        )
        return True

    def _run(self, steps: list[BoundStep]) -> None:
        """Run steps that do not need each other, and commit each as it ends."""
        why = {b.spec.name: self._why(b) for b in steps}
        mine = [b for b in steps if not self._lease(b)]
        work = [_Work(function=b.step.function, arguments=self._arguments(b)) for b in mine]
        for bound, (value, seconds) in zip(mine, self._results(mine, work), strict=True):
            name = bound.spec.name
            output = self._store(name, value)
            if bound.spec.cacheable:
                self.leases.commit(self.tasks[name], output=output, seconds=seconds)
            self._settle(
                StepResult(
                    step=name,
                    state="done",
                    cache_key=self.tasks[name].cache_key,
                    output=output,
                    seconds=seconds,
                    why=why[name],
                )
            )

    def _results(self, steps: list[BoundStep], work: list[_Work]) -> Iterator[tuple[Any, float]]:
        """What the executor gives, with the name of the step that failed: results come in order, so it is the first without one."""
        count = 0
        results = self.executor.map(_call, work)
        while count < len(work):
            try:
                result = next(results)
            except StepFailed as error:
                raise self._failed(steps[count].spec.name, error.__cause__ or error) from (error.__cause__ or error)
            count += 1
            yield result

    def _failed(self, name: str, error: BaseException) -> StepFailed:
        told = error.problem if isinstance(error, NoriaError) else str(error) or "no message"
        kept = len(self.results)
        kind = LeaseLost if isinstance(error, LeaseLost) else StepFailed
        return kind(
            f"step '{name}' of pipeline '{self.layout.plan.pipeline}' failed: {type(error).__name__}: {told}",
            cause=(error.cause if isinstance(error, NoriaError) else "")
            or f"its code raised; {kept} steps before it are kept",
            remedy=(error.remedy if isinstance(error, NoriaError) and error.remedy != error.default_remedy else "")
            or "correct the step or its inputs and run again: it goes on at this step",
        )

    def _lease(self, bound: BoundStep) -> bool:
        """Take a step; True if somebody finished it meanwhile, and it was found after all."""
        name = bound.spec.name
        if not bound.spec.cacheable:
            return False
        entry = self.leases.take(self.tasks[name])
        return entry.state == "done" and self._find(bound, entry)

    def _store(self, name: str, value: object) -> Digest:
        try:
            return self.blobs.put(self.codecs.encode(value))
        except NoriaError as error:
            if error.retryable:
                raise
            raise self._failed(name, error) from error

    def _arguments(self, bound: BoundStep) -> dict[str, object]:
        arguments = dict(bound.values)
        for a in bound.arguments:
            if a.origin == "step":
                arguments[a.parameter] = self.codecs.decode(self.blobs.get(self.outputs[a.source]))
            elif a.origin == "input":
                arguments[a.parameter] = self.inputs[a.source].load()
        return arguments

    def _why(self, bound: BoundStep) -> str:
        if not bound.spec.cacheable:
            return "never cached"
        return explain(self.tasks[bound.spec.name], self.journal.last_done(bound.spec.name))

    def _settle(self, result: StepResult) -> None:
        assert result.output is not None
        del self.open[result.step]
        self.results[result.step] = result
        self.outputs[result.step] = result.output
        self.on_step(result)


def _input_of(value: object, blobs: BlobStore, codecs: Codecs) -> Input:
    if isinstance(value, Input):
        return value
    if isinstance(value, str) and value.startswith("blake3:") and len(value) == 71:
        digest = Digest(value)
        return Input(digest=digest, load=lambda: codecs.decode(blobs.get(digest)))
    return Input(digest=digest_of(codecs.encode(value)), load=lambda: value)
