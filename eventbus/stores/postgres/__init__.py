"""The store on PostgreSQL 13 or newer: tables and functions in a schema of its own, beside the user's."""
