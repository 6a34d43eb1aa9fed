"""The style rules that no linter checks, over edged/ and tools/; files are short in tests/ too."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINE_CHARS_MAX = 100
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
DUPLICATE_LINES = 8

SOURCES = sorted(path for folder in ("edged", "tools") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

BANNED_WORDS = {"manager", "handler", "helper", "helpers", "util", "utils", "common", "misc"}

# What knows most first: a module may import what stands in a later row, or in its own row.
# `daemon` alone knows all parts; the data path points right; seams and the wire lie below it.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("store.command_line", "store.commands"),
    (
        "access",
        "ask",
        "bench",
        "check",
        "doctor",
        "evaluation",
        "config.example",
        "sweep",
        "top",
    ),
    ("daemon",),
    ("exposition", "admin", "orders.remote", "live"),
    ("status",),
    ("intake", "orders.helm", "activation", "orders.command_topics"),
    ("examination", "trim"),
    ("dispatch", "entry"),
    ("outbox",),
    ("mqtt", "service"),
    ("line",),
    ("grants", "lease"),
    ("places",),
    (
        "admission",
        "batch",
        "scheduler",
        "answers",
        "diary",
        "orders",
        "orders.kept",
        "orders.budgets",
    ),
    ("costs", "turns", "quota"),
    ("spool", "spool.queue"),
    ("spool.file",),
    ("spool.commits",),
    ("spool.table", "clock", "time_floor"),
    ("spool.salvage", "spool.room"),
    ("spool.schema",),
    ("spool.unfinished", "ends"),
    ("spool.rows",),
    ("site",),
    ("inputs",),
    ("calibration", "marks"),
    ("requests", "templates", "table_form", "bounds"),
    ("metrics", "store"),
    ("engine", "power", "board"),
    ("models",),
    ("contract", "live_figures"),
    ("topics",),
    (
        "config",
        "credentials",
        "lock",
        "spool.disk",
        "durable",
        "unix_socket",
        "notify",
        "misfits",
        "journal",
        "first_of",
        "all_of",
    ),
    ("errors", ""),
)

ROWS = {name: row for row, names in enumerate(LAYERS) for name in names}

# Written in pieces, so that this file does not find itself.
WORKPLACE_WORDS = [
    "/wor" + "k/",
    "shared/" + "facts",
    "facts/" + "mqtt",
    "../" + "shared",
    "pypi." + "org",
    "python" + "hosted",
    "deb." + "debian",
]


@pytest.fixture(scope="module", autouse=True)
def _forgets_the_trees() -> Iterator[None]:
    """Syntax trees of every file are a burden on each test after these."""
    yield
    parse.cache_clear()


def test_every_module_says_what_it_is() -> None:
    assert [name(path) for path in SOURCES if not ast.get_docstring(parse(path))] == []


def test_lines_are_short() -> None:
    long = [
        f"{name(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > LINE_CHARS_MAX
    ]
    assert long == []


def test_files_are_short() -> None:
    texts = {name(path): path.read_text(encoding="utf-8") for path in (*SOURCES, *TESTS)}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    assert {path: count for path, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_functions_are_short() -> None:
    long = [
        f"{name(path)}: {node.name}, {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path in SOURCES
        for node in statements(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_no_name_hides_what_a_thing_does() -> None:
    names = [(path, word) for path in SOURCES for word in (path.stem, *defined_names(parse(path)))]
    vague = [f"{name(path)}: {word}" for path, word in names if is_vague(word)]
    # asyncio's own name, overridden.
    assert vague == ["tools/simulation/loop.py: add_signal_handler"]


@pytest.mark.parametrize("name", ["EngineManager", "BaseMeter", "utils", "on_message_handler"])
def test_a_vague_name_is_found(name: str) -> None:
    assert is_vague(name)


@pytest.mark.parametrize("name", ["Base64Text", "Database", "commonly", "Spool"])
def test_a_plain_name_is_left_alone(name: str) -> None:
    assert not is_vague(name)


def test_only_main_catches_everything() -> None:
    others = [path for path in SOURCES if path != ROOT / "edged" / "__main__.py"]
    assert [name(path) for path in others if catch_alls(parse(path))] == []


def test_a_catch_all_is_found() -> None:
    tree = ast.parse("try:\n    f()\nexcept (OSError, Exception):\n    pass\n")
    assert catch_alls(tree) == [3]


def test_imports_point_along_the_data_path_or_down() -> None:
    backwards = [
        f"{module} imports {imported}"
        for module, imported in internal_imports()
        if layer(imported) < layer(module)
    ]
    assert backwards == []


def test_every_module_has_its_layer() -> None:
    homeless = [module for module in MODULES if not any(name in ROWS for name in prefixes(module))]
    assert homeless == []


def test_no_import_comes_back_to_where_it_started() -> None:
    imports: dict[str, set[str]] = defaultdict(set)
    for module, imported in internal_imports():
        imports[module].add(imported)
    list(graphlib.TopologicalSorter(imports).static_order())  # a cycle raises, and names it


def test_no_passage_stands_twice() -> None:
    assert duplicates(SOURCES) == []


def test_a_passage_that_stands_twice_is_found(tmp_path: Path) -> None:
    passage = "".join(f"first{number} = {number}\n" for number in range(DUPLICATE_LINES))
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"# {name}\n{passage}")
    assert len(duplicates([tmp_path / "a.py", tmp_path / "b.py"])) == 1


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a git checkout has tracked files")
def test_nothing_tracked_names_the_place_it_was_written_in() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in tracked_files()
        for word in WORKPLACE_WORDS
        if word.encode() in path.read_bytes()
    ]
    assert found == []


def name(path: Path) -> str:
    """Return a file's path in the project."""
    return str(path.relative_to(ROOT))


@functools.cache
def parse(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the statements and `except` clauses of a tree; expressions, its bulk, hold none."""
    inside: list[ast.AST] = [*tree.body]
    while inside:
        node = inside.pop()
        yield node
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            inside += getattr(node, field, ())


def defined_names(tree: ast.Module) -> Iterator[str]:
    """Return the names of the classes and functions that a file defines."""
    for node in statements(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def is_vague(name: str) -> bool:
    """Return whether a name is made with a word that says nothing."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
    return not BANNED_WORDS.isdisjoint(words) or (name[:1].isupper() and words[0] == "base")


def catch_alls(tree: ast.Module) -> list[int]:
    """Return the lines of `except` clauses that would swallow a bug."""
    return [
        node.lineno
        for node in statements(tree)
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or any(
                isinstance(name, ast.Name) and name.id in ("Exception", "BaseException")
                for name in ast.walk(node.type)
            )
        )
    ]


def internal_imports() -> Iterator[tuple[str, str]]:
    """Return (module, imported module) of edged, without the package's own name in front."""
    for module, path in MODULES.items():
        for node in statements(parse(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "edged":
                package = (node.module or "").removeprefix("edged").lstrip(".")
                for alias in node.names:
                    inner = f"{package}.{alias.name}".lstrip(".")
                    yield module, inner if inner in MODULES else package
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.startswith("edged.")]
                yield from ((module, name.removeprefix("edged.")) for name in names)


def module_name(path: Path) -> str:
    """Return a module's name without the package's own in front; the package itself has none."""
    parts = path.relative_to(ROOT / "edged").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted((ROOT / "edged").rglob("*.py"))}


def layer(module: str) -> int:
    """Return the row of `LAYERS` that a module stands in, or its package; 0 knows everything."""
    return next(ROWS[name] for name in prefixes(module) if name in ROWS)


def prefixes(module: str) -> list[str]:
    """Return a module's name and those of the packages around it, the nearest first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def duplicates(paths: list[Path]) -> list[str]:
    """Return where the same run of meaningful lines stands more than once."""
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in paths:
        lines = meaningful_lines(path)
        for start in range(len(lines) - DUPLICATE_LINES + 1):
            window = lines[start : start + DUPLICATE_LINES]
            places[tuple(text for _, text in window)].append(f"{path.name}:{window[0][0]}")
    return [" and ".join(where) for where in places.values() if len(where) > 1]


def meaningful_lines(path: Path) -> list[tuple[int, str]]:
    """Return (number, text) of the lines but blanks, comments, imports, lone names and brackets."""
    numbered = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    skipped = re.compile(r"\s*(#.*|(from|import) .*|\w+,|\W*)$")
    return [(number, line.strip()) for number, line in numbered if not skipped.match(line)]


def tracked_files() -> list[Path]:
    """Return the files that git tracks here."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]
