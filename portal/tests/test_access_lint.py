"""The checker that rejects queries which go round the access rule: it finds each way round, and the code has none."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from django.apps import apps

from accounts.clearance import Viewer
from ingestion.models import Chunk, Document

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / ".ci" / "access_lint.py"
MAY_BE_EXCEPTED = 17
"""Exceptions that the code may hold. More need a better reason than haste."""


@pytest.fixture(scope="module")
def lint() -> ModuleType:
    """The checker, which lies outside the rooms."""
    spec = importlib.util.spec_from_file_location("access_lint", CHECKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["access_lint"] = module
    spec.loader.exec_module(module)
    return module


ROUND_THE_RULE = {
    "all": "Document.objects.all()",
    "filtered": "Chunk.objects.filter(document=pk).first()",
    "the predicate in another query": "Document.objects.filter(pk=pk) | Document.objects.visible_to(viewer)",
    "the predicate not called": "Document.objects.filter(pk=pk).visible_to",
    "the predicate without a viewer": "Document.objects.visible_to()",
    "built in two steps": "found = Document.objects.filter(pk=pk)\nfound.visible_to(viewer)",
    "excluded, not kept": "Chunk.objects.exclude(document__in=Document.objects.manageable_by(viewer))",
    "kept by anything": "Chunk.objects.filter(document__in=wanted)",
    "a name with two values": (
        "def f(viewer):\n    kept = Document.objects.manageable_by(viewer)\n    kept = anything()\n"
        "    return Chunk.objects.filter(document__in=kept)"
    ),
    "the default manager": "Document._default_manager.get(pk=pk)",
    "the base manager": "Chunk._base_manager.count()",
    "by its module": "models.Document.objects.count()",
    "under an alias": "from ingestion.models import Document as Paper\nPaper.objects.count()",
    "given another name": "Paper = Document",
    "a model known only when it runs": "type(document).objects.all()",
    "a model from a variable": "for model in models:\n    model.objects.count()",
    "a model from a parameter": "def f(model):\n    return model._default_manager.all()",
    "get_object_or_404": "get_object_or_404(Document, pk=pk)",
    "get_list_or_404": "get_list_or_404(Chunk, document=pk)",
    "a queryset by hand": "QuerySet(model=Chunk)",
    "through a tag": "tag.documents.all()",
    "through a department": "[one.title for one in department.shared_documents.filter(status='ready')]",
    "through a document": "document.chunks.count()",
    "a related manager handed on": "render(tag.documents)",
    "the table of tags": "Document.tags.through.objects.filter(tag=tag)",
    "the table of tags under a name": "def f(tag):\n    borne = Document.tags.through\n    return borne.objects.all()",
    "the table of tags from the other side": "type(tag).documents.through.objects.all()",
    "a table between from a variable": "def f(field):\n    return field.through.objects.all()",
    "a model by its name": "apps.get_model('ingestion', 'Document')",
    "a model by one name": "apps.get_model('ingestion.Chunk').objects.all()",
    "a model by a name from elsewhere": "apps.get_model(label)",
    "SQL": "cursor.execute('SELECT title FROM ingestion_document WHERE id = %s', [pk])",
    "SQL in a text with gaps": "cursor.execute(f'SELECT text FROM INGESTION_CHUNK WHERE {where}')",
    "SQL of the tags": "cursor.execute('SELECT * FROM ingestion_document_tags')",
    "SQL with the table's name": "cursor.execute('SELECT * FROM ' + Document._meta.db_table)",
    "a count across a relation": "Department.objects.annotate(n=Count('documents'))",
    "values across a relation": "Tag.objects.values('documents__title')",
    "in order of a relation": "Tag.objects.order_by('-documents__created_at')",
    "fetched across a relation": "Tag.objects.prefetch_related('documents')",
    "a generic view": "class Papers(ListView):\n    model = Document",
    "an inline of the admin": "class Pieces(TabularInline):\n    model: type = Chunk",
    "an admin page that shows all": "@admin.register(Document)\nclass Papers(ModelAdmin):\n    ordering = ('title',)",
    "an admin page that asks nobody": (
        "@admin.register(Document)\nclass Papers(ModelAdmin):\n"
        "    def get_queryset(self, request):\n        return super().get_queryset(request)"
    ),
    "a condition across a relation": "Department.objects.filter(documents__title__icontains=x).exists()",
    "a condition in a Q": "Tag.objects.filter(Q(documents__clearance=4)).count()",
    "a Q made before": "told = Q(document__title=title)",
    "a condition in a Count": "Tag.objects.annotate(n=Count('pk', filter=models.Q(documents__clearance=4)))",
    "a condition without a lookup": "Tag.objects.exclude(documents=None)",
    "a relation kept by anything": "Tag.objects.filter(documents__in=wanted)",
    "a relation kept by half": "Tag.objects.filter(documents__title__in=Document.objects.visible_to(viewer))",
    "a condition to get one": "get_object_or_404(Department, shared_documents__title=title)",
    "a relation's title": "Feedback.objects.values_list('document__title')",
    "a relation fetched": "Feedback.objects.select_related('document')",
    "in order of the field's titles": "Feedback.objects.order_by('-document')",
    "a relation behind another": "SearchEvent.objects.filter(feedback__document__title=x)",
    "a name behind another": "SearchEvent.objects.order_by('feedback__document__title')",
    "a search of the admin": "class Marks(ModelAdmin):\n    search_fields = ('document__title',)",
    "conditions in a dictionary": "Tag.objects.filter(**{'documents__clearance': 4})",
    "conditions in a text with gaps": "Tag.objects.filter(**{f'documents__{name}': 4})",
    "from visible documents to others": "Document.objects.visible_to(viewer).filter(tags__documents__title=x)",
    "a relation beside one that asks": (
        "Document.objects.visible_to(viewer).filter(pk__in=Feedback.objects.filter(document__title=x).values('pk'))"
    ),
    "an expression under an alias": "from django.db.models import Count as N\nTag.objects.annotate(n=N('documents'))",
    "a parameter that is narrowed": (
        "def f(marks):\n    marks = marks.filter(rating=1)\n    return marks.filter(document__title=x)"
    ),
    "the operator's eyes": "service.search(query, viewer=OPERATOR)",
    "a viewer made by hand": "Document.objects.visible_to(Viewer('admin', 4, every_department=True))",
    "a viewer raised": "Document.objects.visible_to(replace(viewer, clearance=4, every_department=True))",
    "a viewer raised by the module": "seen = dataclasses.replace(viewer, departments=everywhere)",
    "a viewer raised by anything": "seen = replace(viewer, **raised)",
    "a viewer raised under an alias": "from dataclasses import replace as raised\nraised(viewer, clearance=4)",
    "a viewer's class under an alias": "from accounts.clearance import Viewer as V\nV('admin', 4)",
    "an exception without a reason": "Document.objects.all()  # access:",
    "a reason on another line": "# access: because\nDocument.objects.all()",
    "a reason of another statement": "first = 1  # access: because\nDocument.objects.all()",
    "a reason in the body": "for one in Document.objects.all():\n    show(one)  # access: because",
}

BY_THE_RULE = {
    "visible": "Document.objects.visible_to(viewer).filter(pk=pk)",
    "the predicate later": "Chunk.objects.filter(staged=False).order_by('pk').visible_to(viewer)",
    "managed": "get_object_or_404(Document.objects.manageable_by(viewer), pk=pk)",
    "both": "Document.objects.visible_to(viewer) | Document.objects.manageable_by(viewer)",
    "over several lines": "(\n    Document.objects\n    .filter(pk=pk)\n    .visible_to(viewer)\n)",
    "the chunks of managed documents": "Chunk.objects.filter(document__in=Document.objects.manageable_by(viewer))",
    "the same in two steps": (
        "def f(viewer):\n    kept = Document.objects.manageable_by(viewer)\n"
        "    return Chunk.objects.filter(document__in=kept)"
    ),
    "through a tag, asking": "tag.documents.visible_to(viewer)",
    "a document that is there already": "Feedback.objects.filter(document=document, search__document_count=1)",
    "several of these": "Feedback.objects.filter(document__in=documents).values_list('document__pk')",
    "a condition on what is visible": "Chunk.objects.visible_to(viewer).filter(document__title=title)",
    "a Q on what is visible": "Document.objects.visible_to(viewer).filter(~Q(chunks__text='') | models.Q(title=x))",
    "its document with it": "Chunk.objects.visible_to(viewer).select_related('document').order_by('document__title')",
    "one of the visible": "get_object_or_404(Chunk.objects.visible_to(viewer), document__sha256=digest)",
    "what is visible under a name": (
        "def f(viewer):\n    seen = Chunk.objects.visible_to(viewer)\n    return seen.values_list('document__title')"
    ),
    "the tags of visible documents": "Tag.objects.filter(documents__in=Document.objects.visible_to(viewer))",
    "another dataclass": "replace(query, page=1)",
    "another text": "name.replace('documents', 'papers')",
    "its own fields": "class Query:\n    def of(self, **changes):\n        return replace(self, page=1, **changes)",
    "another model": "Department.objects.all()",
    "another app's model": "phase = apps.get_model('accounts', 'Phase')\nphase.objects.first()",
    "another app's model at once": "apps.get_model('accounts', 'Phase').objects.first()",
    "a table between two others": "User.groups.through.objects.all()",
    "that table under a name": "def f():\n    held: Any = User.groups.through\n    return held.objects.all()",
    "the users": "people = get_user_model()\npeople.objects.count()",
    "a file read in blocks": "for block in file.chunks():\n    digest.update(block)",
    "a class that is only named": "isinstance(one, Document)",
    "a foreign key": "document = models.ForeignKey(Document, on_delete=models.CASCADE)",
    "a form": "class PaperForm(ModelForm):\n    class Meta:\n        model = Document",
    "an admin page that asks": (
        "@admin.register(Document)\nclass Papers(ModelAdmin):\n"
        "    def get_queryset(self, request):\n        return Document.objects.manageable_by(viewer_for(request.user))"
    ),
    "an address": "reverse('admin:ingestion_document_changelist')",
    "words about the table": "def f():\n    'Copies ingestion_document to its chunks.'",
}


@pytest.mark.parametrize("name", ROUND_THE_RULE)
def test_a_way_round_the_rule_is_found(lint: ModuleType, name: str) -> None:
    found = lint.check_source(ROUND_THE_RULE[name], "search/pages.py")
    assert [one for one in found if not one.reason], name


@pytest.mark.parametrize("name", BY_THE_RULE)
def test_code_that_asks_is_left_alone(lint: ModuleType, name: str) -> None:
    assert lint.check_source(BY_THE_RULE[name], "search/pages.py") == []


@pytest.mark.parametrize(
    "source",
    [
        "Document.objects.all()  # access: nobody is shown anything",
        "cursor.execute(\n    'SELECT 1 FROM ingestion_chunk'\n)  # access: nobody is shown anything",
        "for one in Document.objects.all():  # access: nobody is shown anything\n    delete(one)",
    ],
)
def test_an_exception_with_a_reason_is_told_and_no_fault(lint: ModuleType, source: str) -> None:
    (found,) = lint.check_source(source, "search/pages.py")
    assert found.reason == "nobody is shown anything"


def test_the_related_managers_are_those_of_the_models(lint: ModuleType) -> None:
    """A new relation to documents must not stand outside the lint because of its name."""
    reached_by = {
        field.remote_field.get_accessor_name()
        for model in (Document, Chunk)
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete
    }
    assert reached_by <= lint.RELATED
    assert {field.name for field in Document._meta.many_to_many} <= lint.SEVERAL


def test_the_fields_and_the_viewer_are_those_of_the_code(lint: ModuleType) -> None:
    """What is new in a model or in `Viewer` must not stand outside the lint either."""
    held_as = {
        field.name
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.is_relation and field.related_model in (Document, Chunk)
    }
    assert held_as <= lint.FIELDS
    # They order what is found; a page may take those that a browser asks for.
    decides_nothing = {"languages"}
    assert {field.name for field in fields(Viewer)} - decides_nothing == lint.VIEWER_FIELDS


def test_the_repository_goes_through_the_rule(lint: ModuleType) -> None:
    found = lint.check_tree(ROOT)
    assert [str(one) for one in found if not one.reason] == []
    assert len(found) <= MAY_BE_EXCEPTED


def test_every_room_is_read(lint: ModuleType) -> None:
    """The checker is run where it stands: a fault in a new file of any room, or of ingestion's surfaces, is found."""
    for path in (*(f"{room}/new.py" for room in lint.ROOMS), "ingestion/admin/new.py", "ingestion/api.py"):
        assert not path.startswith(lint.BUILDERS), path
    assert all((ROOT / path).exists() for path in (*lint.ROOMS, *lint.BUILDERS))


def test_the_command_fails_with_the_place_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "feeds.py").write_text("\nnewest = Document.objects.order_by('-created_at')[:20]\n")
    run = subprocess.run([sys.executable, CHECKER, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "search/feeds.py:2:" in run.stdout
    assert "visible_to(" in run.stdout


def test_the_command_passes_over_tests_and_migrations(tmp_path: Path) -> None:
    for folder in ("search/tests", "search/migrations"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "some.py").write_text("Document.objects.all()\n")
    assert subprocess.run([sys.executable, CHECKER, tmp_path], capture_output=True, check=False).returncode == 0
