"""File formats of annotations, read without knowing which data set they belong to."""
