"""One edit: a plan, its run and its recipe make an ``EditResult``.

It may import ``recipes``, ``advice``, ``files`` and the core. What a finished edit can do or tell
comes into ``result``; whoever runs a plan, a chain or a batch calls ``edit``.
"""
