"""A model as two graphs for other runtimes; one file a format in ``formats``."""
