"""Matrix products of a few rows, for use inside compiled loops: they save torch's cost per call.

The functions are inlined, so that sizes which are constants of the caller are constants in their loops too. Four rows
at a time share every weight that is loaded, and the sums have one order however many rows there are: a row's result
does not depend on its neighbours.
"""

from __future__ import annotations

import numba

from dimix.machine.compiled import FASTMATH

BLOCK = 4  # rows, and products that are added up before they are stored


@numba.njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
def add_rows(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    out, row, at, a, a_row, a_at, weight, rows, depth, columns
):
    """Add a product of 4 rows or of 1.

    ``out[row + i, at + c] += sum_k a[a_row + i, a_at + k] * weight[k, c]`` for ``i < rows``, ``k < depth``,
    ``c < columns``. `rows` is 4 or 1; all arrays have two axes and are contiguous.
    """
    whole = depth // BLOCK * BLOCK
    if rows == BLOCK:
        o0, o1, o2, o3 = out[row], out[row + 1], out[row + 2], out[row + 3]
        p0, p1, p2, p3 = a[a_row], a[a_row + 1], a[a_row + 2], a[a_row + 3]
        for k in range(0, whole, BLOCK):
            w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
            i = a_at + k
            a00, a01, a02, a03 = p0[i], p0[i + 1], p0[i + 2], p0[i + 3]
            a10, a11, a12, a13 = p1[i], p1[i + 1], p1[i + 2], p1[i + 3]
            a20, a21, a22, a23 = p2[i], p2[i + 1], p2[i + 2], p2[i + 3]
            a30, a31, a32, a33 = p3[i], p3[i + 1], p3[i + 2], p3[i + 3]
            for c in range(columns):
                v0, v1, v2, v3 = w0[c], w1[c], w2[c], w3[c]
                o0[at + c] += a00 * v0 + a01 * v1 + a02 * v2 + a03 * v3
                o1[at + c] += a10 * v0 + a11 * v1 + a12 * v2 + a13 * v3
                o2[at + c] += a20 * v0 + a21 * v1 + a22 * v2 + a23 * v3
                o3[at + c] += a30 * v0 + a31 * v1 + a32 * v2 + a33 * v3
        for k in range(whole, depth):
            w0, i = weight[k], a_at + k
            a00, a10, a20, a30 = p0[i], p1[i], p2[i], p3[i]
            for c in range(columns):
                v0 = w0[c]
                o0[at + c] += a00 * v0
                o1[at + c] += a10 * v0
                o2[at + c] += a20 * v0
                o3[at + c] += a30 * v0
        return
    o0, p0 = out[row], a[a_row]
    for k in range(0, whole, BLOCK):
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        i = a_at + k
        a00, a01, a02, a03 = p0[i], p0[i + 1], p0[i + 2], p0[i + 3]
        for c in range(columns):
            o0[at + c] += a00 * w0[c] + a01 * w1[c] + a02 * w2[c] + a03 * w3[c]
    for k in range(whole, depth):
        w0, a00 = weight[k], p0[a_at + k]
        for c in range(columns):
            o0[at + c] += a00 * w0[c]


@numba.njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
def add_outer(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    out, a, a_row, b, b_row, b_at, rows, height, columns
):
    """Add the sum of the rows' outer products.

    ``out[h, c] += sum_i a[a_row + i, h] * b[b_row + i, b_at + c]`` for ``i < rows``, ``h < height``, ``c < columns``.
    All arrays have two axes and are contiguous.
    """
    whole, most = height // BLOCK * BLOCK, rows // BLOCK * BLOCK
    for h in range(0, whole, BLOCK):
        o0, o1, o2, o3 = out[h], out[h + 1], out[h + 2], out[h + 3]
        for i in range(0, most, BLOCK):
            p0, p1, p2, p3 = a[a_row + i], a[a_row + i + 1], a[a_row + i + 2], a[a_row + i + 3]
            b0, b1, b2, b3 = b[b_row + i], b[b_row + i + 1], b[b_row + i + 2], b[b_row + i + 3]
            a00, a01, a02, a03 = p0[h], p1[h], p2[h], p3[h]
            a10, a11, a12, a13 = p0[h + 1], p1[h + 1], p2[h + 1], p3[h + 1]
            a20, a21, a22, a23 = p0[h + 2], p1[h + 2], p2[h + 2], p3[h + 2]
            a30, a31, a32, a33 = p0[h + 3], p1[h + 3], p2[h + 3], p3[h + 3]
            for c in range(columns):
                v0, v1, v2, v3 = b0[b_at + c], b1[b_at + c], b2[b_at + c], b3[b_at + c]
                o0[c] += a00 * v0 + a01 * v1 + a02 * v2 + a03 * v3
                o1[c] += a10 * v0 + a11 * v1 + a12 * v2 + a13 * v3
                o2[c] += a20 * v0 + a21 * v1 + a22 * v2 + a23 * v3
                o3[c] += a30 * v0 + a31 * v1 + a32 * v2 + a33 * v3
        for i in range(most, rows):
            p0, b0 = a[a_row + i], b[b_row + i]
            a00, a10, a20, a30 = p0[h], p0[h + 1], p0[h + 2], p0[h + 3]
            for c in range(columns):
                v0 = b0[b_at + c]
                o0[c] += a00 * v0
                o1[c] += a10 * v0
                o2[c] += a20 * v0
                o3[c] += a30 * v0
    for h in range(whole, height):
        o0 = out[h]
        for i in range(rows):
            a00, b0 = a[a_row + i, h], b[b_row + i]
            for c in range(columns):
                o0[c] += a00 * b0[b_at + c]
