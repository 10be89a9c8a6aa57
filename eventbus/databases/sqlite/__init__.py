"""Reaching a SQLite file: one writer, which waits for its lock, and readers beside it."""
