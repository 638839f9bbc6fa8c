"""What a hostile description names, so that it is seen when any of it is imported or called."""


def sing(*_: object, **__: object) -> None:
    """Do nothing: that this module is there at all is what is looked for."""
