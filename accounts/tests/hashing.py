"""Passwords in tests."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2(Argon2PasswordHasher):
    """The same algorithm with less work, for tests that try many passwords."""

    time_cost, memory_cost, parallelism = 1, 8, 1
