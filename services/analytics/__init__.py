"""The analytics service: joins when it likes, and counts what was sold before it existed."""
