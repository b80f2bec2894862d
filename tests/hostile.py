"""Values for hostile files."""


def bomb(depth=40):
    """A list that is small in memory and in a file, and endless when it is written out."""
    value = [1]
    for _ in range(depth):
        value = [value, value]
    return value
