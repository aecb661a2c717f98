"""`--dask`: a Dask cluster that judges, after it was asked whether it would judge as this program does."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from validator.cli.options import Refused, silence_libraries, tell
from validator.report.printable import printable

if TYPE_CHECKING:
    from concurrent.futures import Executor

_PATIENCE = 10
"""Seconds for the scheduler to answer."""
_GRACE = 3
"""Seconds for the client to end after an interruption."""


@contextmanager
def cluster(address: str) -> "Iterator[tuple[Executor, int]]":
    """What runs on the workers of a cluster, and how many images they judge at the same time.

    Raises:
        Refused: where Dask is not installed here, or the cluster cannot be used.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
        from distributed.comm.registry import get_backend
    except ImportError as error:
        raise Refused("--dask needs Dask, which is not installed: install image-validator[dask]") from error
    from validator.fleet import this_program

    try:
        # Before the client, which does not close what it cannot make out.
        scheme, place = parse_address(address)
        get_backend(scheme)
        parse_host_port(place)
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        raise Refused(
            f"no Dask scheduler answers at {printable(address)}: {printable(str(error))}"
        ) from error
    with _impatient(), client:
        expected = this_program()
        found = client.run(this_program, on_error="return")
        if not found:
            raise Refused(f"the Dask cluster at {printable(address)} has no workers")
        for worker, program in found.items():
            if program != expected:
                what = f"expected {expected} on the Dask worker {worker}, found {program!s}"
                raise Refused(printable(what))
        yield client.get_executor(), sum(client.nthreads().values())


@contextmanager
def _impatient() -> Iterator[None]:
    """An interruption ends the command, also where it struck Dask while that held a lock."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave() -> None:
        from validator.judging import ExitCode

        tell("interrupted")
        os._exit(ExitCode.INTERRUPTED.value)

    def interrupted(*_: object) -> None:
        silence_libraries()  # what is broken off there is nobody's concern
        timer = threading.Timer(_GRACE, leave)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
