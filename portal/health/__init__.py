"""Is it alive, is it ready, and how is each part."""

from portal.health.views import NEEDED, health, is_operator, live, ready, report
from portal.health.watch import CHECKS, Component, components, forget, latest

__all__ = [
    "CHECKS",
    "NEEDED",
    "Component",
    "components",
    "forget",
    "health",
    "is_operator",
    "latest",
    "live",
    "ready",
    "report",
]
