"""A page in a browser, beside the camera loop: look, press, see.  Needs the extra ``page``."""
