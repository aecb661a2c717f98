"""Images at addresses: few and bounded requests, for exactly the bytes of one version of a file.

Reading an image is a chain of small reads, most of which depend on the one before, so what costs is the
number of requests. Bytes are fetched in aligned windows; where another one is missing nearby, twice as many
come with it: a folder's index or a hive is one neighbourhood, a boot sector is not.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain

from validator.address import beside, is_address, shown
from validator.evidence import Effect, Evidence, Layer, Location, Unreachable, Unreadable, damaged
from validator.source import PIECE, Budget, Files, FileSource, FileState, Pages
from validator.stores import Fault, Part, Store, files_below, stores_of, together

MAX_SECONDS = 60.0
"""Judging an image at an address ends within this time."""
MAX_TRANSFER = 64 * 2**20
"""Bytes that are asked for, of all files of one image together, unless the user allows more."""
REQUEST_SECONDS = 10.0
PAUSES = (0.2, 0.8)
"""Seconds before the second and the third try of a request that may be tried again."""
_LONGEST_PAUSE = 5.0
WINDOW = 32 * 2**10
_FIRST = 2 * WINDOW
"""What the first request asks for."""
_NEIGHBOURHOOD = 512 * 2**10
_MOST_WINDOWS = 4
"""That are fetched where one is missing."""
_LONGEST = 2**20
"""Bytes of one request; more are several at the same time."""
_AT_ONCE = 8
_KEPT = 1024
"""Windows that are kept (32 MiB)."""


class Transfer(Budget):
    """How much one image at an address may cost.

    Args:
        most: bytes that may be asked for.
        seconds: for everything.
    """

    def __init__(self, most: int = MAX_TRANSFER, seconds: float = MAX_SECONDS) -> None:
        super().__init__(seconds)
        self._most = most
        self._transferred = 0
        self._lock = threading.Lock()

    def transfer(self, offset: int, length: int) -> None:
        """Account for a request for `length` bytes of a file from `offset`.

        Raises:
            Unreadable: when the budget is used up.
        """
        self._transferred += length
        if self._transferred > self._most:
            raise damaged(
                Location(Layer.FILE, offset),
                expected=f"at most {self._most} bytes to transfer (--max-transfer allows more)",
                found="an image that asks for more",
            )
        self.spend(length)

    def asked(self) -> None:
        """Count a request, which any thread may make."""
        with self._lock:
            self.count.requests += 1

    @property
    def patience(self) -> float:
        """Seconds that one request may take now."""
        return max(0.01, min(REQUEST_SECONDS, self._deadline - self._clock()))


class RemoteSource(FileSource):
    """A file at an address.

    Raises:
        Unreachable: from the constructor, for what the user can mend.
        Unreadable: from there, for what else keeps it from being read.
    """

    def __init__(self, address: str, budget: Transfer) -> None:
        self.path = shown(address)
        self.budget: Transfer = budget
        self._store: Store | None = None
        self._version: str | None = None
        self._windows: OrderedDict[int, bytes] = OrderedDict()
        self._missed = Counter[int]()
        first = self._open(address)
        self.size = first.size
        self._version = first.version
        self._keep(0, first.data)
        self._pages = Pages(self._read, self.size)
        self.state = FileState(self.path, self.size, 0, 0, 0, 0)
        budget.count.files += 1

    def _open(self, address: str) -> Part:
        """The beginning of the file, from the first store that gives it."""
        refusal: Unreadable | None = None
        try:
            stores = stores_of(address, self.budget.asked)
            while (store := self._next(stores)) is not None:
                self._store = store
                try:
                    return self._fetch([(0, _FIRST)])[0]
                except Unreadable as error:
                    store.close()
                    refusal = error
                    if not isinstance(error, Unreachable):
                        break
        except Fault as fault:
            refusal = Unreachable(self.path, _evidence(fault, None))
        except Exception as error:  # whose text may hold the address
            refusal = Unreadable(_evidence(_failed(error), None))
        assert refusal is not None
        raise refusal

    @staticmethod
    def _next(stores: Iterator[Store]) -> Store | None:
        """The next; making one may look for credentials, or connect."""
        (found,) = together([lambda: next(stores, None)], MAX_SECONDS)
        if isinstance(found, Exception):
            raise found
        return found

    def _read(self, offset: int, length: int) -> bytes:
        first, last = offset // WINDOW, (offset + length - 1) // WINDOW
        there = {
            number: self._windows[number] for number in range(first, last + 1) if number in self._windows
        }
        for number in there:
            self._windows.move_to_end(number)
        runs = [self._with_neighbours(start, end) for start, end in _runs(first, last, there)]
        spans = [
            (start, min(_LONGEST, end * WINDOW - start, self.size - start))
            for begin, end in runs
            for start in range(begin * WINDOW, min(end * WINDOW, self.size), _LONGEST)
        ]
        for (start, _), part in zip(spans, self._fetch(spans)):
            there.update(self._keep(start, part.data))
        data = b"".join(there[number] for number in range(first, last + 1))
        return data[offset - first * WINDOW :][:length]

    def _with_neighbours(self, start: int, end: int) -> tuple[int, int]:
        """A run of windows that are missing, and what comes with it."""
        place = start * WINDOW // _NEIGHBOURHOOD
        count = min(_MOST_WINDOWS, 1 << self._missed[place])
        self._missed[place] += 1
        lowest, highest = start // count * count, min(-(-end // count) * count, -(-self.size // WINDOW))
        if end * WINDOW > self.size:  # the last is never a short one
            lowest = min(lowest, max(0, self.size - WINDOW) // WINDOW)
        while start > lowest and start - 1 not in self._windows:
            start -= 1
        while end < highest and end not in self._windows:
            end += 1
        return start, end

    def _keep(self, offset: int, data: bytes) -> dict[int, bytes]:
        """Keep what was fetched, in windows, and forget those that were not used for longest."""
        first = offset // WINDOW
        new = {first + at // WINDOW: data[at : at + WINDOW] for at in range(0, len(data), WINDOW)}
        self._windows.update(new)
        while len(self._windows) > _KEPT:
            self._windows.popitem(last=False)
        return new

    def _fetch(self, spans: Sequence[tuple[int, int]]) -> list[Part]:
        """Spans of the version that was opened, by offset and length; what may be tried again is.

        Raises:
            Unreachable: for what the user can mend, as long as nothing was read.
            Unreadable: for what else keeps them from coming.
        """
        parts: dict[tuple[int, int], Part] = {}
        for pause in chain(PAUSES, [None]):
            faults: list[tuple[int, int, Fault]] = []
            left = [span for span in spans if span not in parts]
            for batch in (left[at : at + _AT_ONCE] for at in range(0, len(left), _AT_ONCE)):
                for span, outcome in zip(batch, self._attempt(batch)):
                    if isinstance(outcome, Part):
                        parts[span] = outcome
                    else:
                        faults.append((*span, outcome))
            if not faults:
                break
            offset, length, fault = min(faults, key=lambda each: each[2].again)
            if not fault.again or pause is None:
                raise self._unreadable(fault, offset, length)
            time.sleep(
                min(max(pause, *(each.after for *_, each in faults)), _LONGEST_PAUSE, self.budget.patience)
            )
        return [parts[span] for span in spans]

    def _attempt(self, spans: Sequence[tuple[int, int]]) -> list[Part | Fault]:
        """What comes of asking for spans once, all at the same time."""
        assert self._store is not None
        for span in spans:
            self.budget.transfer(*span)
        patience = self.budget.patience
        works = [partial(self._store.fetch, *span, self._version) for span in spans]
        outcomes = together(works, patience)
        if any(isinstance(outcome, TimeoutError) for outcome in outcomes):
            self._store.close()
        return [self._believed(outcome, patience) for outcome in outcomes]

    def _believed(self, outcome: Part | Exception, patience: float) -> Part | Fault:
        """A part of the version that was opened, or what is wrong."""
        if isinstance(outcome, Fault):
            return outcome
        if isinstance(outcome, TimeoutError):
            return Fault(f"no answer within {patience:.3g} seconds", again=True)
        if isinstance(outcome, Exception):  # whose text may hold the address
            return _failed(outcome)
        if self._version is None or (outcome.version, outcome.size) == (self._version, self.size):
            return outcome
        found = "another version: it was changed while it was read"
        return Fault(found, expected="the file as it was opened")

    def _unreadable(self, fault: Fault, offset: int, length: int) -> Unreadable:
        if self._version is None and fault.mendable:
            return Unreachable(self.path, _evidence(fault, None))
        fault.expected = fault.expected or f"{length} bytes"
        return Unreadable(_evidence(fault, offset))

    def changed(self) -> Evidence | None:
        """Evidence that the file is no longer what was opened, or None."""
        try:
            self._fetch([(0, 1)] if self.size else [])
        except Unreadable as error:
            return error.evidence
        return None

    def pieces(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """See `FileSource`; here it is within the budget, and nothing of it is kept."""
        end = self.size if length is None else offset + length
        for start in range(offset, end, PIECE):
            stop = min(start + PIECE, end)
            spans = [(at, min(_LONGEST, stop - at)) for at in range(start, stop, _LONGEST)]
            for part in self._fetch(spans):
                yield memoryview(part.data)

    def close(self) -> None:
        """Forget what was read, and end the connections."""
        self._windows.clear()
        if self._store is not None:
            self._store.close()


def _failed(error: Exception) -> Fault:
    return Fault(f"a failure of the client ({type(error).__name__})", expected="an answer")


def _evidence(fault: Fault, offset: int | None) -> Evidence:
    return Evidence(Location(Layer.FILE, offset), fault.found, fault.expected, effect=Effect.LOST)


def _runs(first: int, last: int, there: dict[int, bytes]) -> Iterator[tuple[int, int]]:
    """The runs of windows that are not there: where each begins, and what follows it."""
    start = None
    for number in range(first, last + 2):
        if number > last or number in there:
            if start is not None:
                yield start, number
            start = None
        elif start is None:
            start = number


class RemoteFiles(Files):
    """The files of an image of which one at least lies at an address.

    Args:
        most: bytes that may be transferred.
    """

    def __init__(self, most: int = MAX_TRANSFER) -> None:
        self._transfer = Transfer(most)
        super().__init__(self._transfer)
        self._addresses: dict[str, str] = {}
        """By what is shown of them."""

    def open(self, path: str) -> FileSource:
        """Open a file, or an address; see `RemoteSource` for what is raised."""
        if not is_address(path):
            return super().open(path)
        source = RemoteSource(path, self._transfer)
        self._addresses[source.path] = path
        self._opened.append(source)
        return source

    def beside(self, path: str, name: str) -> str | None:
        """The path, or address, of a file of that name in the folder where another one lies."""
        if not is_address(path):
            return super().beside(path, name)
        address = self._addresses.get(path)
        if address is None:  # the name of an image in an archive there
            folder = path.rpartition("/")[0]
            opened = [each for at, each in self._addresses.items() if at.rpartition("/")[0] == folder]
            address = opened[0] if opened else None
        return None if address is None else beside(address, name)


def reach(addresses: Sequence[str]) -> list[Unreachable]:
    """Open each address once, a few at the same time: what the user has to mend before anything is judged."""

    def open_once(address: str) -> None:
        with RemoteFiles() as files:
            files.open(address)

    outcomes = []
    for at in range(0, len(addresses), _AT_ONCE):
        works = [partial(open_once, address) for address in addresses[at : at + _AT_ONCE]]
        outcomes += together(works, MAX_SECONDS)
    # What else goes wrong with one is said in its report.
    return [outcome for outcome in outcomes if isinstance(outcome, Unreachable)]


def listed(address: str, endings: tuple[str, ...]) -> list[str]:
    """The addresses of the files below a prefix whose names end so, sorted; each opens as the prefix does.

    Raises:
        Unreachable: where that cannot be listed.
    """
    (found,) = together([lambda: files_below(address, endings)], MAX_SECONDS)
    if isinstance(found, Exception):
        fault = found if isinstance(found, Fault) else _failed(found)
        raise Unreachable(shown(address), _evidence(fault, None)) from None
    return found
