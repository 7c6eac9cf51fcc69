"""The rules that keep the core small and the plugins independent of it."""

from __future__ import annotations

import ast
import importlib

from places import ROOT

import refhooks

CORE = sorted((ROOT / "refhooks").glob("**/*.py"))
PLUGINS = sorted((ROOT / "plugins").glob("**/*.py"))
OTHERS = sorted(
    path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
PUBLIC_MODULES = {
    "refhooks", "refhooks.attention", "refhooks.batch", "refhooks.families", "refhooks.hookspecs",
    "refhooks.pictures", "refhooks.score", "refhooks.testing",
}  # fmt: skip
MOST_LINES, MOST_FUNCTION_LINES = 400, 40


def tree(path):
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Yield (module, name) of each import, also of those inside functions; name may be None."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from ((node.module, alias.name) for alias in node.names)


def test_the_files_are_found():
    """The tests below would pass on nothing."""
    assert len(CORE) > 15
    assert {"refhooks_default", "refhooks_inject", "refhooks_qwen"} <= {
        path.parent.name for path in PLUGINS
    }


def test_the_core_imports_no_plugin():
    """By no statement, and by no name that is put together at run time."""
    for path in CORE:
        for module, _ in imports(path):
            assert not module.startswith("refhooks_"), f"{path}: {module}"
        for node in ast.walk(tree(path)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in {"exec", "eval", "__import__"}, path
            if called.endswith("import_module"):
                module = ast.literal_eval(node.args[0])
                assert not module.startswith("refhooks_"), f"{path}: {module}"


def test_the_core_names_no_method():
    """Adding a method touches no core file: outside docstrings none is mentioned."""
    methods = set(refhooks.load_registry().methods)
    for path in (path for path in CORE if path.parent.name != "testing"):
        strings = {
            node.value
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert set() == methods & strings, path


def test_plugins_import_only_public_names():
    """What is private in the core can change without breaking anybody."""
    for path in PLUGINS:
        for module, name in imports(path):
            if module.split(".")[0] == "refhooks":
                assert module in PUBLIC_MODULES, f"{path}: {module}"
                exported = importlib.import_module(module).__all__
                assert name is None or name in exported, f"{path}: {name}"


def test_plugins_use_only_public_names_of_each_other():
    """A plugin's private modules are its own."""
    for path in PLUGINS:
        for module, name in imports(path):
            package, _, inside = module.partition(".")
            if package.startswith("refhooks_") and package != path.parent.name:
                parts = [*inside.split("."), name or ""]
                assert not any(part.startswith("_") for part in parts), f"{path}: {module}"


def test_the_facade_alone_touches_pluggy_hooks():
    """`pm.hook` is read in the façade alone."""
    users = {
        path.name
        for path in CORE + PLUGINS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr == "hook"
        and isinstance(node.value, ast.Name | ast.Attribute)
        and "manager" in ast.unparse(node.value).lower()
    }  # fmt: skip
    managers = {
        path.name for path in CORE + PLUGINS if any(name == "PluginManager" for name in names(path))
    }

    assert {"calls.py"} == users == managers


def names(path):
    """Yield every name and attribute that a file reads."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


def test_a_module_fits_on_three_screens():
    """400 lines; what is longer is two modules."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in CORE + PLUGINS + OTHERS
    }

    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_a_function_fits_on_half_a_screen():
    """40 lines of body, the docstring not counted."""
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": lines_of(node)
        for path in CORE + PLUGINS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: lines for name, lines in lengths.items() if lines > MOST_FUNCTION_LINES} == {}


def lines_of(function):
    """Return how many lines the body of a function has."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_plugins_are_packages_with_types():
    """Each has py.typed, and nothing else lies beside them: it would be installed."""
    folders = [path for path in (ROOT / "plugins").iterdir() if path.name != "__pycache__"]

    for folder in folders:
        assert folder.name.startswith("refhooks_"), folder
        assert (folder / "__init__.py").is_file(), folder
        assert (folder / "py.typed").is_file(), folder


def test_no_function_of_a_package_is_named_as_its_module():
    """Importing the module would put it in the function's place, for whoever asks again."""
    for path in [path for path in (*CORE, *PLUGINS) if path.name == "__init__.py"]:
        own = {
            node.name
            for node in tree(path).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        assert own & {other.stem for other in path.parent.iterdir()} == set(), path


def test_the_loop_is_one_screen():
    """What a reader of this project looks at first."""
    assert len((ROOT / "refhooks" / "loop.py").read_text(encoding="utf-8").splitlines()) <= 50
