"""Models on disk: load, save, hub (:mod:`.tagger`), exported folders (:mod:`.exported`)."""
