"""Estimate what one core of a Raspberry Pi 4 and 5 makes of XNNPACK's kernels; nothing is run.

The inner loop of each kernel is taken out of the aarch64 wheel's library by objdump, and LLVM's
model of the core says how many cycles one turn of it takes with everything in the first cache
(``llvm-mca``, Debian's llvm-19; binutils-aarch64-linux-gnu).  Layers, caches and the operating
system cost more: it is an upper bound, to compare kernels by.

The library is ``ai_edge_litert/libpywrap_litert_common.so``, from what
``pip download --platform manylinux_2_27_aarch64 --only-binary :all: ai-edge-litert`` brings.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

_FLOAT32 = "xnn_f32_igemm_minmax_ukernel_4x8__asm_aarch64_neonfma_cortex_a75_prfm"
_INT8 = "xnn_qs8_qc8w_igemm_minmax_fp32_ukernel_2x8c8__asm_aarch64_neon_mlal_prfm"
_INT8_LANE = "xnn_qs8_qc8w_igemm_minmax_fp32_ukernel_4x16__asm_aarch64_neon_mlal_lane_ld64"
_INT8_DOT = "xnn_qs8_qc8w_igemm_minmax_fp32_ukernel_4x16c4__asm_aarch64_neondot_ld128"
ROWS = (
    ("Cortex-A72 (Pi 4)", "cortex-a72", _FLOAT32),
    ("Cortex-A72 (Pi 4)", "cortex-a72", _INT8),
    ("Cortex-A72 (Pi 4)", "cortex-a72", _INT8_LANE),
    ("Cortex-A76 (Pi 5)", "neoverse-n1", _FLOAT32),
    ("Cortex-A76 (Pi 5)", "neoverse-n1", _INT8_DOT),
)
"""Core, LLVM's model, kernel.  There is no model of the A76; Neoverse N1 is that core for servers.
The A72 has no dot product; which of its two int8 kernels XNNPACK takes there was not looked at."""
_TURNS = 200


class Instruction(NamedTuple):
    """A line of objdump's."""

    address: int
    name: str
    operands: str


def main() -> None:
    """Print multiply-adds a cycle, by kernel and core."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.arm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("library", type=Path, metavar="SO", help="the aarch64 library")
    parser.add_argument("--llvm-mca", default="llvm-mca-19", metavar="COMMAND")
    options = parser.parse_args()
    print("| core | kernel | multiply-adds a turn | a cycle |\n| --- | --- | ---: | ---: |")
    for core, model, symbol in ROWS:
        loop = inner_loop(_disassembled(options.library, symbol))
        work = sum(map(multiply_adds, loop))
        rate = work / _cycles(options.llvm_mca, loop, model)
        print(f"| {core} | `{symbol}` | {work} | {rate:.1f} |")


def multiply_adds(instruction: Instruction) -> int:
    """Return how many multiply-adds a vector instruction does."""
    narrow = "4s" not in instruction.operands.split(",")[0]
    return {
        "fmla": 2 if narrow else 4,
        "sdot": 16,
        **dict.fromkeys(("smull", "smull2", "smlal", "smlal2"), 8 if narrow else 4),
    }.get(instruction.name, 0)


def inner_loop(instructions: list[Instruction]) -> list[Instruction]:
    """Return the loop, from a branch's target to the branch, with most multiply-adds a line."""
    loops = []
    for at, branch in enumerate(instructions):
        target = re.search(r"([0-9a-f]+)$", branch.operands)
        if branch.name.startswith("b.") and target and int(target[1], 16) < branch.address:
            loops.append([i for i in instructions[: at + 1] if i.address >= int(target[1], 16)])
    return max(loops, key=lambda loop: sum(map(multiply_adds, loop)) / len(loop))


def _disassembled(library: Path, symbol: str) -> list[Instruction]:
    command = ["aarch64-linux-gnu-objdump", "--no-show-raw-insn", f"--disassemble={symbol}"]
    text = subprocess.run([*command, library], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^ *([0-9a-f]+):\t(\S+)[ \t]*([^/<\n]*)", text, re.MULTILINE)
    return [Instruction(int(at, 16), name, operands.strip()) for at, name, operands in lines]


def _cycles(llvm_mca: str, loop: list[Instruction], model: str) -> float:
    """Return the cycles of one turn; branches and prefetches cost the model nothing."""
    body = [i for i in loop if not i.name.startswith(("b.", "prfm"))]
    command = [llvm_mca, "-mtriple=aarch64", f"-mcpu={model}", f"-iterations={_TURNS}"]
    text = "\n".join(f"{i.name} {i.operands}" for i in body)
    told = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Total Cycles:\s+(\d+)", told)
    assert found is not None
    return int(found[1]) / _TURNS


if __name__ == "__main__":
    main()
