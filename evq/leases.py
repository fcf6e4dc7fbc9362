"""The leases that a worker holds, in memory that its heart reads without any help of the worker's.

A file without a name, mapped by both: when the event loop of either last turned (the monotonic clock is the same for
all processes), a slot a job, and what the heart must know to begin. A slot may be read while it is written. What is
read then is at worst an id and a fence that do not belong together: Redis answers STALE for such a pair, and the worker
knows no such job.
"""

import mmap
import os
import tempfile
import time
from struct import Struct

_HEADER = Struct("=ddQ")  # when the event loops of worker and heart last turned, s of the monotonic clock; slots
_SLOT = Struct("=26s6xQd")  # id, fence (0: the slot is free), and until when the lease is to be extended (as above)


class Leases:
    """The table: the worker writes it, its heart reads it."""

    def __init__(self, fd: int) -> None:
        """Map the table in the file *fd*."""
        self.fd = fd
        self._memory = mmap.mmap(fd, 0)
        # Written in one step: a struct would be zeroed first, which the other might see.
        self._turned = memoryview(self._memory)[:16].cast("d")
        *_, slots = _HEADER.unpack_from(self._memory)
        self._end = _HEADER.size + slots * _SLOT.size
        self._free = list(range(_HEADER.size, self._end, _SLOT.size))
        self._held: dict[tuple[str, int], int] = {}

    @classmethod
    def make(cls, slots: int, config: bytes) -> "Leases":
        """Make a table with room for *slots* leases, and *config* for the heart."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("evq-leases")
        else:  # macOS
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        now = time.monotonic()
        os.write(fd, _HEADER.pack(now, now, slots) + bytes(slots * _SLOT.size) + config)
        return cls(fd)

    def close(self) -> None:
        """Close the file; what is mapped stays until nobody knows it any more."""
        os.close(self.fd)

    # The worker's side.

    @property
    def free(self) -> int:
        """How many leases more there is room for."""
        return len(self._free)

    def hold(self, job_id: str, fence: int, until: float) -> None:
        """Have a lease extended until then, at most."""
        slot = self._held[job_id, fence] = self._free.pop()
        _SLOT.pack_into(self._memory, slot, job_id.encode(), fence, until)

    def release(self, job_id: str, fence: int) -> None:
        slot = self._held.pop((job_id, fence), None)
        if slot is not None:
            _SLOT.pack_into(self._memory, slot, b"", 0, 0.0)
            self._free.append(slot)

    def turn(self) -> None:
        """Note that the worker's event loop turns."""
        self._turned[0] = time.monotonic()

    @property
    def heart_turned(self) -> float:
        """When the heart's event loop last turned."""
        return self._turned[1]

    # The heart's side.

    @property
    def config(self) -> bytes:
        return self._memory[self._end :]

    @property
    def turned(self) -> float:
        """When the worker's event loop last turned."""
        return self._turned[0]

    def turn_heart(self) -> None:
        """Note that the heart's event loop turns, or that a new heart has some time to begin."""
        self._turned[1] = time.monotonic()

    def read(self) -> list[tuple[str, int]]:
        """List the leases that are to be extended, as (id, fence)."""
        now, slots = time.monotonic(), self._memory[_HEADER.size : self._end]
        found = [(job_id, fence) for job_id, fence, until in _SLOT.iter_unpack(slots) if fence and now < until]
        return [(job_id.rstrip(b"\0").decode(errors="replace"), fence) for job_id, fence in found]
