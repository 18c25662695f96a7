#!/usr/bin/env python3
"""Finds code that reads documents or chunks without asking who may see them.

    python3 .ci/access_lint.py [FOLDER]

Every query on `Document` or `Chunk` must pass `visible_to(` or `manageable_by(` in the same chain of calls, wherever it
stands in accounts/, search/, portal/, and in whatever of ingestion/ is not in BUILDERS. Tests and migrations are not
looked at, nor deploy/, which answers no request (import-linter holds that). A statement may be excepted by a comment on
one of its lines, `# access: the reason`; the exceptions are printed with their reasons. Exit status 1 when anything was
found. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("accounts", "ingestion", "portal", "search")

BUILDERS = (
    "ingestion/drift.py", "ingestion/extraction_answer.py", "ingestion/extraction_child.py",
    "ingestion/extraction_parts.py", "ingestion/filling.py", "ingestion/folder.py", "ingestion/management",
    "ingestion/metadata.py", "ingestion/models", "ingestion/parts.py", "ingestion/pipeline.py", "ingestion/progress.py",
    "ingestion/queueing.py", "ingestion/reembedding.py", "ingestion/registration.py", "ingestion/retention.py",
    "ingestion/runs.py", "ingestion/statistics.py", "ingestion/storage.py", "ingestion/storage_s3.py",
    "ingestion/upkeep.py", "ingestion/vectorspace.py", "ingestion/versions.py",
)  # fmt: skip
"""What builds the corpus and shows nobody anything: it works on documents whoever may see them."""

GUARDED = frozenset({"Document", "Chunk"})
PREDICATES = frozenset({"visible_to", "manageable_by"})
MANAGERS = frozenset({"objects", "_default_manager", "_base_manager"})

RELATED = frozenset({"documents", "chunks", "shared_documents", "parts", "document_set", "chunk_set"})
"""Names under which other models reach documents and chunks. A list or a field of another kind is called otherwise."""

FIELDS = frozenset({"document", "chunk", "parent"})
"""Fields of other models that hold a document or a chunk. Lookups reach the rest of it through them."""

BY_KEY = frozenset({"pk", "id", "in", "exact", "isnull"})
"""What may follow such a field: it compares with documents that the code has already."""

VIEWER_FIELDS = frozenset(
    {
        "admitted", "campus_id", "clearance", "curated", "departments", "every_department", "librarian", "phase",
        "role", "seen_as", "user_id", "within",
    }
)  # fmt: skip
"""Fields of accounts.clearance.Viewer that decide what is seen; `languages` order it only."""

SEVERAL = RELATED | {"tags", "shared_with"}
"""Fields between documents and several of something else, from either side."""

TAKES_CLASS = frozenset(
    {"ForeignKey", "ManyToManyField", "OneToOneField", "cast", "isinstance", "issubclass", "register"}
)
"""What takes a model's class and does not query it (`register`: see `_registration`)."""

TAKES_LOOKUPS = frozenset(
    {
        "ArrayAgg", "Avg", "Count", "Exists", "F", "FilteredRelation", "JSONBAgg", "Max", "Min", "OuterRef", "Prefetch",
        "StringAgg", "Sum", "Subquery", "aggregate", "alias", "annotate", "dates", "datetimes", "defer", "distinct",
        "earliest", "latest", "only", "order_by", "prefetch_related", "prefetch_related_objects", "select_related",
        "values", "values_list",
    }
)  # fmt: skip
"""Calls whose strings name columns, and so may reach documents through a relation. With `__`, any string may."""

TAKES_CONDITIONS = frozenset(
    {
        "Q", "When", "aget", "exclude", "filter", "get", "get_list_or_404", "get_object_or_404",
        "get_or_create", "update_or_create",
    }
)  # fmt: skip
"""Calls whose keywords are lookups. Those of `annotate` are new names, and what they stand for is looked at itself."""

TABLES = re.compile(r"\bingestion_(?:document|chunk)(?:_tags|_shared_with)?\b", re.IGNORECASE)
LOOKUP = re.compile(r"[-+]?[a-z]\w*__\w*")
REASON = re.compile(r"#\s*access:\s*(\S.*)")


@dataclass(frozen=True, order=True)
class Finding:
    """One statement that goes round the access rule; with a `reason` it is an exception that somebody answers for."""

    path: str
    line: int
    what: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}{f' (excepted: {self.reason})' if self.reason else ''}"


def check_source(source: str, path: str) -> list[Finding]:
    """What is wrong with this file, and its exceptions. Raises SyntaxError for what is not Python."""
    return sorted(set(_File(source, path).findings()))


def check_tree(root: Path) -> list[Finding]:
    """What is wrong with the rooms below this folder, and their exceptions."""
    found: list[Finding] = []
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if not {"tests", "migrations"}.intersection(file.parts) and not path.startswith(BUILDERS):
                found += check_source(file.read_text(encoding="utf-8"), path)
    return found


class _File:
    """One file as a tree, with what each node hangs from."""

    def __init__(self, source: str, path: str) -> None:
        self.path = path
        self.tree = ast.parse(source, path)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.guarded = set(GUARDED)
        self.aliases: dict[str, str] = {}
        self.reasons: dict[int, str] = {}
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT and (found := REASON.search(token.string)):
                self.reasons[token.start[0]] = found[1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                self.aliases |= {one.asname: one.name for one in node.names if one.asname}
        self.guarded |= {alias for alias, name in self.aliases.items() if name in GUARDED}
        self.others = _models_of_other_apps(self.tree)

    def findings(self) -> Iterator[Finding]:
        """Each finding; a node that several rules name is told once for each."""
        for node in ast.walk(self.tree):
            if (what := self._fault(node)) is not None:
                yield Finding(self.path, getattr(node, "lineno", 1), what, self._reason(node))

    def _fault(self, node: ast.AST) -> str | None:
        match node:
            case ast.Attribute():
                return self._attribute(node)
            case ast.Call():
                return self._call(node)
            case ast.Constant(value=str(text)) if not self._is_docstring(node) and TABLES.search(text):
                return "SQL that names the table of documents or chunks"
            case ast.Constant(value=str(text)) if LOOKUP.fullmatch(text) and self._reaches(node, text):
                return f"{text!r} reaches documents or chunks through a relation"
            case ast.Assign(value=ast.Name(id=name)) | ast.AnnAssign(value=ast.Name(id=name)) if name in self.guarded:
                owner = self.parents.get(node)
                if not (isinstance(owner, ast.ClassDef) and owner.name == "Meta"):
                    return f"{name} under another name: a generic view or an alias queries it unseen"
            case ast.ClassDef():
                return self._registration(node)
            case ast.Name(id="OPERATOR") | ast.Attribute(attr="OPERATOR") if not self._at_home("accounts/"):
                return "OPERATOR, who sees everything, is for the command line"
        return None

    def _attribute(self, node: ast.Attribute) -> str | None:
        """Managers of documents and chunks, of models that are known only when it runs, and related managers."""
        if node.attr in MANAGERS and isinstance(node.ctx, ast.Load) and not self._asks(node):
            owner = _last_name(node.value)
            named = owner is not None and (owner[:1].isupper() or owner in self.others) and owner not in self.guarded
            if not named and not _is_other_model(node.value) and owner != "through":
                return f"{ast.unparse(node)} without visible_to( or manageable_by( in its chain"
        if node.attr == "through" and not _is_other_model(node):
            return f"{ast.unparse(node)} tells which documents there are"
        if node.attr in RELATED and isinstance(node.ctx, ast.Load) and not self._asks(node):
            parent = self.parents.get(node)
            # `file.chunks()` reads a file: a related manager is never called.
            if not (isinstance(parent, ast.Call) and parent.func is node):
                return f"the related manager {ast.unparse(node)} without visible_to( or manageable_by( in its chain"
        if (
            node.attr == "_meta"
            and _last_name(node.value) in self.guarded
            and any(isinstance(link, ast.Attribute) and link.attr == "db_table" for link in self._chain(node))
        ):
            return "the table of documents or chunks by its name"
        return None

    def _call(self, node: ast.Call) -> str | None:
        """The class handed to something that may query it, models by name, and lookups across a relation."""
        called = _last_name(node.func) or ""
        called = self.aliases.get(called, called)
        values = [*node.args, *(one.value for one in node.keywords)]
        if called == "get_model" and not _names_another_app(node):
            return "a model by its name, which may be that of documents or chunks"
        if called not in TAKES_CLASS and any(isinstance(one, ast.Name) and one.id in self.guarded for one in values):
            return f"{called or 'a call'}( is handed the whole of a guarded model"
        if called in TAKES_LOOKUPS:
            texts = [one.value for one in values if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            for text in texts:
                if self._reaches(node, text):
                    return f"{called}({text!r}) reaches documents or chunks through a relation"
        if called in TAKES_CONDITIONS:
            for one in node.keywords:
                # A field alone is compared with a document that the code has already.
                if one.arg and one.arg not in FIELDS and self._reaches(node, one.arg) and not self._keeps(one):
                    return f"{called}({one.arg}=…) reaches documents or chunks through a relation"
        if called == "Viewer" and not self._at_home("accounts/"):
            return "a Viewer made by hand: viewer_for is the one source"
        if called == "replace" and not self._at_home("accounts/"):
            changed = {one.arg for one in node.keywords}
            itself = bool(node.args) and isinstance(node.args[0], ast.Name) and node.args[0].id == "self"
            if (None in changed and not itself) or changed & VIEWER_FIELDS:
                return "a Viewer changed by hand: viewer_for is the one source"
        return None

    def _reaches(self, node: ast.AST, lookup: str) -> bool:
        """Whether this lookup goes on from a relation into documents or chunks that nobody asked about.

        From a document or chunk that passed a predicate its own fields may be reached, and others of its document.
        """
        steps = lookup.lstrip("-+").split("__")
        for place, step in enumerate(steps):
            by_key = step in FIELDS and len(steps) > place + 1 and steps[place + 1] in BY_KEY
            own = place == 0 and step in FIELDS | {"chunks"} and self._about_asked(node)
            if step in RELATED | FIELDS and not by_key and not own:
                return True
        return False

    def _about_asked(self, node: ast.AST) -> bool:
        """Whether this is said of documents or chunks that passed a predicate: in their chain, or in a Q of its."""
        call = node
        # `Q(`, `F(` and the like belong to the query that they are handed to.
        while not (isinstance(call, ast.Call) and (_last_name(call.func) or "")[:1].islower()):
            if isinstance(call, ast.stmt):
                return False
            call = self.parents[call]
        if isinstance(call.func, ast.Attribute):
            return self._has_asked(call)
        return bool(call.args) and self._has_asked(call.args[0])

    def _has_asked(self, node: ast.AST) -> bool:
        """Whether this expression is a query whose chain calls a predicate, here or where it was given its name."""
        seen: set[ast.AST] = set()
        # A parameter that is given a new value made of the old one stands for itself.
        while node not in seen:
            seen.add(node)
            while isinstance(node, ast.Call | ast.Attribute):
                node = node.func if isinstance(node, ast.Call) else node.value
            if self._asks(node):
                return True
            node = self._resolved(node)
        return False

    def _keeps(self, condition: ast.keyword) -> bool:
        """Whether this keeps only what belongs to documents that passed a predicate (`documents__in=…`)."""
        relation, _, lookup = (condition.arg or "").partition("__")
        return relation in RELATED | FIELDS and lookup == "in" and _calls_predicate(self._resolved(condition.value))

    def _registration(self, node: ast.ClassDef) -> str | None:
        """An admin page of documents or chunks starts from a `get_queryset` of its own that asks."""
        if not any(
            isinstance(mark, ast.Call)
            and _last_name(mark.func) == "register"
            and any(_last_name(one) in self.guarded for one in mark.args)
            for mark in node.decorator_list
        ):
            return None
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "get_queryset"]
        if any(_calls_predicate(method) for method in methods):
            return None
        return f"{node.name} has no get_queryset that asks visible_to( or manageable_by("

    def _chain(self, node: ast.AST) -> Iterator[ast.AST]:
        """The attributes and calls that hang on this node: of `a.b(c).d` those are `a.b`, `a.b(c)`, `a.b(c).d`."""
        parent = self.parents.get(node)
        while (isinstance(parent, ast.Attribute) and parent.value is node) or (
            isinstance(parent, ast.Call) and parent.func is node
        ):
            yield parent
            node, parent = parent, self.parents.get(parent)

    def _asks(self, node: ast.AST) -> bool:
        """Whether the chain that begins here calls a predicate, or keeps only the chunks of documents that passed one
        (`filter(document__in=Document.objects.manageable_by(viewer))`)."""
        for link in self._chain(node):
            match link:
                case ast.Call(func=ast.Attribute(attr=name), args=[_, *_]) if name in PREDICATES:
                    return True
                case ast.Call(func=ast.Attribute(attr="filter"), keywords=keywords):
                    kept = [self._resolved(one.value) for one in keywords if one.arg == "document__in"]
                    if any(_calls_predicate(one) for one in kept):
                        return True
        return False

    def _resolved(self, node: ast.AST) -> ast.AST:
        """What a local name stands for, where it is given a value once in its function."""
        function = node
        while function in self.parents and not isinstance(function, ast.FunctionDef):
            function = self.parents[function]
        if not isinstance(node, ast.Name) or not isinstance(function, ast.FunctionDef):
            return node
        stores = [
            one for one in ast.walk(function)
            if isinstance(one, ast.Name) and one.id == node.id and isinstance(one.ctx, ast.Store)
        ]  # fmt: skip
        given = self.parents[stores[0]] if len(stores) == 1 else None
        return given.value if isinstance(given, ast.Assign) and given.targets == [stores[0]] else node

    def _is_docstring(self, node: ast.AST) -> bool:
        """Whether this string stands alone, as documentation."""
        return isinstance(self.parents.get(node), ast.Expr)

    def _at_home(self, *rooms: str) -> bool:
        return self.path.startswith(rooms) or "/management/commands/" in self.path

    def _reason(self, node: ast.AST) -> str:
        """The reason given on one of the lines of the statement (of a compound one: of its head)."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
        lines = range(node.lineno, last + 1)
        return next((self.reasons[line] for line in lines if line in self.reasons), "")


def _last_name(node: ast.AST) -> str | None:
    """`Document` of `Document`, `models.Document` and `Document[...]`; None of anything that only running tells."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last_name(value)
    return None


def _calls_predicate(node: ast.AST) -> bool:
    return any(
        isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in PREDICATES and one.args
        for one in ast.walk(node)
    )


def _models_of_other_apps(tree: ast.AST) -> set[str]:
    """Names that stand for a model of another app wherever this file gives them a value."""
    surely, perhaps = set(), {one.arg for one in ast.walk(tree) if isinstance(one, ast.arg)}
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name) as target], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name) as target, value=ast.expr() as value)
            ) if _is_other_model(value):
                surely.add((name, target))
    known = {target for _, target in surely}
    perhaps |= {
        one.id for one in ast.walk(tree)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) and one not in known
    }  # fmt: skip
    return {name for name, _ in surely} - perhaps


def _is_other_model(node: ast.AST) -> bool:
    """Whether this is `get_user_model()`, `get_model(` of another app, or the table between two other models."""
    if isinstance(node, ast.Attribute) and node.attr == "through":
        return isinstance(node.value, ast.Attribute) and node.value.attr not in SEVERAL
    if not isinstance(node, ast.Call):
        return False
    called = _last_name(node.func)
    return called == "get_user_model" or (called == "get_model" and _names_another_app(node))


def _names_another_app(call: ast.Call) -> bool:
    """Whether `get_model("app", "Model")` or `get_model("app.Model")` surely means another app than ingestion."""
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("ingestion")


def main(arguments: list[str]) -> int:
    """Print what was found and the exceptions; 1 when something was found."""
    parser = argparse.ArgumentParser(description="Finds queries on documents and chunks that do not ask who looks.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    found = check_tree(parser.parse_args(arguments).folder)
    faults = [one for one in found if not one.reason]
    for one in [*(one for one in found if one.reason), *faults]:
        print(one)  # noqa: T201  (what a checker is for)
    if faults:
        print(  # noqa: T201
            f"{len(faults)} queries do not ask the access rule: add .visible_to(viewer) or .manageable_by(viewer), or, "
            "where nobody is shown anything, a comment '# access: the reason' on the line."
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
