-- That a process is alive is told in microseconds of the machine's monotonic clock, which nobody can set; NULL, of a
-- version before this one, counts as dead. One of the future is of before the machine was started anew.
ALTER TABLE eventbus_owner ADD COLUMN valid_from INTEGER;
