"""What the page refuses by HTTP: other sites, other files, and addresses that it does not need."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from refhooks_play._command import is_loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[Any], Awaitable[None]]

__all__ = ["Guarded"]

_POLICIES = [
        "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self' data:",
        "connect-src 'self' data: blob:", "media-src 'self' blob:", "worker-src 'self' blob:",
        "frame-src 'none'", "object-src 'none'", "base-uri 'self'", "form-action 'self'",
        "frame-ancestors 'none'",
]  # fmt: skip
POLICY = "; ".join(_POLICIES)
"""What a browser may fetch for the page: nothing of another host."""
PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]
ELSEWHERE = (
    "This page has no password, so it answers at 127.0.0.1 and localhost alone: else any page that"
    " a browser shows could use it under a name of its own. Start it with --password."
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
NOT_UPLOADED = "That names a file that was not uploaded to this page."
MOST = 16 * 2**20
"""Bytes of a request that is no upload: a page's fields are far less."""
FILES = {"/login", "/gradio_api/upload", "/gradio_api/component_server"}
"""Where forms are sent to; gradio puts what is in them where uploads are."""
POSTS = FILES | {"/gradio_api/queue/join", "/gradio_api/reset", "/gradio_api/cancel"}
"""Where a browser on the page sends anything to."""


class Guarded:
    """Refuses what no browser on the page asks for, before gradio sees it.

    Each answer says that a browser shall fetch nothing from elsewhere.

    Args:
        app: What answers.
        own: Whether it answers only who asks for an address of this machine.
        uploads: Folder of what was uploaded; a request that names another file is refused.
    """

    def __init__(self, app: Any, *, own: bool, uploads: Path) -> None:
        self.app = app
        self.own = own
        self.uploads = os.path.realpath(uploads)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason, receive = await self._refused(scope, receive)
        if reason:
            await guarded({"type": "http.response.start", "status": 403, "headers": PLAIN})
            await guarded({"type": "http.response.body", "body": reason.encode()})
        else:
            await self.app(scope, receive, guarded)

    async def _refused(self, scope: Any, receive: Receive) -> tuple[str, Receive]:
        """Why a request is refused, empty where it is not, and what to read it from."""
        place = scope["path"].rstrip("/")
        reads = scope["method"] in {"GET", "HEAD"}
        if self.own and not _is_asked_here(scope):
            return ELSEWHERE, receive
        if reads or place not in POSTS - FILES:
            return ("" if reads or place in FILES else "The page takes nothing there."), receive
        body = await _read(receive)
        if body is None:
            return f"The page takes at most {MOST} bytes of a request.", receive
        try:
            strange = not _are_uploads(json.loads(body or b"null"), self.uploads)
        except (ValueError, RecursionError):
            return "The page cannot read that.", receive
        return (NOT_UPLOADED if strange else ""), _again(body, receive)


def _is_asked_here(scope: Any) -> bool:
    """Whether a browser was told an address of this machine, and not a name that leads to it."""
    found = (value for name, value in scope["headers"] if name == b"host")
    host = next(found, b"").decode("latin-1")
    return is_loopback(host if host.endswith("]") else host.rpartition(":")[0] or host)


async def _read(receive: Receive) -> bytes | None:
    """The body of a request; ``None``: it is too long."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read to who reads it next."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return waiting.pop() if waiting else await receive()

    return again


def _are_uploads(value: Any, uploads: str) -> bool:
    """Whether every file that is named was uploaded: none of the machine's, nor of elsewhere."""
    if isinstance(value, list):
        return all(_are_uploads(it, uploads) for it in value)
    if not isinstance(value, dict):
        return True
    path = value.get("path")
    if isinstance(path, str) and not _is_below(path, uploads):
        return False
    return all(_are_uploads(it, uploads) for it in value.values())


def _is_below(path: str, folder: str) -> bool:
    try:
        return os.path.realpath(path).startswith(folder + os.sep)
    except (OSError, ValueError):
        return False
