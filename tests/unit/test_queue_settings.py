import pytest

from evq import Queue, UsageError
from evq.settings import check_url, hide_password, redis_url, worker_count


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "redis://127.0.0.1:6379/0"),
        ({"REDIS_HOST": "redis.example.org"}, "redis://redis.example.org:6379/0"),
        ({"REDIS_HOST": "10.0.0.1", "REDIS_PORT": "7000"}, "redis://10.0.0.1:7000/0"),
        ({"REDIS_HOST": "::1"}, "redis://[::1]:6379/0"),
        ({"REDIS_HOST": "", "REDIS_PORT": ""}, "redis://127.0.0.1:6379/0"),
        ({"EVQ_REDIS_URL": "unix:///run/redis.sock", "REDIS_HOST": "other"}, "unix:///run/redis.sock"),
    ],
)
def test_redis_is_where_the_environment_says(environ: dict[str, str], url: str) -> None:
    assert redis_url(environ) == url


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "6379.0", " "])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(UsageError, match=f"REDIS_PORT='{port}'"):
        redis_url({"REDIS_PORT": port})


def test_the_pool_has_four_workers_unless_told_otherwise() -> None:
    assert worker_count({}) == 4
    assert worker_count({"WORKER_COUNT": "7"}) == 7
    with pytest.raises(UsageError, match="WORKER_COUNT='0'"):
        worker_count({"WORKER_COUNT": "0"})


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://x", "redis://", "redis://h:port", "redis://h:99999"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address of a Redis"):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h/0", "redis://:***@h/0"),
        ("redis://ann:secret@h:1/0", "redis://ann:***@h:1/0"),
        ("redis://ann:s@cr:et@h:1/0", "redis://ann:***@h:1/0"),
        ("unix://ann:secret@/run/redis.sock", "unix://ann:***@/run/redis.sock"),
        ("unix:///run/redis.sock?db=1&password=secret", "unix:///run/redis.sock?***"),
        ("ann:secret@h", "ann:***@h"),
        ("nonsense", "nonsense"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert hide_password(url) == shown


@pytest.mark.parametrize("options", [{"lease": 0.5}, {"keep": 0}])
def test_a_queue_with_impossible_times_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Queue("q", **options)  # type: ignore[arg-type]  # its only text option is not among them
