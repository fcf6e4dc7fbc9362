from collections.abc import Sequence
from typing import final

from evq_ext.types import Batch, Column, DuplicatePolicy, NumberBy

@final
class RowParser:
    def __init__(
        self,
        columns: Sequence[Column | None],
        *,
        delimiter: bytes = b",",
        skip_records: int = 0,
        number_by: NumberBy = "line",
        region: str = "KR",
        duplicates: DuplicatePolicy = "skip",
    ) -> None: ...
    @property
    def records(self) -> int: ...
    def feed(self, data: bytes) -> Batch: ...
    def finish(self) -> Batch: ...
