"""What the processor has for numbers of 16 bits."""

from pathlib import Path


def bf16_support() -> str:
    """Return "AMX" (tiles of bfloat16), "AVX512-BF16" (its dot products), or "none" known of."""
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    if "amx_bf16" in flags:
        return "AMX"
    return "AVX512-BF16" if "avx512_bf16" in flags else "none"
