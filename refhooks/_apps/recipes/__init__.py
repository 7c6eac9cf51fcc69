"""What a picture was made from, written into it and read again.

``recipe`` is the value, ``recording`` makes it, ``picture_files`` and ``metadata`` carry it in
PNG, JPEG and WEBP. It may import ``files`` and the core; not ``advice``, beside it. What a new
argument of ``edit()`` leaves behind comes here; running a recipe again is ``replay``.
"""
