import stat
import threading
from pathlib import Path

import pytest

from evq.settings import NAMES
from evq_server.settings import Settings, SettingsError, load_api_key, load_secret


def test_without_an_environment_the_defaults_hold() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.data == Path.cwd() / ".evq"
    assert settings.database_url == f"sqlite:///{Path.cwd() / '.evq' / 'evq.db'}"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 4)
    assert settings.upload_limit == 100 * 1024 * 1024
    assert settings.public_url is None
    assert settings.smtp_url is None


def test_every_setting_is_read_from_its_name() -> None:
    settings = Settings.from_env(
        {
            "EVQ_DATA": "/srv/evq",
            "EVQ_DATABASE_URL": "sqlite:////srv/other.db",
            "EVQ_HOST": "0.0.0.0",
            "EVQ_PORT": "9000",
            "EVQ_REGION": "JP",
            "EVQ_PUBLIC_URL": "https://Events.Example.org/",
            "EVQ_UPLOAD_LIMIT": "1000",
            "EVQ_KEEP_FAILED_SECONDS": "0",
            "EVQ_SMTP_URL": "smtp+starttls://user:pa%40ss@mail.example.org:587",
            "EVQ_MAIL_FROM": "행사 <events@example.org>",
            "EVQ_SECRET": "0123456789abcdef",
            "EVQ_API_KEY": "fedcba9876543210",
            "WORKER_COUNT": "8",
            "PATH": "/bin",
        }
    )
    assert settings == Settings(
        data=Path("/srv/evq"),
        database_url="sqlite:////srv/other.db",
        host="0.0.0.0",
        port=9000,
        public_url="https://events.example.org",
        upload_limit=1000,
        region="JP",
        keep_failed_seconds=0,
        smtp_url="smtp+starttls://user:pa%40ss@mail.example.org:587",
        mail_from="행사 <events@example.org>",
        secret="0123456789abcdef",
        api_key="fedcba9876543210",
        workers=8,
    )


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"EVQ_PROT is not a setting.*EVQ_PORT"):
        Settings.from_env({"EVQ_PROT": "9000"})


def test_the_names_of_the_framework_are_let_through() -> None:
    assert Settings.from_env(dict.fromkeys(NAMES, "x")) == Settings()


def test_an_empty_value_counts_as_not_given() -> None:
    assert Settings.from_env({"EVQ_PORT": "", "EVQ_SMTP_URL": " "}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVQ_REGION", "KOREA"),
        ("EVQ_PORT", "-1"),
        ("EVQ_PORT", "65536"),
        ("EVQ_PORT", "80a"),
        ("EVQ_PORT", "٨٠"),
        ("EVQ_UPLOAD_LIMIT", "100MB"),
        ("EVQ_KEEP_FAILED_SECONDS", "-1"),
        ("WORKER_COUNT", "257"),
        ("EVQ_SECRET", "short"),
        ("EVQ_API_KEY", "short"),
        ("EVQ_PUBLIC_URL", "events.example.org"),
        ("EVQ_PUBLIC_URL", "https://example.org/events"),
        ("EVQ_DATABASE_URL", "mysql://x"),
        ("EVQ_SMTP_URL", "http://mail.example.org"),
        ("EVQ_SMTP_URL", "smtp://"),
        ("EVQ_SMTP_URL", "smtp://mail.example.org:port"),
        ("EVQ_MAIL_FROM", "nobody"),
        ("EVQ_MAIL_FROM", "a@example.org\nBcc: b@example.org"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} must be "):
        Settings.from_env({name: value})


def test_no_message_and_no_repr_shows_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"EVQ_SMTP_URL": "smtp://user:hunter2@"})
    settings = Settings(smtp_url="smtp://user:hunter2@localhost", secret="hunter2 hunter2 hunter2", api_key="hunter2")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(settings)


def test_the_folders_are_readable_by_their_owner_only(settings: Settings) -> None:
    for folder in (settings.data, settings.uploads, settings.spool, settings.artefacts):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_secret_is_made_once_and_can_be_carried_to_another_machine(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    secret = load_secret(settings)
    assert load_secret(settings) == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    elsewhere = Settings.from_env({"EVQ_SECRET": (tmp_path / "secret").read_text()})
    assert load_secret(elsewhere) == secret


def test_the_api_key_is_made_once_and_differs_from_the_secret(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert load_api_key(settings) == load_api_key(settings)
    assert load_api_key(settings) != load_secret(settings).decode()
    assert load_api_key(Settings(data=tmp_path, api_key="given by hand, 1")) == "given by hand, 1"


def test_two_starters_agree_on_one_secret(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    start = threading.Barrier(8)
    found: set[bytes] = set()

    def starter() -> None:
        start.wait()
        found.add(load_secret(settings))

    threads = [threading.Thread(target=starter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_key_that_can_be_neither_read_nor_made_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere/api-key .*EVQ_DATA"):
        load_api_key(Settings(data=tmp_path / "nowhere"))


def test_a_damaged_secret_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    with pytest.raises(SettingsError, match="restore it from a backup"):
        load_secret(Settings(data=tmp_path))
