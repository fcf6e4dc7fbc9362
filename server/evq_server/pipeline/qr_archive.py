"""The QR archive of an import: a zip of one PNG for each participant, and a table of whose is which."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from evq_ext import qr_png, with_mark
from evq_server.files.whole import whole_file
from evq_server.store.participants import Participant

INDEX = "index.csv"


@contextmanager
def qr_archive(path: Path) -> Iterator[Callable[[Participant, str], None]]:
    """Yield a function that adds a participant's code; the archive appears at *path* when the block ends.

    The codes are named by the participants' ids; `index.csv` (UTF-8 with BOM) says who that is.
    """
    index = StringIO()
    writer = csv.writer(index)
    writer.writerow(["file", "name", "email"])
    with whole_file(path) as file, ZipFile(file, "w", ZIP_STORED) as archive:

        def draw(person: Participant, text: str) -> None:
            name = f"{person.id:08d}.png"
            archive.writestr(name, qr_png(text))
            writer.writerow([name, with_mark(person.name), with_mark(person.email)])

        yield draw
        archive.writestr(INDEX, index.getvalue().encode("utf-8-sig"), ZIP_DEFLATED)
