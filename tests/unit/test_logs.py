import io
import json
import logging

import pytest

from evq.logs import JsonLines, Readable, set_up


def a_record(**extra: object) -> logging.LogRecord:
    return logging.getLogger("evq.test").makeRecord(
        "evq.test", logging.WARNING, "file", 1, "lease of %s lost", ("X",), None, extra=extra
    )


def test_a_line_is_one_json_object_with_its_fields() -> None:
    line = json.loads(JsonLines().format(a_record(job="X", jobs=["a", "b"])))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "evq.test",
        "message": "lease of X lost",
        "job": "X",
        "jobs": ["a", "b"],
    }


def test_a_traceback_stays_in_its_line() -> None:
    record = a_record()
    error = ValueError("no")
    record.exc_info = (type(error), error, None)
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError: no" in json.loads(text)["traceback"]


def test_people_get_a_line_for_people() -> None:
    text = Readable().format(a_record(job="X"))
    assert text.endswith("warning lease of X lost job=X")


def test_what_is_no_json_is_written_as_text() -> None:
    assert "object" in json.loads(JsonLines().format(a_record(thing=object())))["thing"]


def test_without_a_terminal_logs_are_json_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        set_up("INFO")
        logging.getLogger("evq.test").info("hello", extra={"worker": "w"})
    finally:
        root.handlers, root.level = handlers, level
    assert json.loads(stream.getvalue())["worker"] == "w"
