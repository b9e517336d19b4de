"""The engine: no framework, no driver, no event loop.

Read in this order: `engine` (what its users call), `state` (what is known of one session in one request), `session`
(what a handler holds), `reading` and `plan` (what there is, and what is to be done), `commit` (how that is done),
`conflict` (two requests at once), `rotation` and `ending` (a new id, and an end), `logins` and `positions` (limits and
revocations), `storage` (the only caller of stores).
"""
