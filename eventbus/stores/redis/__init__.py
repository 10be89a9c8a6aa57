"""The inbox on Redis, for workers on several machines that need no transactions."""
