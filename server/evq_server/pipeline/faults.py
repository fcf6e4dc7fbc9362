"""What an organiser is told when an import fails and not for its file: what to do, and nothing of our insides."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from evq import EvqError, TaskError, TemporaryError

log = logging.getLogger(__name__)


class ServerFault(TaskError):  # noqa: N818 - whose fault it is is the name
    """The server made a mistake; trying again would repeat it."""


@contextmanager
def told_plainly(import_id: str) -> Iterator[None]:
    """Turn what nobody foresaw into a `TemporaryError` or `ServerFault`: its own words may quote data or paths."""
    try:
        yield
    except EvqError:
        raise
    except sa.exc.OperationalError as error:
        _log(import_id, error)
        raise TemporaryError(
            "The server's database is busy, full or out of reach. What is saved stays saved: run the import again "
            "later; if that does not help, tell the operator."
        ) from error
    except OSError as error:
        _log(import_id, error)
        reason = error.strerror or type(error).__name__
        raise TemporaryError(
            f"The server cannot read or write its files ({reason}). What is saved stays saved: tell the operator, and "
            "run the import again."
        ) from error
    except Exception as error:
        _log(import_id, error)
        raise ServerFault(
            f"The server made a mistake (import {import_id}). What is saved stays saved: tell the operator, whose log "
            "has the details."
        ) from error


def _log(import_id: str, error: Exception) -> None:
    place = "".join(traceback.format_tb(error.__traceback__))
    log.error("import failed unexpectedly", extra={"job": import_id, "error": type(error).__name__, "at": place})
