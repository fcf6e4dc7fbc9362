"""What the core needs: a chunk of memory and the duplicates, and the interpreter only between its kernels."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.people import people_csv
from evq_ext import Column, RowParser

COLUMNS = (Column("name", "name"), Column("email", "email"))
ROWS = 1_000_000
READ = """
import sys
from pathlib import Path
from evq_ext import Column, RowParser, strings

columns = [Column(name, kind) for name, kind in zip(sys.argv[2::2], sys.argv[3::2])]
parser = RowParser(columns, skip_records=1)
accepted = refused = letters = 0
with Path(sys.argv[1]).open("rb") as file:
    while chunk := file.read(256 * 1024):
        batch = parser.feed(chunk)
        accepted += batch.count
        refused += len(batch.rejects) + len(batch.duplicates)
        letters += sum(map(len, strings(batch.columns["name"])))
batch = parser.finish()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(accepted + batch.count, refused, letters, status["VmHWM"].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_million_rows_take_less_than_120_megabytes(tmp_path: Path) -> None:
    """The whole process, interpreter and libraries included, which reads the file in chunks of 256 KiB."""
    path = tmp_path / "large.csv"
    path.write_text(people_csv(ROWS), encoding="utf-8", newline="")
    columns = ("name", "name", "email", "email", "phone", "phone", "organisation", "text", "ticket", "text")
    command = [sys.executable, "-c", READ, str(path), *columns, "note", "text", "registered_at", "text"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    accepted, refused, letters, peak = map(int, run.stdout.split())
    print(f"\n{ROWS:,} rows, {path.stat().st_size / 1e6:.0f} MB: {accepted:,} accepted, peak {peak / 1024:.0f} MiB")
    assert accepted + refused == ROWS
    assert letters > 3 * accepted
    assert peak * 1024 < 120_000_000


def test_other_threads_run_while_the_kernels_do(compiled: type[RowParser]) -> None:
    """No thread is made to give way, so that another one runs only where the parser lets go of the interpreter."""
    chunk = b"a,a@x.kr\n" * 100_000
    feeding: list[bool] = []

    def feed() -> None:
        parser = compiled(COLUMNS)
        for _ in range(50):
            feeding.append(True)
            parser.feed(chunk)
            feeding.pop()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=feed)
        thread.start()
        while thread.is_alive() and not feeding:
            time.sleep(0)
        met = bool(feeding)
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    assert met
