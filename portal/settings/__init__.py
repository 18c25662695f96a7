"""Settings of the portal. Everything that differs between installations comes from the environment.

`./cloister up` sets all of it for a local instance; `docs/operators.md` lists the names. A secret that is
not set stops the start: there are no built-in ones.
"""

from portal.settings.api import *  # noqa: F403
from portal.settings.operators import *  # noqa: F403
from portal.settings.pages import *  # noqa: F403
from portal.settings.people import *  # noqa: F403
from portal.settings.stores import *  # noqa: F403
from portal.settings.web import *  # noqa: F403
from portal.settings.work import *  # noqa: F403
