"""The portal's people and places, for tests of the client against it."""

import sys
from pathlib import Path

from portal.tests.conftest import librarian, library, person

__all__ = ["librarian", "library", "person"]

sys.path.insert(0, str(Path(__file__).parents[1]))
