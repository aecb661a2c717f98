"""Many images in, exactly one report of each out, as they come.

Whatever happens to one of them, or to the process that judges it, is an indeterminate report of that image
and harms no other. The processes are our own instead of a pool's: of one that was killed it is known which
image it was busy with, and the others go on.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from validator import __version__
from validator.address import is_address, shown
from validator.catalogue import plugins
from validator.evidence import ArtifactError, Effect, Evidence, Layer, Location, Unreadable
from validator.facts.model import own_failure
from validator.facts.question import Question
from validator.policy.model import NO_POLICY, Policy
from validator.report.model import Report
from validator.source import MAX_SECONDS
from validator.validation import asked, unanswered, validate

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext

PATIENCE = 12 * MAX_SECONDS
"""Seconds without a word after which a process is given up: reading ends by itself, a library need not."""
_AHEAD = 2
"""Images that a process has at once, so that it need not wait for the next."""
_IN_FLIGHT = 256
"""Images that an executor has at once at least: enough for a cluster, and no memory."""
_EXECUTOR = "the executor"
_KEYWORDS = (validate.__kwdefaults__ or {}).keys()
_SAYS_SO_EVERY = 1.0
"""Seconds between two words of a process that unpacks an image, which may take long."""
_PRELOADED = ("validator.validation", "validator.disk.witness", "validator.windows.witness", "pyvhdi")


class Program(NamedTuple):
    """What judges: reports of two that differ do not compare."""

    version: str
    plugins: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join((f"image-validator {self.version}", *self.plugins))


def this_program() -> Program:
    """What judges in this process."""
    return Program(__version__, tuple(sorted(map(str, plugins()))))


def validate_many(
    paths: Iterable[str | os.PathLike[str]],
    profile: str | None = None,
    *,
    jobs: int = 1,
    executor: "Executor | None" = None,
    **keywords: Any,
) -> Iterator[Report]:
    """Judge many images, here or elsewhere.

    Args:
        paths: of the images; not more of them are taken than are worked on.
        profile: as `validate` takes it.
        jobs: processes that judge at the same time; 1 is this process. Of an executor, how many images it
            judges at the same time, where that is more than 64.
        executor: judges instead; it is not shut down. It gets absolute paths, which have to be the same files
            wherever it judges.
        **keywords: what else `validate` takes.

    Returns:
        The reports, in the order in which they are ready; one for each path, also where the file is gone,
        or the process that judged it. `unpacking` is called in this process, and not for an executor.

    Raises:
        TypeError: for a keyword that `validate` does not take.
        ValueError: for a profile or a format that does not exist, or jobs below 1.
        validator.plugins.PluginError: where an installed plug-in cannot be used.
    """
    return (report for _, report in judged(paths, profile, jobs=jobs, executor=executor, **keywords))


def judged(
    paths: Iterable[str | os.PathLike[str]],
    profile: str | None = None,
    *,
    jobs: int = 1,
    executor: "Executor | None" = None,
    **keywords: Any,
) -> Iterator[tuple[str, Report]]:
    """The reports of `validate_many`, each with the path, which of an address the report does not say."""
    if jobs < 1:
        raise ValueError(f"expected at least one job, found {jobs}")
    if unknown := keywords.keys() - (_KEYWORDS - {"name"}):
        raise TypeError(f"validate_many() got an unexpected keyword argument {min(unknown)!r}")
    keywords["today"] = keywords.get("today") or datetime.now(timezone.utc).date()
    policy = keywords.get("policy", NO_POLICY)
    aims = ("input_format", "generation", "will_convert", "nvme")
    question = asked(profile, policy, **{name: keywords[name] for name in aims if name in keywords})
    plugins()  # one that cannot be used is no fault of an image
    job = _Job(question, policy, keywords)
    names = map(os.fsdecode, paths)
    if executor is not None:
        return _by_executor(names, job, executor, max(_IN_FLIGHT, 4 * jobs))
    return ((name, job.judge(name)) for name in names) if jobs == 1 else _by_processes(names, job, jobs)


class _Job(NamedTuple):
    """What is asked of every image; it travels to whatever judges."""

    question: Question
    policy: Policy
    keywords: dict[str, Any]
    """Of `validate`."""

    def judge(self, name: str, path: str | None = None) -> Report:
        """The report about an image that the user calls so, and that may lie under another path here."""
        try:
            return validate(path or name, self.question.profile, name=name, **self.keywords)
        except FileNotFoundError:
            return self.unanswered(name, Evidence(Location(Layer.FILE), "no such file", "an image"))
        except ArtifactError as error:
            return self.unanswered(name, Evidence(Location(Layer.FILE), str(error), "one image"))
        except Unreadable as error:
            return self.unanswered(name, error.evidence)
        except Exception as error:
            return self.unanswered(name, own_failure(shown(name), error))

    def telling(self, unpacking: Callable[[int, int], object] | None, **others: Any) -> "_Job":
        """The same job, where somebody else is told how far an image is unpacked; None is nobody."""
        keywords = {**self.keywords, **others, "unpacking": unpacking}
        return self._replace(keywords={name: each for name, each in keywords.items() if each is not None})

    def unanswered(self, name: str, evidence: Evidence) -> Report:
        """The report about an image that could not be judged."""
        return unanswered(name, self.question, self.policy, evidence)


# --- executors ------------------------------------------------------------------------------------


def _by_executor(
    names: Iterator[str], job: _Job, executor: "Executor", most: int
) -> Iterator[tuple[str, Report]]:
    from concurrent.futures import FIRST_COMPLETED, wait

    program = this_program()
    parents = tuple(map(_full, job.keywords.get("parents", ())))
    job = job.telling(None, parents=parents)
    judging: dict[Future[Report], str] = {}
    try:
        while True:
            while len(judging) < most and (name := next(names, None)) is not None:
                try:
                    judging[executor.submit(_judge_elsewhere, program, job, name, _full(name))] = name
                except Exception as error:  # noqa: PERF203
                    yield name, job.unanswered(name, own_failure(shown(name), error, _EXECUTOR))
            if not judging:
                return
            for future in wait(judging, return_when=FIRST_COMPLETED).done:
                name = judging.pop(future)
                yield name, _taken(future, name, job)
    finally:
        for future in judging:
            future.cancel()


def _full(path: str | os.PathLike[str]) -> str:
    """A path from everywhere; not shortened, since `..` may lead out of a link."""
    path = os.fsdecode(path)
    return path if is_address(path) or os.path.isabs(path) else os.path.join(os.getcwd(), path)


def _judge_elsewhere(program: Program, job: _Job, name: str, path: str) -> Report:
    """What an executor is given to do."""
    if program != (here := this_program()):
        raise RuntimeError(f"expected {program}, found {here}")
    return job.judge(name, path)


def _taken(future: "Future[Report]", name: str, job: _Job) -> Report:
    """What an executor made of an image."""
    from concurrent.futures import CancelledError

    try:
        # Not result(), which would raise what was raised there: an interruption, and nobody interrupted us.
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    if error is None:
        report = future.result()
        if isinstance(report, Report) and report.path == shown(name):
            return report
        error = TypeError(f"a {type(report).__name__} where its report belongs")
    return job.unanswered(name, own_failure(shown(name), error, _EXECUTOR))


# --- processes ------------------------------------------------------------------------------------


def _by_processes(names: Iterator[str], job: _Job, jobs: int) -> Iterator[tuple[str, Report]]:
    from multiprocessing.connection import wait

    unpacking = job.keywords.get("unpacking")
    job = job.telling(None)

    context = _context()
    workers: list[_Worker] = []
    again: deque[str] = deque()
    """What a process had that is gone."""
    suspects: set[str] = set()
    """What a process was busy with that is gone. It may have been killed for another's sake: one more try."""
    why = ""

    def following() -> str | None:
        return again.popleft() if again else next(names, None)

    def given_up(worker: _Worker, fate: str, *, once_more: bool) -> Iterator[tuple[str, Report]]:
        """Take back what a process had that is gone, but for the image that it may be gone for."""
        workers.remove(worker)
        if worker.ready and worker.names:
            name = worker.names.popleft()
            if once_more and name not in suspects:
                suspects.add(name)
                again.append(name)
            else:
                yield name, job.unanswered(name, _failure(fate))
        again.extend(worker.names)

    try:
        while True:
            while len(workers) < jobs and (name := following()) is not None:
                try:
                    workers.append(_Worker(context, job))
                except OSError as error:  # noqa: PERF203
                    jobs, why = len(workers), f"no process could be started ({error.strerror})"
                    again.append(name)
                else:
                    workers[-1].give(name)
            for worker in workers:
                while len(worker.names) < _AHEAD and (name := following()) is not None:
                    worker.give(name)
            busy = [worker for worker in workers if worker.names]
            if not busy:
                break
            patience = min(worker.since for worker in busy) + PATIENCE - time.monotonic()
            heard = wait([worker.connection for worker in workers], max(0.0, patience))
            # Now: whoever takes the reports may take his time.
            late = [worker for worker in busy if worker.late and worker.connection not in heard]
            for worker in [each for each in workers if each.connection in heard]:
                try:
                    answer, progress = worker.answer()
                except Exception:  # noqa: PERF203 its end, or half an answer
                    why = worker.fate()
                    jobs -= not worker.ready  # the next would end in the same way
                    yield from given_up(worker, why, once_more=True)
                else:
                    if answer is not None:
                        yield answer
                    if progress is not None and unpacking is not None:
                        unpacking(*progress)
            for worker in late:
                worker.end()
                fate = f"the process that judged it gave no answer within {PATIENCE:g} seconds"
                yield from given_up(worker, fate, once_more=False)
        for name in iter(following, None):
            yield name, job.unanswered(name, _failure(why))
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that judges the images that it is given, one after another."""

    def __init__(self, context: "SpawnContext | ForkServerContext", job: _Job) -> None:
        self.names: deque[str] = deque()
        """What it has not answered yet; it is busy with the first."""
        self.ready = False
        self.since = time.monotonic()
        """When it began with the first."""
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, job), daemon=True)
        with theirs, _without_interruptions():
            self._process.start()

    @property
    def late(self) -> bool:
        """Whether it is given up."""
        return bool(self.names) and time.monotonic() - self.since > PATIENCE

    def give(self, name: str) -> None:
        """One more image."""
        if not self.names:
            self.since = time.monotonic()
        self.names.append(name)
        try:
            self.connection.send(name)
        except OSError:
            pass  # it is gone, as its end of the connection says

    def answer(self) -> tuple[tuple[str, Report] | None, tuple[int, int] | None]:
        """The first image and its report, or how far that is unpacked; neither where it is ready to begin.

        Raises:
            Exception: where it is gone.
        """
        said: Report | tuple[int, int] | None = self.connection.recv()
        self.since = time.monotonic()
        self.ready = True
        if isinstance(said, Report):
            return (self.names.popleft(), said), None
        return None, said

    def fate(self) -> str:
        """How a process ended whose end of the connection is closed."""
        self._process.join(1.0)
        code = self._process.exitcode
        self.end()
        if code is None:
            return "the process that judged it broke off"
        if code < 0:
            import signal

            return f"the process that judged it was ended by signal {-code} ({signal.strsignal(-code)})"
        return f"the process that judged it ended with exit code {code}"

    def end(self) -> None:
        """See that it is gone."""
        self._process.kill()
        self._process.join(1.0)
        self.connection.close()


def _context() -> "SpawnContext | ForkServerContext":
    """How processes are started: never as a copy of one that may have threads."""
    import multiprocessing

    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


@contextmanager
def _without_interruptions() -> Iterator[None]:
    """What is started here never gets SIGINT, which a terminal sends to all: it would say so, at length."""
    import signal

    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: "Connection", job: _Job) -> None:
    """What a process does until the one that started it has no more, or is gone."""
    import gc
    import logging
    import signal

    # What libraries log of requests holds addresses with all that is in them.
    logging.disable(logging.CRITICAL)
    gc.set_threshold(200_000)  # a report is no garbage; looking for some costs a sixth of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it cannot be blocked
    said = time.monotonic()

    def unpacking(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAYS_SO_EVERY:
            said = time.monotonic()
            connection.send((done, total))

    job = job.telling(unpacking)
    try:
        connection.send(None)
        while True:
            name = connection.recv()
            report = job.judge(name)
            try:
                connection.send(report)
            except OSError:
                raise
            except Exception as error:  # a report that does not travel
                connection.send(job.unanswered(name, own_failure(shown(name), error)))
    except (EOFError, OSError):
        pass


def _failure(what: str) -> Evidence:
    return Evidence(Location(Layer.TOOL), what, "an answer", effect=Effect.LOST)
