"""From a strategy to a plan: all that can be refused before anything is encoded.

Strategies and requests as a user gives them, the bounds of their numbers, the timetable that they
compile to, and the plan of an edit. It may import ``masks``, ``models``, ``plugins``,
``contract`` and what is below; nothing here runs a model. A new argument of ``edit()``, and every
check of one, comes here.
"""
