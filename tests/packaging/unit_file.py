"""systemd's unit files as the lists of lines they are."""


def read(path):
    """(section, key, value) of each setting, in the file's order; a key may come again."""
    settings, section = [], None
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            key, value = line.split("=", 1)
            settings.append((section, key, value))
    return settings


def values(path, key):
    return [value for _, own, value in read(path) if own == key]
