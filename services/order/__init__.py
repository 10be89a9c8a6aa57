"""The order service: an HTTP API, its own database, and the state of every order as the events tell it."""
