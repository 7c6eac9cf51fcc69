"""One run: binding what takes part, the hook chains and their checks, and the way back.

``run`` opens a family, ``binding`` binds methods and plugins, ``refhooks.loop`` runs the steps
through ``hooks``, and everything is closed again, also after an exception; what comes of it is a
``Ran``. It may import all of the core. A new hook is called here, and what it returns is checked
here.
"""
