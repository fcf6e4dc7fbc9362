import pytest

from evq import Queue, UsageError
from evq.settings import check_url, hide_password, parse_url, redis_url, worker_count


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


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://x",
        "redis://",
        "redis:///0",
        "redis://h:port",
        "redis://h:99999",
        "redis://h/name",
        "redis://h?db=name",
        "redis://a:7000,",
        "redis://a:7000,b:port",
        "redis://[::1:7000",
        "unix://",
        "redis+sentinel://h",
        "redis+sentinel:///service",
        "redis+sentinel://h/service/name",
        "unix+sentinel://h/service",
        "redis+cluster://h",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address of a Redis"):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://h?max_connections=1", "max_connections in the URL of a Redis: use db, password, username"),
        ("redis://h?ssl_ca_certs=/ca.crt", "ssl_ca_certs in"),
        ("rediss://h?sentinel_password=secret&socket_timeout=1", "sentinel_password, socket_timeout in"),
        ("rediss://h?ssl_cert_reqs=some", "ssl_cert_reqs=some: use none, optional or required"),
    ],
)
def test_options_that_are_none_are_refused_by_name(url: str, options: str) -> None:
    with pytest.raises(UsageError, match=options) as refusal:
        check_url(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("redis://h", [("h", 6379)]),
        ("rediss://h:1/2", [("h", 1)]),
        ("redis://a:1,[::1]:2,c", [("a", 1), ("::1", 2), ("c", 6379)]),
    ],
)
def test_a_url_names_one_server_or_several(url: str, servers: list[tuple[str, int]]) -> None:
    assert [(seed["host"], seed["port"]) for seed in parse_url(url).seeds] == servers


def test_a_url_holds_the_login_and_the_options() -> None:
    (seed,) = parse_url("rediss://ann:s%40%2Fcret@h/2?ssl_ca_certs=/a%20ca.crt&ssl_check_hostname=no").seeds
    assert seed == {
        "host": "h",
        "port": 6379,
        "tls": True,
        "username": "ann",
        "password": "s@/cret",
        "db": 2,
        "ssl_ca_certs": "/a ca.crt",
        "ssl_check_hostname": False,
    }
    (seed,) = parse_url("unix:///run/a%20redis.sock?db=1&password=secret").seeds
    assert seed == {"path": "/run/a redis.sock", "username": None, "password": "secret", "db": 1}


def test_sentinels_have_a_login_of_their_own() -> None:
    address = parse_url("redis+sentinel://ann:secret@a,b:2/queues/3?sentinel_password=other")
    assert address.service == "queues"
    assert address.login == {"username": "ann", "password": "secret", "db": 3}
    assert [(seed["host"], seed["port"], seed["password"]) for seed in address.seeds] == [
        ("a", 26379, "other"),
        ("b", 2, "other"),
    ]
    assert [(seed["username"], seed["db"]) for seed in address.seeds] == [(None, 0)] * 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h/0", "redis://:***@h/0"),
        ("redis://ann:secret@h:1/0", "redis://ann:***@h:1/0"),
        ("redis://ann:s@cr:et@h:1/0", "redis://ann:***@h:1/0"),
        ("unix://ann:secret@/run/redis.sock", "unix://ann:***@/run/redis.sock"),
        ("unix:///run/redis.sock?db=1&password=secret", "unix:///run/redis.sock?***"),
        ("redis+sentinel://ann:secret@h:1,i:2/s", "redis+sentinel://ann:***@h:1,i:2/s"),
        ("redis://:se?cret@h", "redis://***"),
        ("redis://h?password=se@cret", "redis://***"),
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
