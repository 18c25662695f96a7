"""Drills: `./cloister drill NAME [--json]`. Each breaks or changes something, watches, and has bars to reach."""
