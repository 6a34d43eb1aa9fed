"""The spool: the durable queue of prompts, one SQLite table, from acceptance to retention.

Reading order: rows (a prompt as the spool keeps it), queue (`Spool`, what everybody asks), table
(every statement), file (the one thread of SQLite, and a disk that will not), schema, salvage (of a
damaged file), room, disk (a disk's errors, and space kept for outcomes), unfinished (the prompts
without an outcome, in memory).
"""
