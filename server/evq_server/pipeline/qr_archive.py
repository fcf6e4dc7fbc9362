"""The QR archive of an import: a zip of one PNG for each participant, and a table of whose is which."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from evq_ext import qr_png, with_mark
from evq_server.files.stored_zip import StoredZip
from evq_server.files.whole import whole_file
from evq_server.store.participants import Contact

INDEX: Final = "index.csv"
BLOCK: Final = 64
"""Codes that are drawn in one go."""


@contextmanager
def qr_archive(path: Path) -> Iterator[Callable[[Sequence[Contact], Mapping[int, str]], Iterator[int]]]:
    """Yield a function that adds people's codes; the archive appears at *path* when the block ends.

    It takes the people and the texts of their codes by participant id, and yields how many it has added, time and
    again. The codes are named by the participants' ids; `index.csv` (UTF-8 with BOM) says who that is.
    """
    with (
        whole_file(path) as file,
        TemporaryFile(dir=path.parent) as directory,
        TemporaryFile(dir=path.parent) as table,
    ):
        archive = StoredZip(file, directory)
        index = TextIOWrapper(table, encoding="utf-8-sig", newline="")
        writer = csv.writer(index)
        writer.writerow(["file", "name", "email"])

        def draw(people: Sequence[Contact], texts: Mapping[int, str]) -> Iterator[int]:
            for low in range(0, len(people), BLOCK):
                block = people[low : low + BLOCK]
                for person in block:
                    name = f"{person.id:08d}.png"
                    archive.add(name, qr_png(texts[person.id]))
                    writer.writerow([name, with_mark(person.name), with_mark(person.email)])
                yield len(block)

        yield draw
        index.flush()
        archive.copy(INDEX, table)
        archive.close()
        index.detach()
