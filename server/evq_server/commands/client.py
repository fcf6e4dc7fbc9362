"""A client of the server, for the commands that are one: `evq import` and `evq demo`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import anyio
import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from evq import EvqError

UPLOAD_CHUNK = 256 * 1024
"""Bytes."""


UNKNOWN_JOB = 4404
"""The close code of a WebSocket for a job that does not exist."""


class ServerError(EvqError):
    """The server refused a request, or cannot be reached."""


class Client:
    """Talks to one server with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=self.url, headers=self._headers, timeout=60, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def put_event(self, event_id: str, name: str, language: str) -> None:
        await self._ask("PUT", f"/api/events/{event_id}", json={"name": name, "language": language})

    async def upload(self, event_id: str, path: Path, options: dict[str, str]) -> str:
        """Upload a participants file and return its job's id."""

        async def body() -> AsyncIterator[bytes]:
            async with await anyio.open_file(path, "rb") as file:
                while chunk := await file.read(UPLOAD_CHUNK):
                    yield chunk

        answer = await self._ask(
            "POST", f"/api/events/{event_id}/imports", params={"filename": path.name, **options}, content=body()
        )
        return str(answer["jobId"])

    async def follow(self, job_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the frames of a job's progress until its end; a lost connection is taken up again."""
        after = -1
        address = self.url.replace("http", "ws", 1) + f"/api/jobs/{job_id}/progress"
        while True:
            try:
                async with connect(f"{address}?after={after}", additional_headers=self._headers, proxy=None) as socket:
                    async for message in socket:
                        frame = orjson.loads(message)
                        after = frame["seq"]
                        yield frame
                        if frame["event"] != "progress":
                            return
            except InvalidStatus as error:
                raise ServerError(f"{self.url} refuses to show job {job_id}: {error}") from error
            except ConnectionClosedError as error:
                if error.rcvd and error.rcvd.code == UNKNOWN_JOB:
                    raise ServerError(f"{self.url} knows no job {job_id}") from error
                await anyio.sleep(0.5)
            except OSError:
                await anyio.sleep(0.5)

    async def job(self, job_id: str) -> dict[str, Any]:
        return await self._ask("GET", f"/api/jobs/{job_id}")

    async def cancel(self, job_id: str) -> None:
        await self._ask("DELETE", f"/api/jobs/{job_id}")

    async def participants(self, event_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield all participants of an event."""
        after: int | None = 0
        while after is not None:
            page = await self._ask(
                "GET", f"/api/events/{event_id}/participants", params={"after": after, "limit": 1000}
            )
            for item in page["items"]:
                yield item
            after = page["next"]

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ServerError(
                f"cannot reach the server at {self.url} ({error!r}): start it with `evq serve`"
            ) from error
        if response.is_error:
            raise ServerError(f"{self.url} answers {response.status_code}: {_detail(response)}")
        answer: dict[str, Any] = response.json()
        return answer


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError):
        return response.text[:200]
