"""The archive on PostgreSQL 13 or newer: a partition for each month, in the schema `eventbus_archive`."""
