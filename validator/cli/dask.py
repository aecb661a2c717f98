"""`--dask`: a Dask cluster that judges, after it was asked whether it would judge as this program does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from validator.cli.options import Refused
from validator.report.printable import printable

if TYPE_CHECKING:
    from concurrent.futures import Executor

_PATIENCE = 10
"""Seconds for the scheduler to answer."""


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
    with client:
        expected = this_program()
        found = client.run(this_program, on_error="return")
        if not found:
            raise Refused(f"the Dask cluster at {printable(address)} has no workers")
        for worker, program in found.items():
            if program != expected:
                what = f"expected {expected} on the Dask worker {worker}, found {program!s}"
                raise Refused(printable(what))
        yield client.get_executor(), sum(client.nthreads().values())
