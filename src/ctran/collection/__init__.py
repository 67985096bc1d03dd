"""Prediction over a whole collection: shards of rows in, part files out, each written once whoever starts it."""
