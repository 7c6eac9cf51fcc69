"""Many edits: at once in one pass, or a folder of them that any number of processes share.

:func:`edit_batch` runs a few edits of equal sizes in memory. :func:`run` makes the jobs of a list
in a folder, each exactly once, and goes on where it was broken off; ``refhooks batch`` is the same.

Stands above ``_editor`` and may import all that stands below it. ``_together`` is the one pass;
``_reading`` and ``_entry`` read jobs, ``_groups`` cuts the list, ``_digest`` says what a job is,
``_outputs`` and ``_failures`` are the ``_folder``, ``_making`` makes a group, ``_ray`` and
``_crew`` let actors do so, ``_running`` all of it.
"""

from refhooks.batch._ray import Ray
from refhooks.batch._running import Progress, Summary, run
from refhooks.batch._together import Job, Options, edit_batch

__all__ = ["Job", "Options", "Progress", "Ray", "Summary", "edit_batch", "run"]
