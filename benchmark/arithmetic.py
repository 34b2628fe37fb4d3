"""Kinds of arithmetic: how other processors would round. To be set before torch, numpy and numba are imported."""

AS_IT_IS = "as it is"

#: Settings of the libraries that compute, by name. Each changes the order or the width of sums (torch, MKL, oneDNN,
#: OpenBLAS) or what numba compiles for; ``oldest`` also draws other random numbers for the same seed.
KINDS: dict[str, dict[str, str]] = {
    AS_IT_IS: {},
    "avx2": dict(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_CBWR="AVX2", OPENBLAS_CORETYPE="Haswell"),
    "oldest": dict(
        ATEN_CPU_CAPABILITY="default",
        ONEDNN_MAX_CPU_ISA="SSE41",
        MKL_CBWR="COMPATIBLE",
        OPENBLAS_CORETYPE="Prescott",
    ),
    "generic": dict(NUMBA_CPU_NAME="generic", MKL_CBWR="COMPATIBLE"),
}
