"""What the command writes lands on nothing that it reads, and on nothing else that it writes (promise 1)."""

import os
from collections.abc import Iterable

from validator.cli.options import Refused
from validator.report.printable import printable


class Outputs:
    """The files that a run writes.

    Args:
        files: what each is, in a word, and its path; None where it is not asked for.

    Raises:
        Refused: where two of them would be one file.
    """

    def __init__(self, files: Iterable[tuple[str, str | None]]) -> None:
        self._files: list[tuple[str, str]] = []
        for what, path in files:
            if path is not None:
                for other, written in self._files:
                    if _same(path, written):
                        raise Refused(f"a {other} and a {what} would go to one file, {printable(path)}")
                self._files.append((what, path))

    def spare(self, what: str, paths: Iterable[str | None]) -> None:
        """See that none of them lands on one of these files, by whatever name.

        Args:
            what: what is read there.
            paths: the files; None is none.

        Raises:
            Refused: where one would.
        """
        for path in filter(None, paths):
            for output, written in self._files:
                if _same(path, written):
                    raise Refused(f"the {output} {printable(written)} would overwrite {what}")


def _same(one: str, other: str) -> bool:
    real, its = (os.path.normcase(os.path.realpath(path)) for path in (one, other))
    return real == its or (os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other))
