"""The place of a queue in a program, `module:attribute`, by which another process finds it."""

import importlib
import os
import sys

from evq.errors import UsageError
from evq.queue import Queue


def load_queue(place: str) -> Queue:
    """Import the queue at `module:attribute`; raise `UsageError` that says what is not there."""
    module_name, _, attribute = place.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{place!r}: say MODULE:QUEUE, such as shop.jobs:queue")
    if (here := str(os.getcwd())) not in sys.path:  # noqa: PTH109 - sys.path holds strings
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{place}: {error}; it is looked for in {here} and among the installed packages") from error
    queue = getattr(module, attribute, None)
    if not isinstance(queue, Queue):
        raise UsageError(f"{place}: {module_name} has no queue of the name {attribute!r}")
    return queue
