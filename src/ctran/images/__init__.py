"""Pictures: opened safely (:mod:`.reading`), turned into tensors (:mod:`.transforms`)."""
