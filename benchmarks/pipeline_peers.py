"""What the whole import is measured beside: the stack that one would take for it, row by row."""

import csv
import io
import secrets
from pathlib import Path
from zipfile import ZipFile

import phonenumbers
import qrcode
import sqlalchemy as sa
from pydantic import BaseModel, EmailStr, Field, ValidationError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class _Base(DeclarativeBase):
    pass


class _Saved(_Base):
    __tablename__ = "participants"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    token: Mapped[str] = mapped_column(unique=True)


class _Checked(BaseModel):  # type: ignore[misc]  # mypy looks at no peer
    name: str = Field(min_length=1, max_length=200)
    email: EmailStr


def usual_stack(upload: Path, folder: Path) -> int:
    """csv.DictReader, pydantic, phonenumbers, SQLAlchemy's ORM on SQLite, `secrets`, qrcode and Pillow, zipfile.

    Return how many participants were saved; *folder* gets the database and the archive.
    """
    engine = sa.create_engine(f"sqlite:///{folder / 'usual.db'}")
    _Base.metadata.create_all(engine)
    seen: set[str] = set()
    with (
        upload.open(encoding="utf-8", newline="") as file,
        Session(engine) as session,
        ZipFile(folder / "usual.zip", "w") as archive,
    ):
        for row in csv.DictReader(file):
            try:
                checked = _Checked.model_validate(row)
                phone = _e164(row["phone"])
            except (ValidationError, ValueError, phonenumbers.NumberParseException):
                continue
            email = checked.email.lower()
            if email in seen:
                continue
            seen.add(email)
            token = secrets.token_urlsafe(20)
            session.add(_Saved(email=email, name=checked.name, phone=phone, token=token))
            picture = io.BytesIO()
            qrcode.make(token, error_correction=qrcode.constants.ERROR_CORRECT_M).save(picture)
            archive.writestr(f"{len(seen)}.png", picture.getvalue())
        session.commit()
    engine.dispose()
    return len(seen)


def _e164(text: str) -> str | None:
    if not text:
        return None
    number = phonenumbers.parse(text, "KR")
    if not phonenumbers.is_valid_number(number):
        raise ValueError(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
