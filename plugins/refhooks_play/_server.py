"""Serving the page: on one socket, with no connection to anywhere else."""

from __future__ import annotations

import hmac
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from refhooks import Editor, InputError
from refhooks_play._command import is_loopback
from refhooks_play._running import Runner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["application", "listen", "serve"]

MAX_UPLOAD = "64mb"
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


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InputError: The address is none of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host.strip("[]"), port))
    except OSError as error:
        made.close()
        raise InputError(
            f"cannot listen at {host}, port {port}: {error.strerror or error}; name another with"
            " --host or --port"
        ) from error
    return made


def serve(
    model: str, at: socket.socket, *, device: str | None, dtype: str | None, password: str | None
) -> None:
    """Load a model and serve the page until it is interrupted.

    Raises:
        ModelError: There is no such model, or it cannot be loaded.
    """
    root = Path(tempfile.mkdtemp(prefix="refhooks-play-"))
    _quieten(root)
    try:
        click.echo(f"loading {model}", err=True)
        editor = Editor.from_pretrained(model, device=device, dtype=dtype)
        if hasattr(editor.pipe, "set_progress_bar_config"):
            editor.pipe.set_progress_bar_config(disable=True)
        loading = {"model": None if model == "toy" else model, "device": device, "dtype": dtype}
        words = [f"--{name}={value}" for name, value in loading.items() if value]
        app = application(editor, model, root, password, words)
        host, port = at.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"the page is at http://{shown}:{port}/ until Ctrl-C")
        _run(app, at)
    finally:
        at.close()
        shutil.rmtree(root, ignore_errors=True)


def _quieten(root: Path) -> None:
    """Before gradio is imported: it reads these then. Nothing is counted or asked for elsewhere."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(root / "cache")


def _run(app: Any, at: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415  comes with gradio

    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[at])


def application(
    editor: Editor,
    model: str,
    root: Path,
    password: str | None = None,
    loading: Sequence[str] = (),
) -> Any:
    """Return the page as an ASGI application.

    Args:
        editor: The model.
        model: Its name, for the page.
        root: An empty folder; what people upload and make is kept in it.
        password: What is asked for, with any name; ``None``: nothing is.
        loading: The words that name the model on the command line of ``refhooks edit``.
    """
    _quieten(root)
    import gradio  # noqa: PLC0415  takes seconds
    from fastapi import FastAPI  # noqa: PLC0415

    from refhooks_play._page import build  # noqa: PLC0415
    from refhooks_play._style import CSS, THEME  # noqa: PLC0415

    def is_let_in(_name: str, given: str) -> bool:
        return hmac.compare_digest(given.encode(), str(password).encode())

    sessions = root / "sessions"
    sessions.mkdir(parents=True)
    runner = Runner(editor, loading)
    runner.show_warnings()
    page = build(runner, model, sessions)
    app = gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None), page, path="/",
        auth=is_let_in if password else None,
        auth_message="Any name, and the password that the page was started with.",
        max_file_size=MAX_UPLOAD, footer_links=[], show_error=False, pwa=False, ssr_mode=False,
        enable_monitoring=False, mcp_server=False, theme=THEME(), css=CSS,
    )  # fmt: skip
    app.add_middleware(_Guarded, own=not password)
    return app


class _Guarded:
    """Says with each answer that a browser shall fetch nothing from elsewhere.

    Args:
        app: What answers.
        own: Whether it answers only who asks for an address of this machine.
    """

    def __init__(self, app: Any, *, own: bool) -> None:
        self.app = app
        self.own = own

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.own and not _is_asked_here(scope):
            await guarded({"type": "http.response.start", "status": 403, "headers": PLAIN})
            await guarded({"type": "http.response.body", "body": ELSEWHERE.encode()})
        else:
            await self.app(scope, receive, guarded)


def _is_asked_here(scope: Any) -> bool:
    """Whether a browser was told an address of this machine, and not a name that leads to it."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode(
        "latin-1"
    )
    return is_loopback(host if host.endswith("]") else host.rpartition(":")[0] or host)
