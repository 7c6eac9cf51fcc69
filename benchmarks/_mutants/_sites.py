"""What can be changed in a module: one place, one operator, and what stands there instead."""

from __future__ import annotations

import ast
import copy
import hashlib
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
_UNSEEN = {"stacklevel", "encoding"}  # arguments that change no result
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@attrs.frozen
class Site:
    """One change.

    Attributes:
        file: Relative to the root of the tree.
        function: Qualified name; empty at the module's level.
        line: 1-based.
        operator: Name of the kind of change.
        start: First byte of what is replaced.
        end: The byte behind it.
        before: What stands there.
        after: What stands there instead.
        text: The line, stripped.
        turn: How many of this operator on such a line of this function come before.
        statement: The line of the innermost statement around it.
    """

    file: str
    function: str
    line: int
    operator: str
    start: int
    end: int
    before: str
    after: str
    text: str
    turn: int
    statement: int

    @property
    def key(self) -> str:
        """A name that stays when other parts of the file change."""
        parts = (self.file, self.function, self.operator, self.text, self.before, str(self.turn))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    def applied(self, source: bytes) -> bytes:
        """Return the file with the change."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def choose(sites: Sequence[Site], count: int, seed: int) -> list[Site]:
    """Return one change for each of so many lines, the same lines whatever else is added."""

    def rank(*parts: object) -> str:
        return hashlib.sha256("\0".join(map(str, (seed, *parts))).encode()).hexdigest()

    lines: dict[tuple[str, int], list[Site]] = {}
    for site in sites:
        lines.setdefault((site.file, site.line), []).append(site)
    picked = [min(those, key=lambda site: rank("site", site.key)) for those in lines.values()]
    picked.sort(key=lambda site: rank("line", site.file, site.function, site.text, site.turn))
    return picked[:count]


def sites_of(path: Path, root: Path) -> list[Site]:
    """Return every change that a module allows."""
    source = path.read_bytes()
    return list(_Finder(source, path.relative_to(root).as_posix()).find())


class _Finder:
    """Goes through a module, and knows in which function and statement it is."""

    def __init__(self, source: bytes, file: str) -> None:
        self._source = source
        self._file = file
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._turns: dict[tuple[str, ...], int] = {}

    def find(self) -> Iterator[Site]:
        for node in ast.parse(self._source).body:
            yield from self._visit(node, (), node)

    def _visit(self, node: ast.AST, names: tuple[str, ...], statement: ast.stmt) -> Iterator[Site]:
        if isinstance(node, ast.stmt):
            statement = node
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names = (*names, node.name)
        for operator, target, after in _changes(node):
            yield self._site(operator, target, after, names, statement)
        for child in _inside(node):
            yield from self._visit(child, names, statement)

    def _site(
        self, operator: str, node: ast.AST, after: str, names: tuple[str, ...], statement: ast.stmt
    ) -> Site:
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        before = self._source[start:end].decode()
        text = self._lines[node.lineno - 1].decode().strip()
        same = (".".join(names), operator, text, before)
        turn = self._turns[same] = self._turns.get(same, -1) + 1
        return Site(
            self._file, ".".join(names), node.lineno, operator, start, end, before, after, text,
            turn, statement.lineno,
        )  # fmt: skip


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that are run and can be changed: no types, texts and messages."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        if isinstance(node, ast.keyword) and node.arg in _UNSEEN:
            continue
        if isinstance(node, ast.Call) and _is_warning(node):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _is_warning(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return "warn" in name or name in {"cast", "TypeVar"}


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    """The operators: name, the node that is replaced, and by what."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        other = copy.deepcopy(node)
        other.ops[0] = _COMPARED[type(node.ops[0])]()
        yield "comparison", node, ast.unparse(other)
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not _is_text(node):
        swapped = copy.deepcopy(node)
        swapped.op = _COMPUTED[type(node.op)]()
        yield "arithmetic", node, f"({ast.unparse(swapped)})"
    elif isinstance(node, ast.BoolOp):
        both = copy.deepcopy(node)
        both.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and-or", node, f"({ast.unparse(both)})"
    elif isinstance(node, ast.Constant):
        yield from _constant(node)
    elif isinstance(node, ast.Call) and not _is_warning(node):
        yield from _without_argument(node)
    yield from _of_statement(node)


def _of_statement(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        if ast.unparse(node.test) != "TYPE_CHECKING":
            yield "condition", node.test, f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield "condition", test, f"(not ({ast.unparse(test)}))"
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "return-none", node, "return None"
    elif (
        isinstance(node, ast.Raise | ast.AugAssign | ast.Delete)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        or (
            isinstance(node, ast.Assign)
            and all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
        )
    ):
        yield "deleted", node, "pass"


def _constant(node: ast.Constant) -> Iterator[tuple[str, ast.AST, str]]:
    if isinstance(node.value, bool):
        yield "constant", node, str(not node.value)
    elif isinstance(node.value, int):
        yield "constant", node, str(node.value + 1)
    elif isinstance(node.value, float):
        yield "constant", node, repr(node.value + 1.0)


def _without_argument(node: ast.Call) -> Iterator[tuple[str, ast.AST, str]]:
    for number, keyword in enumerate(node.keywords):
        if keyword.arg is None or keyword.arg in _UNSEEN:
            continue
        fewer = copy.deepcopy(node)
        del fewer.keywords[number]
        yield "argument", node, ast.unparse(fewer)


def _is_text(node: ast.BinOp) -> bool:
    """Whether it joins texts, or fills one."""
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in ast.walk(node)
    )


def probed(source: bytes, statements: dict[int, list[str]]) -> str:
    """Return a module that notes each time one of the statements is reached.

    Args:
        source: Of the module.
        statements: Keys of the changes in a statement, by its line.
    """
    tree = ast.parse(source)
    for node in list(ast.walk(tree)):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, field, list(_noted(block, statements)))
    return ast.unparse(ast.fix_missing_locations(tree))


def _noted(block: list[ast.stmt], statements: dict[int, list[str]]) -> Iterator[ast.stmt]:
    for number, node in enumerate(block):
        is_docstring = (
            number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if node.lineno in statements and not is_docstring and not is_future:
            keys = repr(tuple(statements[node.lineno]))
            yield from ast.parse(f"__import__('builtins')._mutants_seen.update({keys})").body
        yield node
