"""The parts of the page that show a session, and what they do to it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import attrs
import gradio as gr

from refhooks import RefhooksError
from refhooks_play._session import Session, alert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BUTTONS", "QUIET", "Field", "Parts", "told"]

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
BUTTONS = ["fullscreen", "download"]
"""What a picture on the page offers; to share it elsewhere is nothing of it."""
PAINT = "Paint"
"""The tab whose picture is laid out when it is seen: before, it has no size."""
LOST = "this page is still loading, or older than the program that serves it; load it again"


def told(text: str) -> str:
    """Return a sentence as HTML, for a line that says what was done."""
    return f"<p class='told' role='status'>{html.escape(text)}</p>" if text else ""


@attrs.frozen
class Field:
    """Components whose values are a part of the session's state.

    Attributes:
        components: One or several.
        read: What they show of a session, as many.
        write: Puts their values into a session.
    """

    components: list[Any]
    read: Callable[[Session], Sequence[Any]]
    write: Callable[[Session, Sequence[Any]], None]


@attrs.define
class Parts:
    """Everything on the page that a session fills.

    Every action gets the values of all fields, so that nothing that was typed is lost, whatever
    order events arrive in; afterwards everything shows the state as it is then.

    Attributes:
        session: Holds the session.
        reference: Which reference is looked at.
        lanes: The lanes of all references.
        tabs: Those of the page, by their names.
    """

    session: Any
    reference: Any = None
    lanes: Any = None
    tabs: dict[str, Any] = attrs.field(factory=dict)
    fields: list[Field] = attrs.field(factory=list)
    _shows: list[tuple[Any, Callable[[Session], Any]]] = attrs.field(factory=list)
    _later: list[Callable[[], None]] = attrs.field(factory=list)

    def show(self, component: Any, read: Callable[[Session], Any]) -> Any:
        """Have a component show something of the session, and return it."""
        self._shows.append((component, read))
        return component

    def field(
        self, component: Any, read: Callable[[Session], Any], write: Callable[[Session, Any], None]
    ) -> Any:
        """Have a component be a part of the state, and return it; lanes follow what is typed."""
        self.fields.append(
            Field([component], lambda it: [read(it)], lambda it, values: write(it, values[0]))
        )
        return component

    def redraw(self, session: Session | None, *values: Any) -> str:
        """Return the lanes as they are with what is typed and chosen now."""
        if session is None:
            return alert(LOST)
        with session.lock:
            self.write(session, session.settled(values))
            return session.lanes()

    def act(
        self,
        event: Any,
        work: Callable[..., str | None],
        status: Any,
        more: Sequence[Any] = (),
        clears: Sequence[Any] = (),
        *,
        quick: bool = False,
    ) -> None:
        """Do something to the session when something is used.

        Args:
            event: Such as ``button.click``.
            work: Called as ``work(session, *more)``; what it returns is said at ``status``.
            status: Where that, and what is refused, is said.
            more: Components whose values it gets.
            clears: Components that are emptied afterwards.
            quick: Whether it follows the choice of a reference, which then stays as it is: another
                may have been chosen since.
        """
        count = len(more)

        def acted(session: Session | None, *values: Any) -> list[Any]:
            emptied = [None] * len(clears)
            if session is None:
                return [alert(LOST), *emptied, *[gr.skip()] * len(self.outputs())]
            try:
                with session.lock:
                    self.write(session, values[count:])
                    said = told(work(session, *values[:count]) or "")
                    session.settle(values[count:], self.values(session))
            except RefhooksError as error:
                said = alert(str(error))
            shown = self.shown(session)
            return [said, *emptied, *([gr.skip(), *shown[1:]] if quick else shown)]

        def wired() -> None:
            session, *fields = self.inputs()
            outputs = [status, *clears, *self.outputs()]
            mode = "always_last" if quick else "once"
            event(acted, [session, *more, *fields], outputs, trigger_mode=mode, **QUIET)

        self._later.append(wired)

    def follow_tabs(self) -> None:
        """Have the session know which tab is looked at."""

        def look_at(name: str) -> Callable[[Session | None], None]:
            def look(session: Session | None) -> None:
                if session is not None:
                    session.tab = name

            return look

        for name, tab in self.tabs.items():
            if name != PAINT:
                tab.select(look_at(name), self.session, None, **QUIET)

    def later(self, wire: Callable[[], None]) -> None:
        """Wire something when all parts are there."""
        self._later.append(wire)

    def wire(self) -> None:
        """Wire everything: all parts are there."""
        for wire in self._later:
            wire()
        changes = [it.change for field in self.fields for it in field.components]
        gr.on(changes, self.redraw, self.inputs(), self.lanes, trigger_mode="always_last", **QUIET)

    def inputs(self) -> list[Any]:
        """Return the session and the components of all fields."""
        return [self.session, *[it for field in self.fields for it in field.components]]

    def write(self, session: Session, values: Sequence[Any]) -> None:
        """Put the values of all fields into a session."""
        place = 0
        for field in self.fields:
            count = len(field.components)
            field.write(session, values[place : place + count])
            place += count

    def values(self, session: Session) -> list[Any]:
        """Return what all fields show of a session."""
        return [value for field in self.fields for value in field.read(session)]

    def outputs(self) -> list[Any]:
        """Return all components that show a session."""
        fields = [it for field in self.fields for it in field.components]
        return [self.reference, self.lanes, *fields, *[it for it, _ in self._shows]]

    def shown(self, session: Session | None) -> list[Any]:
        """Return what they show, in this order."""
        if session is None:
            return [gr.skip()] * len(self.outputs())
        with session.lock:
            return self._shown(session)

    def _shown(self, session: Session) -> list[Any]:
        names = session.names()
        chosen = names[min(session.place, len(names) - 1)] if names else None
        return [
            gr.update(choices=names, value=chosen, visible=bool(names)),
            session.lanes(),
            *self.values(session),
            *[read(session) for _, read in self._shows],
        ]
