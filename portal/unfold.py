"""How the admin site looks: its name, its menu, and the style sheet that carries its colours.

The colours are not set here: unfold writes those of the settings into an inline style, which the content security
policy forbids (docs/decisions/0005-admin-csp.md). They follow the portal's tokens.css, in admin-cloister/admin.css.
"""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _administers(request: HttpRequest) -> bool:
    """Whether the menu shows what only administrators open. The pages themselves ask again."""
    return bool(request.user.is_superuser)


def _audits(request: HttpRequest) -> bool:
    # As accounts.auditors does, whose models are not there yet when the settings are read.
    user = request.user
    return user.is_authenticated and user.is_auditor and user.seen_as is None


def _uploads(request: HttpRequest) -> bool:
    return request.user.has_perm("ingestion.add_document")


LOOKS_AFTER_SEARCH = "search.admin.permission.looks_after_search"
"""By its name: the settings are read before the models are there."""


def _at(name: str) -> Any:
    """Marks a menu line when the page's address is exactly this one."""
    return lambda request: request.path == str(reverse_lazy(name))


def _below(name: str, *, but_not: tuple[str, ...] = ()) -> Any:
    """Marks a menu line on its page and all below it, except those that have a line of their own."""

    def active(request: HttpRequest) -> bool:
        other = any(request.path == str(reverse_lazy(one)) for one in but_not)
        return request.path.startswith(str(reverse_lazy(name))) and not other

    return active


def _one_upload(request: HttpRequest) -> bool:
    """Whether this is the page of an upload."""
    return getattr(request.resolver_match, "view_name", "") == "admin:ingestion_document_progress"


OF_THEIR_OWN = tuple(f"admin:ingestion_document_{name}" for name in ("upload", "uploads", "failures", "collection"))
"""Pages about documents that have a line of their own in the menu."""

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Cloister",
    "SITE_HEADER": "Cloister",
    "SITE_SUBHEADER": "Library desk",
    "SITE_URL": reverse_lazy("search"),
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("favicon.svg")},
    ],
    "SITE_ICON": lambda _request: static("favicon.svg"),
    # Where somebody changes their own password, whichever way they signed in.
    "ACCOUNT": {"navigation": [{"title": "Sign-in and security", "link": reverse_lazy("security")}]},
    "STYLES": [lambda _request: static("tokens.css"), lambda _request: static("admin-cloister/admin.css")],
    "SIDEBAR": {
        "show_search": False,
        "command_search": False,
        "navigation": [
            {
                "title": "Documents",
                "items": [
                    {
                        "title": "Home",
                        "icon": "home",
                        "link": reverse_lazy("admin:index"),
                        "active": _at("admin:index"),
                    },
                    {
                        "title": "All documents",
                        "icon": "description",
                        "link": reverse_lazy("admin:ingestion_document_changelist"),
                        "active": lambda request: (
                            not _one_upload(request)
                            and _below("admin:ingestion_document_changelist", but_not=OF_THEIR_OWN)(request)
                        ),
                    },
                    {
                        "title": "Collection",
                        "icon": "table_chart",
                        "link": reverse_lazy("admin:ingestion_document_collection"),
                        "active": _at("admin:ingestion_document_collection"),
                    },
                    {
                        "title": "Failures",
                        "icon": "report",
                        "link": reverse_lazy("admin:ingestion_document_failures"),
                        "active": _at("admin:ingestion_document_failures"),
                    },
                    {
                        "title": "Upload",
                        "icon": "upload_file",
                        "link": reverse_lazy("admin:ingestion_document_upload"),
                        "active": _at("admin:ingestion_document_upload"),
                        "permission": _uploads,
                    },
                    {
                        "title": "My uploads",
                        "icon": "inventory_2",
                        "link": reverse_lazy("admin:ingestion_document_uploads"),
                        "active": lambda request: (
                            _one_upload(request) or _at("admin:ingestion_document_uploads")(request)
                        ),
                        "permission": _uploads,
                    },
                ],
            },
            {
                "title": "Vocabulary",
                "separator": True,
                "items": [
                    {
                        "title": "Tags",
                        "icon": "sell",
                        "link": reverse_lazy("admin:ingestion_tag_changelist"),
                        "active": _below("admin:ingestion_tag_changelist"),
                    },
                    {
                        "title": "Document types",
                        "icon": "category",
                        "link": reverse_lazy("admin:ingestion_documenttype_changelist"),
                        "active": _below("admin:ingestion_documenttype_changelist"),
                        "permission": _administers,
                    },
                ],
            },
            {
                "title": "Search",
                "separator": True,
                "items": [
                    {
                        "title": "Best bets",
                        "icon": "keep",
                        "link": reverse_lazy("admin:search_bestbet_changelist"),
                        "active": _below("admin:search_bestbet_changelist"),
                        "permission": LOOKS_AFTER_SEARCH,
                    },
                    {
                        "title": "Synonyms",
                        "icon": "join",
                        "link": reverse_lazy("admin:search_synonymgroup_changelist"),
                        "active": _below("admin:search_synonymgroup_changelist"),
                        "permission": LOOKS_AFTER_SEARCH,
                    },
                    {
                        "title": "Golden queries",
                        "icon": "target",
                        "link": reverse_lazy("admin:search_goldenquery_changelist"),
                        "active": _below(
                            "admin:search_goldenquery_changelist", but_not=("admin:search_goldenquery_runs",)
                        ),
                    },
                    {
                        "title": "Quality",
                        "icon": "monitoring",
                        "link": reverse_lazy("admin:search_goldenquery_runs"),
                        "active": _at("admin:search_goldenquery_runs"),
                    },
                ],
            },
            {
                "title": "People and places",
                "separator": True,
                "items": [
                    {
                        "title": "Users",
                        "icon": "group",
                        "link": reverse_lazy("admin:accounts_user_changelist"),
                        "active": _below("admin:accounts_user_changelist"),
                        "permission": _administers,
                    },
                    {
                        "title": "API keys",
                        "icon": "key",
                        "link": reverse_lazy("admin:accounts_apikey_changelist"),
                        "active": _below("admin:accounts_apikey_changelist"),
                        "permission": _administers,
                    },
                    {
                        "title": "Claim rules",
                        "icon": "key_vertical",
                        "link": reverse_lazy("admin:accounts_claimrule_changelist"),
                        "active": _below("admin:accounts_claimrule_changelist"),
                        "permission": _administers,
                    },
                    {
                        "title": "Departments",
                        "icon": "account_balance",
                        "link": reverse_lazy("admin:accounts_department_changelist"),
                        "active": _below("admin:accounts_department_changelist"),
                        "permission": _administers,
                    },
                    {
                        "title": "Campuses",
                        "icon": "location_on",
                        "link": reverse_lazy("admin:accounts_campus_changelist"),
                        "active": _below("admin:accounts_campus_changelist"),
                        "permission": _administers,
                    },
                ],
            },
            {
                "title": "The portal",
                "separator": True,
                "items": [
                    {
                        "title": "Phases",
                        "icon": "door_open",
                        "link": reverse_lazy("admin:accounts_phase_changelist"),
                        "active": _below("admin:accounts_phase_changelist"),
                        "permission": _administers,
                    },
                    {
                        "title": "Groups to invite",
                        "icon": "groups",
                        "link": reverse_lazy("admin:auth_group_changelist"),
                        "active": _below("admin:auth_group_changelist"),
                        "permission": _administers,
                    },
                    {
                        "title": "Audit trail",
                        "icon": "history",
                        "link": reverse_lazy("admin:accounts_auditevent_changelist"),
                        "active": _below("admin:accounts_auditevent_changelist"),
                        "permission": lambda request: _administers(request) or _audits(request),
                    },
                    {
                        "title": "Searches",
                        "icon": "manage_search",
                        "link": reverse_lazy("admin:search_searchevent_changelist"),
                        "active": _below("admin:search_searchevent_changelist"),
                        "permission": _audits,
                    },
                ],
            },
        ],
    },
}
