"""Backups of the database and the originals, and the way back. Each module that can be run says so: `python -m …`."""
