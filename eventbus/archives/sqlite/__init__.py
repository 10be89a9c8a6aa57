"""The archive on SQLite: a table for each month, in a file of its own or beside a store."""
