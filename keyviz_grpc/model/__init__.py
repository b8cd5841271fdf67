"""The matrix: what one series of one window of traffic looks like, on a node and after merging.

Every array is read-only once it is inside one of these types; constructors check the shape laws and raise
`MalformedAnswer` when one is broken. Nothing here does I/O or reads a clock.
"""

from keyviz_grpc.model.matrix import Details, Matrix, check_columns
from keyviz_grpc.model.rows import ALL_KEYS, MAX_ROUTE_IDS, Catalogue, KeyRange, Row
from keyviz_grpc.model.series import EVERYTHING, SampleRole, Series, Window
from keyviz_grpc.model.shares import NO_IDENTITIES, NO_SHARES, UNKNOWN, Shares

__all__ = [
    "ALL_KEYS",
    "EVERYTHING",
    "MAX_ROUTE_IDS",
    "NO_IDENTITIES",
    "NO_SHARES",
    "UNKNOWN",
    "Catalogue",
    "Details",
    "KeyRange",
    "Matrix",
    "Row",
    "SampleRole",
    "Series",
    "Shares",
    "Window",
    "check_columns",
]
