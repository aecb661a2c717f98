"""A disk of 127 GiB judged at an address: requests and bytes of a page blob, time over a long way.

Both servers are real ones on this machine: Azurite, and a web server with https that answers as if it were
30 ms away.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.image import path_as_fixed
from benchmarks.peers import AZURE, GENERALIZED, Program
from benchmarks.process import Failed, run

ROUND_TRIP = 0.030
"""Seconds for each answer and each connection."""
PROGRAMS = (GENERALIZED, AZURE)


def measure(rounds: int) -> dict[str, Any]:
    """Requests, bytes, and seconds of whole processes from far away, for each profile.

    Raises:
        Failed: where a server cannot be run here.
    """
    try:
        from tests.servers.authority import Authority
        from tests.servers.azure import Azurite, MissingNode
        from tests.servers.web import Web
    except ImportError as error:
        raise Failed(f"the servers of the tests are not installed: {error}") from error
    image = path_as_fixed()
    programs: list[dict[str, Any]] = [{"name": program.name} for program in PROGRAMS]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Azurite(Path(folder)) as azurite:
                blob = azurite.page_blob(image, azurite.container("images"), "large.vhd")
                for program, figures in zip(PROGRAMS, programs):
                    io = _io(program, azurite.signed(blob))
                    figures.update(requests=io["requests"], bytes_read=io["bytes_read"])
        except MissingNode as missing:
            raise Failed(str(missing)) from missing
        authority = Authority(Path(folder))
        trust = {"SSL_CERT_FILE": str(authority.file)}
        with Web(tls=authority.good, delay=ROUND_TRIP) as web:
            address = web.publish("large.vhd", image)
            for program, figures in zip(PROGRAMS, programs):
                command = program.command(address)
                runs = [run(command, program.answer, trust) for _ in range(rounds + 1)][1:]
                figures["seconds"] = [round(each.seconds, 3) for each in runs]
    return {"size": image.stat().st_size, "round_trip": ROUND_TRIP, "programs": programs}


def _io(program: Program, address: str) -> dict[str, int]:
    """What the report says of its cost."""
    report = json.loads(run(program.command(address), program.answer).output)
    return dict(report["images"][0]["facts"]["io"])
