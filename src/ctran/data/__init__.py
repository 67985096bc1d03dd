"""Pictures and what is known of them: one table (:mod:`.table`), one file a source (:mod:`.sources`), loaders, cache."""
