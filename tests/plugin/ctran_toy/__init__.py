"""A method, a data source and a loss for ctran."""
