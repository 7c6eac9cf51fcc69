"""``refhooks play``."""

from __future__ import annotations

import importlib.util
import ipaddress

import click

from refhooks import InputError

HELP = """Open a page in the browser to steer edits on.

The page edits with one model, for as many people as open it: one edit at a time, each with
pictures of their own. Stages, strengths and masks are set on it, and what it shows can be saved as
a strategy file, as a command line and inside of the picture, and opened again from each.

It is reached from this machine alone, unless --host says otherwise, which needs --password.
"""


@click.command("play", help=HELP)
@click.option("--model", metavar="NAME", default="toy", show_default=True,
              help="A repository, a folder, or the embedded toy.")  # fmt: skip
@click.option("--device", metavar="NAME", help="Where to put the model, such as cuda.")
@click.option("--dtype", metavar="NAME", help="Such as bfloat16; by default that of its files.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
              help="Address to listen at; 0.0.0.0 is every one of this machine.")  # fmt: skip
@click.option("--port", metavar="NUMBER", default=7860, show_default=True,
              type=click.IntRange(0, 65535), help="Port to listen at; 0: any free.")  # fmt: skip
@click.option("--password", metavar="TEXT", envvar="REFHOOKS_PLAY_PASSWORD", show_envvar=True,
              help="What is asked of who opens the page.")  # fmt: skip
def play(
    model: str, device: str | None, dtype: str | None, host: str, port: int, password: str | None
) -> None:
    """Load the model and serve the page until Ctrl-C."""
    check_open(host, password)
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs gradio; install it with: pip install 'refhooks[play]'")
    from refhooks_play._server import listen, serve  # noqa: PLC0415  imports gradio, seconds

    socket = listen(host, port)
    serve(model, socket, device=device, dtype=dtype, password=password)


def check_open(host: str, password: str | None) -> None:
    """Refuse a page that others reach and nothing guards.

    Raises:
        InputError: The host is another than this machine's own, and there is no password.
    """
    if not password and not is_loopback(host):
        raise InputError(
            f"--host {host} opens the page to others, who could use this machine; add --password"
            " TEXT, or leave --host out"
        )


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
