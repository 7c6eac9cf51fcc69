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
from refhooks_play._guard import Guarded
from refhooks_play._running import Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["application", "listen", "serve"]

MAX_UPLOAD = "64mb"


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
    page.has_launched = True  # else gradio takes any file of the machine for one that was uploaded
    app = gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None), page, path="/",
        auth=is_let_in if password else None,
        auth_message="Any name, and the password that the page was started with.",
        max_file_size=MAX_UPLOAD, footer_links=[], show_error=False, pwa=False, ssr_mode=False,
        enable_monitoring=False, mcp_server=False, theme=THEME(), css=CSS,
    )  # fmt: skip
    app.add_middleware(Guarded, own=not password, uploads=root / "cache")
    return app
