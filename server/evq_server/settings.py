"""The server's settings: read once from the environment, checked whole, and handed on as one value."""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from evq.errors import UsageError
from evq.settings import NAMES
from evq_ext import REGIONS

MIN_SECRET = 16
"""Characters below which a secret given by hand is refused."""

SMTP_SCHEMES = frozenset({"smtp", "smtp+starttls", "smtps"})


class SettingsError(UsageError):
    """A setting is unknown or wrong; the message names it and the remedy."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator has chosen. Sizes are bytes, durations seconds; paths are absolute."""

    data: Path = Path(".evq")
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    upload_limit: int = 100 * 1024 * 1024
    region: str = "KR"
    keep_failed_seconds: int = 86_400
    lease_seconds: int = 30
    smtp_url: str | None = None
    mail_from: str = "evq@localhost"
    workers: int = 4
    secret: str | None = None
    api_key: str | None = None

    def __post_init__(self) -> None:
        # Workers get these paths in payloads, and may run in another folder.
        msgspec.structs.force_setattr(self, "data", self.data.absolute())
        if not self.database_url:
            msgspec.structs.force_setattr(self, "database_url", f"sqlite:///{self.data / 'evq.db'}")

    def __repr__(self) -> str:
        """Name the data folder only: the other fields hold secrets."""
        return f"Settings(data={str(self.data)!r})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from *environ*.

        An empty value counts as not given. Raises `SettingsError` for an `EVQ_*` name that nobody knows and for a value
        that does not fit.
        """
        unknown = sorted(
            name for name in environ if name.startswith("EVQ_") and name not in _READERS and name not in NAMES
        )
        if unknown:
            known = ", ".join(sorted({name for name in _READERS if name.startswith("EVQ_")} | NAMES - {"EVQ_POOL_PID"}))
            raise SettingsError(f"{unknown[0]} is not a setting of evq; unset it, or use one of {known}")
        values: dict[str, Any] = {}
        for name, (field, read) in _READERS.items():
            if text := environ.get(name, "").strip():
                try:
                    values[field] = read(text)
                except ValueError as error:
                    raise SettingsError(f"{name} must be {error}") from None
        return cls(**values)

    @property
    def uploads(self) -> Path:
        """Where uploaded files lie under their job's id."""
        return self.data / "uploads"

    @property
    def spool(self) -> Path:
        """Where attempts keep their working files."""
        return self.data / "spool"

    @property
    def artefacts(self) -> Path:
        """Where each import's error report and QR archive lie, in a folder named by its id."""
        return self.data / "artefacts"

    @property
    def maildir(self) -> Path:
        """Where mails go while no SMTP server is set."""
        return self.data / "maildir"

    def prepare(self) -> None:
        """Create the folders, readable by their owner only; raises `SettingsError` if that cannot be."""
        for folder in (self.data, self.uploads, self.spool, self.artefacts):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(
                    f"the folder {folder} cannot be made ({error.strerror}): choose one that you may write to "
                    "with EVQ_DATA"
                ) from error


def load_secret(settings: Settings) -> bytes:
    """Return the secret that tickets are derived from; make it in `data/secret` at the first start.

    The bytes are those of the text, so that the file's content can be given to another machine as `EVQ_SECRET`.
    """
    return (settings.secret or _load_or_make(settings.data / "secret", lambda: secrets.token_hex(32))).encode()


def load_api_key(settings: Settings) -> str:
    """Return the key that clients must present; make it in `data/api-key` at the first start."""
    return settings.api_key or _load_or_make(settings.data / "api-key", lambda: secrets.token_urlsafe(32))


def read_api_key(settings: Settings) -> str:
    """Return the key as a client of a server that has been started before; raises `SettingsError` if there is none."""
    path = settings.data / "api-key"
    if not settings.api_key and not path.exists():
        raise SettingsError(f"there is no key in {path}: set EVQ_API_KEY, or EVQ_DATA to the server's data folder")
    return load_api_key(settings)


def _load_or_make(path: Path, make: Callable[[], str]) -> str:
    try:
        if not path.exists():
            _make(path, make())
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} can be neither read nor made: {error}; is EVQ_DATA the server's folder?"
        ) from error
    if len(text) < MIN_SECRET:
        raise SettingsError(f"{path} holds fewer than {MIN_SECRET} characters; restore it from a backup")
    return text


def _make(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, this lets the first of two starters win
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}, not {text!r}")
        return int(text)

    return read


def _secret(text: str) -> str:
    if len(text) < MIN_SECRET:
        raise ValueError(f"at least {MIN_SECRET} characters long")
    return text


def _api_key(text: str) -> str:
    # Browsers present it as a WebSocket subprotocol, which is a token of HTTP (RFC 6455 §4.1).
    if not re.fullmatch(rf"[A-Za-z0-9._~-]{{{MIN_SECRET},}}", text):
        raise ValueError(f"at least {MIN_SECRET} of the characters A-Z, a-z, 0-9 and . _ ~ -")
    return text


def _database_url(text: str) -> str:
    if not re.fullmatch(r"sqlite:///.+", text):
        raise ValueError("of the form sqlite:///path/to/file.db")
    return text


def _public_url(text: str) -> str:
    # QR codes hold this in upper case, which host names bear and paths do not.
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?", text):
        raise ValueError(
            f"http:// or https:// and a host, without a path, as in https://events.example.org; not {text!r}"
        )
    return text.rstrip("/").lower()


def _region(text: str) -> str:
    if text not in REGIONS:
        raise ValueError(f"the code of a country that has phone numbers, as in KR (ISO 3166), not {text!r}")
    return text


def _smtp_url(text: str) -> str:
    # The value may hold a password, so no message repeats it.
    remedy = "of the form smtp://host:port, smtp+starttls://user:password@host:port or smtps://..."
    try:
        parts = urlsplit(text)
        fits = parts.scheme in SMTP_SCHEMES and parts.hostname and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(remedy)
    return text


def _mail_from(text: str) -> str:
    _, address = parseaddr(text)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or not text.isprintable():
        raise ValueError(f"an address as in events@example.org, not {text!r}")
    return text


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "EVQ_DATA": ("data", Path),
    "EVQ_DATABASE_URL": ("database_url", _database_url),
    "EVQ_HOST": ("host", str),
    "EVQ_PORT": ("port", _integer(0, 65_535)),
    "EVQ_PUBLIC_URL": ("public_url", _public_url),
    "EVQ_REGION": ("region", _region),
    "EVQ_UPLOAD_LIMIT": ("upload_limit", _integer(1, 2**40)),
    "EVQ_KEEP_FAILED_SECONDS": ("keep_failed_seconds", _integer(0, 10 * 365 * 86_400)),
    "EVQ_LEASE_SECONDS": ("lease_seconds", _integer(1, 86_400)),
    "EVQ_SMTP_URL": ("smtp_url", _smtp_url),
    "EVQ_MAIL_FROM": ("mail_from", _mail_from),
    "EVQ_SECRET": ("secret", _secret),
    "EVQ_API_KEY": ("api_key", _api_key),
    "WORKER_COUNT": ("workers", _integer(0, 256)),
}
