"""The engine: no framework, no driver, no event loop.

Read in this order: `session` (what a handler holds), `record` (what a store keeps), `protocols`
(what may be plugged in), `plan` (what is to be done), `merge` (two requests at once), `manager`
(the only caller of stores).
"""
