"""The assignment of least total cost."""

import math
from collections.abc import Sequence


def least_cost(cost: Sequence[Sequence[float]]) -> list[int]:
    """Column of each row, all different, of least total cost, by shortest augmenting paths: ``O(n^3)``, for small matrices.

    Rows join one by one. ``row_price + column_price`` is at most the cost of each pair and equal to it for those assigned, so a
    path of least excess cost from the new row to a free column leads to the next assignment, along which rows change columns.

    Args:
        cost: finite numbers, as many columns as rows.

    Source: H. Kuhn, The Hungarian method for the assignment problem, Naval Research Logistics Quarterly 2, 1955, in the form of
    Jonker and Volgenant, Computing 38, 1987.
    """
    size = len(cost)
    row_price, column_price = [0.0] * size, [0.0] * size
    row_of: list[int | None] = [None] * size
    for new in range(size):
        excess, came_from = [math.inf] * size, [-1] * size
        reached: list[int] = []
        row, column, length = new, -1, 0.0
        while True:
            for other in range(size):
                if other not in reached:
                    there = length + cost[row][other] - row_price[row] - column_price[other]
                    if there < excess[other]:
                        excess[other], came_from[other] = there, column
            column = min((other for other in range(size) if other not in reached), key=excess.__getitem__)
            length = excess[column]
            reached.append(column)
            if (taken := row_of[column]) is None:
                break
            row = taken
        row_price[new] += length
        for other in reached[:-1]:
            column_price[other] -= length - excess[other]
            owner = row_of[other]
            assert owner is not None
            row_price[owner] += length - excess[other]
        while column >= 0:  # back along the path: each row takes the column that was reached from its own
            before = came_from[column]
            row_of[column] = new if before < 0 else row_of[before]
            column = before
    found = [0] * size
    for column, row in enumerate(row_of):
        assert row is not None
        found[row] = column
    return found
